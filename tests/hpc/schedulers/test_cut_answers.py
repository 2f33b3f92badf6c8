"""Answers that are cut off somewhere, or have another program's words among them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from hpc.schedulers import test_pbs, test_pjm, test_slurm  # noqa: TID251  # the folder of these tests
from qcsc_hpc.schedulers.scheduler import Answer, NotUnderstood, Status
from qcsc_loop.jobs.key import JobKey
from qcsc_loop.jobs.outcome import JobState

NAME = JobKey(run_id="water", run_uid="u", iteration=3, step="evaluate", name="sqd").job_name
PJM_NAME = "q" + NAME.rpartition("-")[2]
SLURM, PBS, MIYABI, FUGAKU = (
    test_slurm.SLURM,
    test_pbs.PBS_HERE,
    test_pbs.MIYABI,
    test_pjm.FUGAKU,
)
SQUEUE, SACCT, SBATCH = ["squeue"], ["sacct"], ["sbatch", "--parsable"]
QSELECT, QSTAT, QSTAT_TEXT = ["qselect", "-N", NAME], test_pbs.JSON, test_pbs.TEXT
PJSTAT, GREETING = ["pjstat", "-v"], "The system stops at 09:00\n"
JOBS = test_pbs.said("qstat_json_all").out
JOBS_TEXT = test_pbs.in_text("qstat_json_all")
QUEUE = test_slurm.queued("12", "PENDING") + test_slurm.queued("1234", "COMPLETED")
PAST = test_slurm.accounted("12", "FAILED", "1:0") + test_slurm.accounted("1234")
TABLE = "".join(
    f"{line}\n"
    for line in (
        test_pjm.HEADER,
        test_pjm.row(JOB_ID="12", JOB_NAME=PJM_NAME[:10], ST="RUN"),
        test_pjm.row(JOB_ID="1234", JOB_NAME=PJM_NAME[:10]),
        test_pjm.TIMED_OUT,
    )
)
# what is asked, how its answer is read, and the answer
READINGS: dict[str, tuple[list[str], Callable[[Answer], Any], str]] = {
    "sbatch": (SBATCH, SLURM.submitted, "1234\n"),
    "sbatch of several clusters": (SBATCH, SLURM.submitted, GREETING + "1234;north\n"),
    "squeue": (SQUEUE, SLURM.statuses, QUEUE),
    "sacct": (SACCT, SLURM.histories, PAST),
    "squeue by name": (
        SQUEUE,
        lambda said: SLURM.found(said, NAME),
        f"12|{NAME}0|\n1234|{NAME}|\n1235|{NAME}|\n",
    ),
    "sacct by name": (SACCT, lambda said: SLURM.found(said, NAME), f"12|{NAME}0\n1234|{NAME}\n"),
    "squeue, where": (SQUEUE, lambda said: SLURM.placed(said, "12"), "/home/ada/runs/water|\n"),
    "sacct, where": (SACCT, lambda said: SLURM.placed(said, "12"), "/home/ada/runs/water|\n"),
    "qsub": (["qsub"], PBS.submitted, GREETING + "1234.pbs.example.org\n"),
    "qselect": (QSELECT, lambda said: PBS.found(said, NAME), "12.vm\n1234.vm\n"),
    "qstat": (QSTAT, PBS.statuses, JOBS),
    "qstat by name": (QSTAT, lambda said: PBS.found(said, "longjob"), JOBS),
    "qstat, where": (QSTAT, lambda said: PBS.placed(said, "11.vm"), JOBS),
    "qstat in text": (QSTAT_TEXT, MIYABI.statuses, JOBS_TEXT),
    "qstat in text, by name": (QSTAT_TEXT, lambda said: MIYABI.found(said, "longjob"), JOBS_TEXT),
    "qstat in text, where": (QSTAT_TEXT, lambda said: MIYABI.placed(said, "11.vm"), JOBS_TEXT),
    "pjsub": (["pjsub"], FUGAKU.submitted, "[INFO] PJM 0000 pjsub Job 1234 submitted.\n"),
    "pjstat": (PJSTAT, FUGAKU.statuses, TABLE),
    "pjstat by name": (PJSTAT, lambda said: FUGAKU.found(said, NAME), TABLE),
}
READING = pytest.mark.parametrize("what", READINGS)


def parts_of(what: str, texts: Iterator[str]) -> Iterator[tuple[str, Any]]:
    """What is understood of each; those of which nothing is are left out."""
    argv, read, _ = READINGS[what]
    for text in texts:
        try:
            yield text, read(Answer(argv, 0, text, ""))
        except NotUnderstood:
            continue


def is_part(part: Any, whole: Any) -> bool:
    """Whether it says nothing that the whole does not say."""
    if isinstance(whole, dict):  # of what a job cost text may keep something back
        return all(job in whole and _end(known) == _end(whole[job]) for job, known in part.items())
    return set(part) <= set(whole) if isinstance(whole, list) else part in ("", whole)


def _end(status: Status) -> tuple[JobState, int | None, int | None]:
    return status.state, status.exit_code, status.signal


@READING
def test_a_whole_answer_is_understood(what: str) -> None:
    argv, read, text = READINGS[what]
    assert read(Answer(argv, 0, text, ""))


@READING
def test_of_an_answer_that_is_cut_off_nothing_is_made_up(what: str) -> None:
    argv, read, text = READINGS[what]
    whole = read(Answer(argv, 0, text, ""))
    cuts = (text[:end] for end in range(1, len(text)))
    assert [text for text, part in parts_of(what, cuts) if not is_part(part, whole)] == []


@READING
@pytest.mark.parametrize("foreign", ["\x00\x00\x1b[garbage\n", "slurm_load_jobs error\n", "\n"])
def test_other_words_between_its_lines_are_no_jobs(what: str, foreign: str) -> None:
    argv, read, text = READINGS[what]
    whole, lines = read(Answer(argv, 0, text, "")), text.splitlines(keepends=True)
    mixed = ("".join([*lines[:n], foreign, *lines[n:]]) for n in range(len(lines) + 1))
    assert [text for text, part in parts_of(what, mixed) if not is_part(part, whole)] == []


@READING
def test_garbage_alone_is_no_answer(what: str) -> None:
    argv, read, _ = READINGS[what]
    for text in ("\x00\x00\x1b[garbage", "\x00\x00\x1b[garbage\n", GREETING):
        with pytest.raises(NotUnderstood):
            read(Answer(argv, 0, text, ""))


NUMBER = "a number that is none"


@pytest.mark.parametrize(
    ("what", "whole", "damaged"),
    [
        ("squeue", "|PENDING|0|", f"|PENDING|{NUMBER}|"),
        ("qstat", '"resources_used":\t{', '"resources_used":"","was":\t{'),
        ("qstat", '"Resource_List":\t{', '"Resource_List":[],"was":\t{'),
    ],
)
def test_a_job_of_which_something_cannot_be_read_hides_no_other(
    what: str, whole: str, damaged: str
) -> None:
    argv, read, text = READINGS[what]
    assert whole in text
    known, rest = (
        read(Answer(argv, 0, text, "")),
        read(Answer(argv, 0, text.replace(whole, damaged, 1), "")),
    )
    assert len(rest) == len(known) - 1 and is_part(rest, known)

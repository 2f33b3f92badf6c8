"""What is known of a followed job: a start that is over says nothing of the one after it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from qcsc_hpc.profiles import HPCProfile
from qcsc_hpc.schedulers.scheduler import Answer
from qcsc_hpc.schedulers.slurm import Slurm
from qcsc_hpc.script.job_folder import ExitRecord, JobFolder
from qcsc_hpc.sites.commands import Commands, Kind
from qcsc_hpc.sites.following import FIRST_ASK_SECONDS, Followed, Watch
from qcsc_hpc.sites.verdict import Sighting
from qcsc_loop.jobs.key import JobKey
from qcsc_loop.jobs.site import PlacedJob

pytestmark = pytest.mark.anyio

LONGEST_SECONDS = 10.0
KILLED = ExitRecord(job="12", restarts=0, exit_code=143)
UNNUMBERED = ExitRecord(job="12", exit_code=143)
ENDED = ExitRecord(job="12", restarts=1, exit_code=0)


class Squeue(Commands):
    """Says what it is told to."""

    def __init__(self, say: Callable[[], str]) -> None:
        super().__init__("Slurm", 1.0)
        self.say = say

    async def ask(
        self,
        argv: Sequence[str],
        *,
        folder: Path | None = None,
        kind: Kind = "ask",
        before: Callable[[], None] = lambda: None,
    ) -> Answer:
        return Answer(argv, 0, self.say(), "")


def line(state: str, restarts: int) -> str:
    """Of squeue, as it is asked for."""
    times = ("1800000000", "1800000050", "1800000140")
    return "|".join(["12", state, "0", *times, "1", "1", "name", str(restarts), "None"]) + "|\n"


def write(folder: JobFolder, record: ExitRecord) -> None:
    (folder.path / "exit.json").write_text(record.model_dump_json())


@pytest.fixture
def folder(tmp_path: Path) -> JobFolder:
    return JobFolder(tmp_path)


@asynccontextmanager
async def asked(folder: JobFolder, squeue: Squeue) -> AsyncIterator[tuple[Followed, Sighting]]:
    """The job, and what is known of it once Slurm has answered."""
    key = JobKey(run_id="run", run_uid="1", iteration=1, step="evaluate", name="program")
    watch = Watch(Slurm(HPCProfile(scheduler="slurm")), squeue)
    job = PlacedJob(key=key, folder=folder.path, job_id="12")
    async with watch.following(job, print, print) as followed:
        with anyio.fail_after(LONGEST_SECONDS):
            while (sighting := await followed.look(LONGEST_SECONDS)) is None:
                pass
        yield followed, sighting


async def known(folder: JobFolder, squeue: Squeue) -> ExitRecord | None:
    """The record that counts once Slurm has answered."""
    async with asked(folder, squeue) as (_, sighting):
        return sighting.record


async def test_the_record_of_an_earlier_start_is_not_that_of_a_job_that_is_requeued(
    folder: JobFolder,
) -> None:
    write(folder, KILLED)
    assert await known(folder, Squeue(lambda: line("COMPLETING", 1))) is None


async def test_the_record_of_the_present_start_is_its_job_s(folder: JobFolder) -> None:
    write(folder, ENDED)
    assert await known(folder, Squeue(lambda: line("COMPLETING", 1))) == ENDED


async def test_a_record_that_does_not_say_of_which_start_it_is_counts(folder: JobFolder) -> None:
    write(folder, UNNUMBERED)
    assert await known(folder, Squeue(lambda: line("COMPLETING", 1))) == UNNUMBERED


async def test_a_record_is_read_once_more_when_the_scheduler_calls_the_job_over(
    folder: JobFolder,
) -> None:
    write(folder, UNNUMBERED)

    def ends() -> str:  # while it is asked, which is after the look at the folder
        write(folder, ENDED)
        return line("COMPLETED", 1)

    assert await known(folder, Squeue(ends)) == ENDED


@pytest.mark.parametrize("record", [KILLED, UNNUMBERED], ids=repr)
async def test_a_requeued_job_that_waits_is_not_asked_about_as_often_as_one_that_ends(
    folder: JobFolder, record: ExitRecord
) -> None:
    write(folder, record)
    async with asked(folder, Squeue(lambda: line("PENDING", 1))) as (followed, _):
        assert followed.ask_at - followed.changed >= FIRST_ASK_SECONDS


async def test_the_same_trouble_is_told_once(folder: JobFolder) -> None:
    told: list[str] = []
    calls: list[None] = []

    def now_and_then() -> str:
        calls.append(None)
        return "garbled\n" if len(calls) % 2 else line("RUNNING", 0)

    key = JobKey(run_id="run", run_uid="1", iteration=1, step="evaluate", name="program")
    where = HPCProfile(scheduler="slurm", poll_seconds=0.01)
    watch = Watch(Slurm(where), Squeue(now_and_then))
    job = PlacedJob(key=key, folder=folder.path, job_id="12")
    async with watch.following(job, print, told.append) as followed:
        with anyio.fail_after(LONGEST_SECONDS):
            while len(calls) < 6:
                await followed.look(LONGEST_SECONDS)
    assert len(told) == 1

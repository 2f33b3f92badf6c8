"""Arrays in the words of each scheduler; no command is run here."""

from __future__ import annotations

import json

import pytest

from qcsc_hpc.profiles import ExecutionProfile, HPCProfile
from qcsc_hpc.schedulers import scheduler_for
from qcsc_hpc.schedulers.scheduler import Answer, Scheduler, refusals, runs_of
from qcsc_loop.jobs.outcome import JobState

SCRIPT = "/run/0.array.job/job.sh"
PREFIX = ["env", "TZ=UTC"]


def scheduler(name: str, **more: str) -> Scheduler:
    return scheduler_for(HPCProfile.model_validate({"scheduler": name, "array": True, **more}))


SLURM, PBS, PJM = scheduler("slurm"), scheduler("pbs"), scheduler("pjm")


def said(out: str, *argv: str, code: int = 0, err: str = "") -> Answer:
    return Answer([*argv], code, out, err)


@pytest.mark.parametrize(
    ("one", "argv"),
    [
        (SLURM, ["sbatch", "--parsable", "--array=0-999", "--output=/run/0.array.job/%a.log"]),
        (PBS, ["qsub", "-J", "0-999", "-o", "^array_index^.log"]),
        (PJM, ["pjsub", "--bulk", "--sparam", "0-999", "-o", "%b.log"]),
    ],
    ids=["slurm", "pbs", "pjm"],
)
def test_many_jobs_are_one_submission(one: Scheduler, argv: list[str]) -> None:
    assert one.submit_array(SCRIPT, 1000) == [*argv, SCRIPT]


def test_a_folder_s_name_stands_for_itself_beside_an_element_s_number() -> None:
    assert "--output=/100%%j/%a.log" in SLURM.submit_array("/100%j/job.sh", 2)
    # a backslash lets no sign mean anything: then the script alone says where its output goes
    assert "--output=/dev/null" in SLURM.submit_array("/a\\b/job.sh", 2)


@pytest.mark.parametrize(
    ("one", "array", "element"),
    [(SLURM, "12", "12_3"), (PBS, "12[].vm", "12[3].vm"), (PJM, "12", "12[3]")],
    ids=["slurm", "pbs", "pjm"],
)
def test_an_element_s_id_is_as_the_commands_have_it(
    one: Scheduler, array: str, element: str
) -> None:
    assert one.element(array, 3) == element
    assert one.array_of(element) == array
    assert one.array_of(array) == one.array_of("12.vm" if one is PBS else "12") == ""


def test_numbers_in_a_row_are_a_range() -> None:
    assert runs_of([7, 0, 1, 3, 2, 7]) == ["0-3", "7"]


@pytest.mark.parametrize(
    ("one", "ids", "argv"),
    [
        (SLURM, ["12_0", "9", "12_1", "12_5"], ["scancel", "9", "12_[0-1,5]"]),
        (PBS, ["12[0].vm", "9.vm", "12[1].vm"], ["qdel", "9.vm", "12[0-1].vm"]),
        (PJM, ["12[0]", "9", "12[1]", "12[5]"], ["pjdel", "9", "12[0-1]", "12[5]"]),
    ],
    ids=["slurm", "pbs", "pjm"],
)
def test_many_jobs_are_ended_by_one_command(
    one: Scheduler, ids: list[str], argv: list[str]
) -> None:
    assert one.cancel_all(ids) == argv


# Slurm


def test_slurm_is_asked_for_each_element_by_itself() -> None:
    asked = SLURM.status(["12_0", "12_7"])
    assert "--array" in asked
    assert "--jobs=12_0,12_7" in asked
    assert asked[-1].startswith("--Format=JobArrayID:|,")


def test_accounting_is_asked_for_whole_arrays() -> None:
    """sacct shows the one row of elements that never began to nobody who asks for one of them."""
    asked = SLURM.history(["12_0", "12_7", "9"])
    assert asked is not None
    assert "--jobs=12,9" in asked


def test_a_row_may_be_of_many_elements() -> None:
    """As sacct of 22.05 had them after `scancel 7`."""
    rows = (
        "7_1|CANCELLED by 0|0:0|1|1|1|1|1|array\n"
        "7_[0,7-8%2]|CANCELLED by 0|0:0|1|None|1|1|1|array\n"
    )
    found = SLURM.histories(said(rows, "sacct"))
    assert sorted(found) == ["7_0", "7_1", "7_7", "7_8"]
    assert {status.state for status in found.values()} == {JobState.CANCELLED}


def test_an_array_is_found_whatever_became_of_its_elements() -> None:
    squeue, sacct = SLURM.find("name")
    assert "--Format=ArrayJobID:|,Name:|" in squeue
    assert SLURM.found(said("7|name|\n7|name|\n", *squeue), "name") == ["7"]
    assert SLURM.found(said("7_0|name\n7_[7-8]|name\n", *sacct), "name") == ["7"]


# PBS


def element(state: str, **facts: object) -> JobState:
    told = {"Jobs": {"12[3].vm": {"job_state": state, **facts}}}
    return PBS.statuses(said(json.dumps(told), "qstat", "json"))["12[3].vm"].state


def test_pbs_is_asked_for_elements() -> None:
    asked = PBS.status(["12[3].vm"])
    assert asked == [*PREFIX, "qstat", "-t", "-x", "-f", "-F", "json", "12[3].vm"]


@pytest.mark.parametrize(
    ("facts", "state"),
    [
        ({"Exit_status": 0, "substate": 92}, JobState.COMPLETED),
        ({"Exit_status": 3, "substate": 93}, JobState.FAILED),
        ({"Exit_status": -29, "substate": 93}, JobState.TIMEOUT),
        # of these only the array's table is left (OpenPBS, src/server/stat_job.c)
        ({"substate": 92, "comment": "Subjob finished"}, JobState.COMPLETED),
        ({"substate": 93, "comment": "Subjob failed"}, JobState.FAILED),
        ({"substate": 91, "comment": "Subjob terminated"}, JobState.CANCELLED),
        ({"substate": 10}, JobState.CANCELLED),
    ],
    ids=str,
)
def test_an_element_is_over_before_its_array_is(facts: dict[str, object], state: JobState) -> None:
    assert element("X", **facts) is state


def test_an_element_that_is_over_need_not_be_ended() -> None:
    PBS.cancelled(said("", "qdel", code=55, err="Request invalid for finished array subjob"))


# PJM


def test_pjm_is_asked_for_whole_bulk_jobs() -> None:
    asked = PJM.status(["12[3]", "12[4]", "9"])
    assert asked[:2] == ["pjstat", "-E"]
    assert asked[-1] == "jid=12+9"


# sites without


@pytest.mark.parametrize(("name", "dialect"), [("pbs", "miyabi"), ("pjm", "wisteria")])
def test_a_site_without_arrays_says_so_in_a_sentence(name: str, dialect: str) -> None:
    why = refusals(scheduler(name, dialect=dialect), ExecutionProfile())["array"]
    assert why.startswith("nobody says")
    assert "leave it out" in why

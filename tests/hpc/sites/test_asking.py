"""What an answer leaves open is asked for singly, then by another command; it decides nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from qcsc_hpc.profiles import HPCProfile
from qcsc_hpc.schedulers.pbs import PBS
from qcsc_hpc.schedulers.pjm import PJM
from qcsc_hpc.schedulers.scheduler import Answer, NotUnderstood, Scheduler
from qcsc_hpc.schedulers.slurm import Slurm
from qcsc_hpc.sites.asking import SINGLY, Asking
from qcsc_hpc.sites.commands import Commands, Kind
from qcsc_loop.errors import SiteUnreachable
from qcsc_loop.jobs.outcome import JobState

pytestmark = pytest.mark.anyio

R, C = JobState.RUNNING, JobState.COMPLETED
PBS_HERE = PBS(HPCProfile(scheduler="pbs"))
SLURM = Slurm(HPCProfile(scheduler="slurm"))
PJM_HERE = PJM(HPCProfile(scheduler="pjm"))
MIYABI = PBS(HPCProfile.model_validate({"preset": "miyabi"}))


class Told(Commands):
    """Answers as a function says, and notes what it was asked."""

    def __init__(self, say: Callable[[list[str]], Answer | str]) -> None:
        super().__init__("the site", 1.0)
        self.say, self.asked = say, list[list[str]]()

    async def ask(
        self,
        argv: Sequence[str],
        *,
        folder: Path | None = None,
        kind: Kind = "ask",
        before: Callable[[], None] = lambda: None,
    ) -> Answer:
        self.asked.append([*argv])
        said = self.say([*argv])
        return Answer(argv, 0, said, "") if isinstance(said, str) else said


async def states(
    scheduler: Scheduler, ids: list[str], say: Callable[[list[str]], Answer | str]
) -> dict[str, JobState | None]:
    known = await Asking(scheduler, Told(say)).ask_for(ids)
    return {job: status.state if status else None for job, status in known.jobs.items()}


def listed(*ids: str, state: str = "R", **more: Any) -> str:  # Any: JSON
    """What qstat says of jobs, in JSON."""
    facts = {"job_state": state, "Job_Name": "key"}
    return json.dumps({"Jobs": {job_id: facts | more for job_id in ids}})


def in_text(*ids: str, state: str = "R") -> str:
    return "".join(f"Job Id: {job_id}\n    job_state = {state}\n\n" for job_id in ids)


def ids_in(argv: list[str]) -> list[str]:
    return [word for word in argv if word.endswith(".vm")]


async def test_jobs_that_an_answer_does_not_show_are_asked_for_singly() -> None:
    def first_only(argv: list[str]) -> str:  # openpbs#2672
        return listed(ids_in(argv)[0])

    assert await states(PBS_HERE, ["1.vm", "2.vm", "3.vm"], first_only) == {
        "1.vm": R,
        "2.vm": R,
        "3.vm": R,
    }


async def test_a_job_that_is_unknown_alone_is_unknown() -> None:
    def knows_the_first(argv: list[str]) -> Answer:
        known = [job for job in ids_in(argv) if job == "1.vm"]
        err = "" if known else "qstat: Unknown Job Id 2.vm"
        return Answer(argv, 0 if known else 153, listed(*known) if known else "{}", err)

    assert await states(PBS_HERE, ["1.vm", "2.vm"], knows_the_first) == {"1.vm": R, "2.vm": None}
    assert await states(PBS_HERE, ["2.vm"], knows_the_first) == {"2.vm": None}


async def test_a_job_whose_json_is_none_hides_no_other_and_is_read_as_text() -> None:
    def broken(argv: list[str]) -> str:  # openpbs#1255
        if "json" not in argv:
            return in_text(*ids_in(argv))
        text = listed(*ids_in(argv))
        return text.replace('"R"', '"R", "Account_Name": 0123') if "2.vm" in argv else text

    assert await states(PBS_HERE, ["1.vm", "2.vm"], broken) == {"1.vm": R, "2.vm": R}
    assert await states(PBS_HERE, ["2.vm"], broken) == {"2.vm": R}


async def test_a_state_that_nobody_knows_hides_no_other_job_on_pbs() -> None:
    def strange(argv: list[str]) -> str:
        jobs = {job: {"job_state": "Z" if job == "2.vm" else "R"} for job in ids_in(argv)}
        return json.dumps({"Jobs": jobs}) if "json" in argv else "Job Id: 2.vm\n    job_state = Z\n"

    assert await states(PBS_HERE, ["1.vm", "2.vm", "3.vm"], strange) == {"1.vm": R, "3.vm": R}


async def test_a_state_that_nobody_knows_hides_no_other_job_on_slurm() -> None:
    def strange(argv: list[str]) -> str:
        if "sacct" in argv:
            return ""
        asked = next(word for word in argv if word.startswith("--jobs=")).partition("=")[2]
        shown = {"1": "RUNNING", "2": "DREAMING", "3": "RUNNING"}
        return "".join(f"{job}|{shown[job]}|0|1|1|1|1|1|n|0|None|\n" for job in asked.split(","))

    assert await states(SLURM, ["1", "2", "3"], strange) == {"1": R, "3": R}


async def test_what_stays_open_is_told_with_its_reason() -> None:
    known = await Asking(PBS_HERE, Told(lambda _: "<html>busy</html>\n")).ask_for(["1.vm"])
    assert known.jobs == {}
    assert known.open["1.vm"].startswith("its JSON is cut off or damaged")


async def test_a_scheduler_that_says_nothing_is_asked_nothing_more() -> None:
    away = Told(lambda argv: Answer(argv, 111, "", "cannot connect to server vm"))
    with pytest.raises(NotUnderstood, match="cannot connect"):
        await Asking(PBS_HERE, away).ask_for(["1.vm", "2.vm"])
    assert len(away.asked) == 1


FAILURES = [SiteUnreachable("it", "no answer"), NotUnderstood("cut")]


def one_of_slurm(argv: list[str], failure: Exception) -> str:
    if "sacct" in argv:
        raise failure
    asked = next(word for word in argv if word.startswith("--jobs=")).partition("=")[2]
    return "1|RUNNING|0|1|1|1|1|1|n|0|None|\n" if "1" in asked.split(",") else ""


@pytest.mark.parametrize("failure", FAILURES, ids=repr)
async def test_accounting_that_does_not_answer_leaves_a_doubt_and_is_asked_once_a_round(
    failure: Exception,
) -> None:
    told = Told(lambda argv: one_of_slurm(argv, failure))
    known = await Asking(SLURM, told).ask_for(["1", "2", "3"])
    assert {job: status and status.state for job, status in known.jobs.items()} == {
        "1": R,
        "2": None,
        "3": None,
    }
    assert known.doubtful == {"2", "3"}
    assert sum("sacct" in argv for argv in told.asked) == 1


@pytest.mark.parametrize("failure", FAILURES, ids=repr)
async def test_a_history_that_fails_does_not_undo_what_is_known_of_others(
    failure: Exception,
) -> None:
    def say(argv: list[str]) -> str:
        if "-H" in argv:
            raise failure
        shown = "JOB_ID ST  EC  PC  SN  REASON\n"
        return shown + ("1      RUN 0   0   0   -\n" if "1" in argv[-1] else "")

    known = await Asking(PJM_HERE, Told(say)).ask_for(["1", "2"])
    assert {job: status and status.state for job, status in known.jobs.items()} == {"1": R}
    assert set(known.open) == {"2"}


async def test_a_site_that_takes_no_choice_of_columns_is_asked_for_its_table_from_then_on() -> None:
    def old(argv: list[str]) -> Answer:
        if "--choose" in argv:
            return Answer(argv, 1, "", "[ERR.] PJM 0001 pjstat Invalid option: --choose.")
        table = "JOB_ID JOB_NAME ST  EC  PC  SN  REASON\n1      n        RUN 0   0   0   -\n"
        return Answer(argv, 0, table, "")

    told = Told(old)
    asking = Asking(PJM_HERE, told)
    for _ in range(2):
        assert (await asking.ask_for(["1"])).jobs.keys() == {"1"}
    assert ["--choose" in argv for argv in told.asked] == [True, False, False]


async def test_few_jobs_are_asked_for_singly_in_one_round_and_others_in_the_next() -> None:
    ids = [f"{number}.vm" for number in range(3 * SINGLY)]

    def only_singly(argv: list[str]) -> str:
        return listed(*ids_in(argv)) if len(ids_in(argv)) == 1 else listed("other.vm")

    told = Told(only_singly)
    asking = Asking(PBS_HERE, told)
    seen: set[str] = set()
    for _ in range(3):
        before = len(told.asked)
        seen |= (await asking.ask_for(ids)).jobs.keys()
        assert len(told.asked) - before == 1 + SINGLY
    assert seen == set(ids)


async def test_where_a_question_is_for_one_job_each_has_its_own() -> None:
    told = Told(lambda argv: f"Job Id: {argv[-1]}\n    job_state = R\n\n")
    known = await Asking(MIYABI, told).ask_for(["1.opbs", "2.opbs"])
    assert set(known.jobs) == {"1.opbs", "2.opbs"}
    assert told.asked == [["qstat", "-f", "1.opbs"], ["qstat", "-f", "2.opbs"]]


async def test_a_job_that_left_the_one_list_is_looked_for_in_the_other() -> None:
    def say(argv: list[str]) -> str:
        if "-H" not in argv:
            return "No matching job found\n"
        return "Job Id: 1.opbs\n    job_state = F\n    Exit_status = 0\n\n"

    assert await states(MIYABI, ["1.opbs"], say) == {"1.opbs": C}
    assert await states(MIYABI, ["1.opbs"], lambda _: "No matching job found\n") == {"1.opbs": None}


async def test_elements_that_an_answer_leaves_open_are_asked_for_by_their_array_alone() -> None:
    scheduler = PBS(HPCProfile(scheduler="pbs", array=True))

    def say(argv: list[str]) -> str:
        asked = ids_in(argv)
        # openpbs#2672: of several it shows the first
        return listed(asked[0], "7[1].vm") if asked == ["7[].vm"] else listed(asked[0])

    told = Told(say)
    known = await Asking(scheduler, told).ask_for(["7[0].vm", "7[1].vm", "7[2].vm"])
    found = {job: status.state if status else None for job, status in known.jobs.items()}
    assert found == {"7[0].vm": R, "7[1].vm": R, "7[2].vm": None}
    assert [ids_in(argv) for argv in told.asked] == [["7[0].vm", "7[1].vm", "7[2].vm"], ["7[].vm"]]

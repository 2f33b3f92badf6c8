"""The fake OpenPBS answers like the real one, whose answers are kept in `schedulers/`."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hpc.testing.hanging import cut_off  # noqa: TID251  # the folder of these tests
from qcsc_hpc.testing import FakeJob, FakePBS, Fault
from qcsc_hpc.testing.executables.pbs.writing import written
from waiting import until

TRANSCRIPTS = Path(__file__).parents[1] / "schedulers" / "pbs_transcripts"
# the jobs of the transcripts, as their attributes tell
OK = ("okjob", "exit 3", "-j oe", "-l select=1:ncpus=2:mpiprocs=2", "-l walltime=00:05:00")
ZERO = ("okzero", "true", "-l walltime=00:01:00")
LONG = ("longjob", "sleep 60", "-q regular-c -A gz00", "-l walltime=00:10:00")
LONG_MORE = ("-W group_list=root", "-v QCSC_KEY=run1-it3-eval")
WALL = ("wallkill", "sleep 60", "-q short -j oe", "-l walltime=00:00:05")
SIGNAL = ("sigkill", "kill -9 $$", "-l walltime=00:01:00")
MISSING = ("notfound", "no-such-command", "-l walltime=00:01:00")


@pytest.fixture
def pbs(tmp_path: Path) -> Iterator[FakePBS]:
    with FakePBS(tmp_path, grace_seconds=0.3) as cluster:
        yield cluster


def write(pbs: FakePBS, name: str, body: str, *options: str) -> str:
    lines = ["#!/bin/bash", f"#PBS -N {name}", *(f"#PBS {option}" for option in options), body]
    (pbs.folder / "job.sh").write_text("\n".join(lines) + "\n")
    return "job.sh"


def submit(pbs: FakePBS, name: str, body: str, *options: str, asked: str = "") -> str:
    done = pbs.run("qsub", *shlex.split(asked), write(pbs, name, body, *options))
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


def job(pbs: FakePBS, id: str) -> FakeJob:
    return next(job for job in pbs.jobs() if job.id == id)


def until_state(pbs: FakePBS, id: str, state: str) -> FakeJob:
    until(lambda: job(pbs, id).state == state, f"job {id} is {state}")
    return job(pbs, id)


def shown(pbs: FakePBS, id: str) -> dict[str, Any]:  # Any: JSON
    done = pbs.run("qstat", "-x", "-f", "-F", "json", id)
    assert (done.returncode, done.stderr) == (0, "")
    found: dict[str, Any] = json.loads(done.stdout)["Jobs"][id]
    return found


def transcript(name: str) -> tuple[str, int, str, str]:
    """Command, exit code, stdout and stderr."""
    head, rest = (TRANSCRIPTS / f"{name}.txt").read_text().split("# --- stdout\n")
    command, code = head.splitlines()
    output, error = rest.split("# --- stderr\n")
    return command.removeprefix("$ "), int(code.removeprefix("# rc=")), output, error


def real(name: str, id: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(transcript(name)[2])["Jobs"][id]
    return found


def outline(value: Any) -> Any:
    """What stays when one looks away from values: names in their order, and types."""
    if isinstance(value, dict):
        return [(name, outline(one)) for name, one in value.items() if name != "session_id"]
    return "number" if isinstance(value, int | float) else type(value).__name__


SAME = ("Job_Name", "job_state", "queue", "substate", "Exit_status", "Resource_List", "Join_Path")


def assert_like(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    assert outline(ours) == outline(theirs)
    for name in (*SAME, "Hold_Types", "Account_Name", "depend", "group_list", "Rerunable"):
        assert ours.get(name) == theirs.get(name), name
    assert comment(ours) == comment(theirs)


def comment(attributes: dict[str, Any]) -> str:
    return re.sub(r"at .* on \([^)]*\)", "…", attributes.get("comment", ""))


@pytest.mark.parametrize(
    ("name", "id", "asked", "state"),
    [
        ("qstat_x_f_json_exit3", "18.vm", OK, "FAILED"),
        ("qstat_x_f_json_sigkill", "13.vm", SIGNAL, "FAILED"),
        ("qstat_x_f_json_cmd_not_found", "14.vm", MISSING, "FAILED"),
    ],
)
def test_a_job_that_ended_has_the_real_ones_attributes(
    pbs: FakePBS, name: str, id: str, asked: tuple[str, ...], state: str
) -> None:
    ours = submit(pbs, *asked)
    until_state(pbs, ours, state)
    theirs = real(name, id)
    theirs.pop("depend", None)  # it is another one that depends on it
    assert_like(shown(pbs, ours), theirs)


def test_a_job_that_ended_well_has_them(pbs: FakePBS) -> None:
    ours = submit(pbs, *ZERO)
    until_state(pbs, ours, "COMPLETED")
    theirs = real("qstat_x_f_json_exit0", "16.vm")
    del theirs["depend"]
    assert_like(shown(pbs, ours), theirs)


def test_a_job_that_runs_has_them_first_without_and_then_with_what_it_uses(pbs: FakePBS) -> None:
    ours = submit(pbs, *LONG, *LONG_MORE)
    until(lambda: shown(pbs, ours)["substate"] == 42, "the job runs")
    theirs = json.loads(transcript("qstat_mixed_known_unknown")[2])["Jobs"]["11.vm"]
    assert_like(shown(pbs, ours), theirs)


def test_a_job_that_was_deleted_while_it_ran_has_exit_status_0(pbs: FakePBS) -> None:
    ours = submit(pbs, *LONG, *LONG_MORE)
    until_state(pbs, ours, "RUNNING")
    assert pbs.run("qdel", ours).returncode == 0
    until_state(pbs, ours, "CANCELLED")
    assert_like(shown(pbs, ours), real("qstat_x_f_json_deleted_running", "11.vm"))


def test_a_job_that_reached_its_walltime_has_exit_status_minus_29(pbs: FakePBS) -> None:
    ours = submit(pbs, *WALL)
    until_state(pbs, ours, "RUNNING")
    pbs.expire(ours)
    until_state(pbs, ours, "TIMEOUT")
    assert_like(shown(pbs, ours), real("qstat_x_f_json_killed_by_walltime", "12.vm"))


def test_a_job_that_never_ran_has_no_exit_status(pbs: FakePBS) -> None:
    ours = submit(pbs, *ZERO, asked="-h")
    assert shown(pbs, ours)["job_state"] == "H"
    pbs.run("qdel", ours)
    assert_like(shown(pbs, ours), real("qstat_x_f_json_deleted_held", "15.vm"))


def test_a_job_whose_dependency_failed_has_the_substate_of_success(pbs: FakePBS) -> None:
    failed = submit(pbs, *OK)
    ours = submit(pbs, *ZERO, asked=f"-W depend=afterok:{failed}")
    until_state(pbs, ours, "CANCELLED")
    theirs = real("qstat_x_f_json_dep_failed", "19.vm")
    assert_like(shown(pbs, ours), {**theirs, "depend": f"afterok:{failed}@vm"})
    assert "Exit_status" not in theirs and theirs["substate"] == 92


def test_a_job_larger_than_the_machine_waits_for_ever(pbs: FakePBS) -> None:
    ours = submit(pbs, *ZERO, asked="-l select=64:ncpus=8")
    theirs = real("qstat_json_all", "7.vm")
    attributes = shown(pbs, ours)
    assert outline(attributes) == outline(theirs)
    assert attributes["Resource_List"] == theirs["Resource_List"]
    lacks = "Insufficient amount of resource: ncpus (R: 512 A: 16 T: 16)"
    assert attributes["comment"] == f"Can Never Run: {lacks}"
    pbs.run("qdel", ours)
    assert shown(pbs, ours)["comment"] == f"Can Never Run: {lacks} and terminated"


def test_a_job_that_waits_for_others_says_so(pbs: FakePBS) -> None:
    submit(pbs, "first", "sleep 60", "-l select=4:ncpus=4")
    waits = submit(pbs, "second", "true", "-l select=1:ncpus=4")
    lacks = "Insufficient amount of resource: ncpus (R: 4 A: 0 T: 16)"
    assert shown(pbs, waits)["comment"] == f"Not Running: {lacks}"


@pytest.mark.parametrize("name", ["qstat_json_all", "qstat_x_f_json_dep_failed"])
def test_json_is_written_in_the_real_ones_way(name: str) -> None:
    text = transcript(name)[2]
    assert f"{written(json.loads(text))}\n" == text


def test_json_holds_numbers_where_texts_look_like_one(pbs: FakePBS) -> None:
    id = submit(pbs, "007", "sleep 60", "-v A=1,B=x1,C=1e3")
    attributes = shown(pbs, id)
    assert attributes["Job_Name"] == 7
    assert {name: attributes["Variable_List"][name] for name in "ABC"} == {
        "A": 1,
        "B": "x1",
        "C": 1000,
    }


@pytest.mark.parametrize(
    "name",
    [
        *("qsub_ok", "qsub_name_project", "qsub_qpu_resource", "qsub_too_many_cpus_accepted"),
        *("qsub_bad_option", "qsub_disabled_queue", "qsub_missing_script", "qsub_unknown_queue"),
        *("qsub_unknown_resource", "qsub_walltime_over_limit", "qdel_unknown", "qstat_unknown_id"),
        "qstat_bad_id",
    ],
)
def test_a_command_says_what_the_real_one_said(pbs: FakePBS, name: str) -> None:
    for script in ("ok.sh", "zero.sh"):
        (pbs.folder / script).write_text("true\n")
    command, code, output, error = transcript(name)
    done = pbs.run(*shlex.split(command))
    assert (done.returncode, done.stderr) == (code, error)
    assert re.sub(r"\d+", "N", done.stdout.replace("23.06.06", "")) == re.sub(
        r"\d+", "N", output.replace("23.06.06", "")
    )


def test_a_finished_job_is_history(pbs: FakePBS) -> None:
    id = submit(pbs, *ZERO)
    until_state(pbs, id, "COMPLETED")
    for name, said in (("qdel_finished", ["qdel"]), ("qstat_finished_without_x", None)):
        _, code, _, error = transcript(name)
        done = pbs.run(*(said or ["qstat", "-f", "-F", "json"]), id)
        assert (done.returncode, done.stderr) == (code, error.replace("13.vm", id))
    assert "Jobs" not in json.loads(pbs.run("qstat", "-f", "-F", "json").stdout)


def test_a_mixed_request_has_json_and_an_error(pbs: FakePBS) -> None:
    id = submit(pbs, *ZERO)
    done = pbs.run("qstat", "-x", "-f", "-F", "json", id, "99999.vm")
    assert (done.returncode, done.stderr) == (153, "qstat: Unknown Job Id 99999.vm\n")
    assert list(json.loads(done.stdout)["Jobs"]) == [id]


def test_a_capital_flag_is_another_table_and_no_history(pbs: FakePBS) -> None:
    """As of a real OpenPBS: -H is the table of jobs that have ended, whatever else is asked for."""
    id = submit(pbs, *ZERO)
    until_state(pbs, id, "COMPLETED")
    alive = submit(pbs, *LONG)
    done = pbs.run("qstat", "-H", "-f", "-F", "json", id)
    assert done.returncode == 0
    assert done.stdout.startswith("Job id ") and id in done.stdout
    assert pbs.run("qselect", "-H").stdout == f"{id}\n"
    assert pbs.run("qselect", "-x").stdout == f"{id}\n{alive}\n"


def test_text_goes_on_behind_a_tab(pbs: FakePBS) -> None:
    id = submit(pbs, "wide", "sleep 60", f"-v A={'x' * 100},B={'y' * 60}")
    text = pbs.run("qstat", "-f", id).stdout
    assert max(len(line.expandtabs(1)) for line in text.splitlines()) <= 80
    assert f"A={'x' * 100},B={'y' * 60}" in text.replace("\n\t", "")


def test_an_answer_in_part_shows_the_first_job_alone(pbs: FakePBS) -> None:
    first, second = submit(pbs, *LONG), submit(pbs, *LONG)
    pbs.inject(Fault.STATUS_IN_PART)
    shown = pbs.run("qstat", "-f", "-F", "json", first, second)
    assert list(json.loads(shown.stdout)["Jobs"]) == [first]
    shown = pbs.run("qstat", "-f", "-F", "json", first, second)
    assert list(json.loads(shown.stdout)["Jobs"]) == [first, second]


def test_a_user_has_so_many_jobs_in_the_queue_and_so_many_that_run(tmp_path: Path) -> None:
    with FakePBS(tmp_path, most_queued=2, most_running=1) as pbs:
        first, second = submit(pbs, *LONG), submit(pbs, *LONG)
        until_state(pbs, first, "RUNNING")
        assert "has reached queue regular-c running job limit" in str(shown(pbs, second)["comment"])
        done = pbs.run("qsub", write(pbs, "third", "true"))
        assert (done.returncode, done.stderr) == (
            38,
            "qsub: would exceed queue workq's per-user limit\n",
        )
        pbs.run("qdel", first)
        until_state(pbs, second, "RUNNING")


# Miyabi's own commands


@pytest.fixture
def miyabi(tmp_path: Path) -> Iterator[FakePBS]:
    with FakePBS(tmp_path, dialect="miyabi", grace_seconds=0.3) as pbs:
        yield pbs


def test_miyabi_has_two_lists_in_text(miyabi: FakePBS) -> None:
    id = submit(miyabi, "ends", "exit 3")
    assert re.fullmatch(r"\d+\.opbs", id)
    until_state(miyabi, id, "FAILED")
    assert "No matching job found" in miyabi.run("qstat", "-f", id).stdout
    ended = miyabi.run("qstat", "-H", "-f", id).stdout
    assert f"Job Id: {id}\n    Job_Name = ends\n" in ended
    assert "    Exit_status = 3\n" in ended
    alive = submit(miyabi, "lives", "sleep 60")
    assert f"Job Id: {alive}\n" in miyabi.run("qstat", "-f").stdout
    assert "No matching job found" in miyabi.run("qstat", "-H", "-f", alive).stdout


@pytest.mark.parametrize("flags", ["-x", "-xf", "-u root", "-Q", "-f -F json", "-w"])
def test_miyabi_s_qstat_rejects_what_is_none_of_its_own(miyabi: FakePBS, flags: str) -> None:
    done = miyabi.run("qstat", *flags.split())
    assert (done.returncode, done.stdout) == (2, "")
    assert "invalid option" in done.stderr


def test_miyabi_shows_so_many_jobs_that_have_ended(miyabi: FakePBS) -> None:
    for _ in range(2):
        until_state(miyabi, submit(miyabi, *ZERO), "COMPLETED")
    assert miyabi.run("qstat", "-H", "-f").stdout.count("Job Id: ") == 2
    assert miyabi.run("qstat", "-H", "--hnum=1", "-f").stdout.count("Job Id: 2.opbs\n") == 1
    assert "No matching job found" in miyabi.run("qstat", "-H", "--hday=0", "-f").stdout


def test_miyabi_has_no_qselect(miyabi: FakePBS) -> None:
    assert not (miyabi.folder / "bin" / "qselect").exists()


@pytest.mark.parametrize("select", ["1:ngpus=1", "2:mpiprocs=1:ngpus=1"])
def test_miyabi_takes_no_gpus_in_a_chunk(miyabi: FakePBS, select: str) -> None:
    done = miyabi.run("qsub", write(miyabi, "gpus", "true", f"-l select={select}"))
    assert (done.returncode, done.stdout) == (168, "")


def test_miyabi_takes_no_multi_byte_names(miyabi: FakePBS) -> None:
    script = miyabi.folder / write(miyabi, "plain", "true")
    place = miyabi.folder / "日本"
    place.mkdir()
    assert miyabi.run("qsub", str(script), folder=place).returncode == 2


def test_jobs_are_found_by_name_and_account(pbs: FakePBS) -> None:
    zero, long = submit(pbs, *ZERO), submit(pbs, *LONG)
    until_state(pbs, zero, "COMPLETED")
    assert pbs.run("qselect", "-x", "-N", "okzero").stdout == f"{zero}\n"
    assert pbs.run("qselect", "-N", "okzero").stdout == ""
    assert pbs.run("qselect", "-A", "gz00", "-x").stdout == f"{long}\n"
    none = pbs.run("qselect", "-x", "-N", "nothing")
    assert (none.returncode, none.stdout, none.stderr) == (0, "", "")
    assert [line.split()[0] for line in pbs.run("qstat").stdout.splitlines()[2:]] == [long]


def test_output_comes_at_the_end_unless_it_is_to_be_written_directly(pbs: FakePBS) -> None:
    body = "echo early; touch began.$PBS_JOBNAME; until [ -e go ]; do sleep 0.01; done"
    spooled = submit(pbs, "spooled", f"cd $PBS_O_WORKDIR; {body}", "-j oe")
    direct = submit(pbs, "direct", f"cd $PBS_O_WORKDIR; {body}", "-j oe -k oed")
    for name in ("spooled", "direct"):
        until((pbs.folder / f"began.{name}").exists, f"{name} has begun")
    assert (pbs.folder / f"direct.o{direct.split('.')[0]}").read_text() == "early\n"
    output = pbs.folder / f"spooled.o{spooled.split('.')[0]}"
    assert not output.exists()
    (pbs.folder / "go").touch()
    until_state(pbs, spooled, "COMPLETED")
    assert output.read_text() == "early\n"


def test_a_job_runs_at_home_with_a_file_of_its_nodes(
    pbs: FakePBS, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OF_THE_SUBMITTER", "x")
    body = "pwd; cat $PBS_NODEFILE; echo $PBS_JOBID $PBS_QUEUE $A ${OF_THE_SUBMITTER-none}"
    options = ("-l select=2:ncpus=2:mpiprocs=2", "-o out", "-e err", "-v A='b c'")
    id = submit(pbs, "placed", body, *options)
    until_state(pbs, id, "COMPLETED")
    home, *rest = (pbs.folder / "out").read_text().splitlines()
    assert Path(home) == pbs.folder / "home"
    assert rest == ["n1", "n1", "n2", "n2", f"{id} workq b c none"]


def test_the_key_is_known_from_the_environment_or_the_script(pbs: FakePBS) -> None:
    submit(pbs, "one", "true", "-v QCSC_JOB_KEY=abc")
    submit(pbs, "two", "export QCSC_JOB_KEY='def'")
    assert [job.key for job in pbs.jobs()] == ["abc", "def"]


@pytest.mark.parametrize("action", ["requeue", "fail_node", "preempt"])
def test_a_job_runs_again_unless_it_must_not(pbs: FakePBS, action: str) -> None:
    body = "cd $PBS_O_WORKDIR; [ -e again ] && exit; touch again; sleep 60"
    id = submit(pbs, "again", body)
    until((pbs.folder / "again").exists, "the job has begun")
    getattr(pbs, action)(id)
    until_state(pbs, id, "COMPLETED")
    assert (shown(pbs, id)["run_count"], shown(pbs, id)["Exit_status"]) == (2, 0)


def test_a_job_that_may_not_run_again_fails_with_its_node(pbs: FakePBS) -> None:
    id = submit(pbs, "once", "sleep 60", "-r n")
    until_state(pbs, id, "RUNNING")
    pbs.fail_node(id)
    until_state(pbs, id, "NODE_FAIL")
    assert shown(pbs, id)["Exit_status"] < 0


def test_a_submission_can_fail_or_be_accepted_all_the_same(pbs: FakePBS) -> None:
    script = write(pbs, "hidden", "true")
    pbs.inject(Fault.SUBMIT_FAILS_TRANSIENT)
    done = pbs.run("qsub", script)
    assert done.returncode != 0 and "cannot connect to server vm (errno=15010)" in done.stderr
    assert pbs.jobs() == []
    pbs.inject(Fault.SUBMIT_TIMES_OUT_THOUGH_ACCEPTED)
    cut_off(pbs, "qsub", script)
    assert pbs.run("qselect", "-x", "-N", "hidden").stdout == "1.vm\n"


def test_a_submission_can_be_accepted_late_or_vanish(pbs: FakePBS) -> None:
    pbs.inject(Fault.SUBMIT_ACCEPTED_LATE, seconds=5)  # a question takes a second on a busy machine
    assert pbs.run("qsub", write(pbs, "late", "true")).returncode != 0
    assert pbs.run("qselect", "-x", "-N", "late").stdout == ""
    until(lambda: pbs.run("qselect", "-x", "-N", "late").stdout, "the job has come")
    pbs.inject(Fault.JOB_VANISHES)
    lost = submit(pbs, *ZERO)
    assert pbs.run("qstat", "-x", lost).returncode == 153


def test_a_status_command_can_fail_hang_or_answer_garbage(pbs: FakePBS) -> None:
    id = submit(pbs, *ZERO)
    pbs.inject(Fault.STATUS_GARBAGE)
    done = pbs.run("qstat", "-x", "-f", "-F", "json", id)
    assert done.returncode == 0 and done.stdout
    with pytest.raises(json.JSONDecodeError):
        json.loads(done.stdout)
    pbs.inject(Fault.STATUS_FAILS)
    assert "cannot connect to server" in pbs.run("qstat").stderr
    pbs.inject(Fault.STATUS_HANGS, seconds=0.2)
    assert pbs.run("qstat", "-x", id).returncode == 0


def test_a_cancellation_can_fail_and_a_job_never_start(pbs: FakePBS) -> None:
    pbs.inject(Fault.NEVER_STARTS)
    id = submit(pbs, *ZERO)
    assert shown(pbs, id)["comment"] == "Not Running: Insufficient amount of resource: ncpus"
    pbs.inject(Fault.CANCEL_FAILS)
    assert pbs.run("qdel", id).returncode == 1
    assert job(pbs, id).state == "PENDING"


def test_its_accounting_cannot_lag(pbs: FakePBS) -> None:
    with pytest.raises(ValueError, match="accounting-lags cannot happen to PBS"):
        pbs.inject(Fault.ACCOUNTING_LAGS, seconds=1.0)

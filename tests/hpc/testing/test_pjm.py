"""The fake PJM prints what public material shows of the real one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from hpc.testing.hanging import cut_off  # noqa: TID251  # the folder of these tests
from qcsc_hpc.testing import FakeJob, FakePJM, Fault
from waiting import until

# as Fugaku prints it
HEADER = (
    "JOB_ID     JOB_NAME   MD ST  USER     GROUP    START_DATE      ELAPSE_TIM ELAPSE_LIM"
    "            NODE_REQUIRE    VNODE  CORE V_MEM        V_POL E_POL RANK      LST EC  PC  SN"
    " PRI ACCEPT         RSC_GRP  REASON          "
)
TIMED_OUT = (
    "1          lucj-qpy-b NM EXT root     ra010014 06/01 15:22:46  0000:00:00 0000:15:00"
    "            1               -      -    -            -     -     bychip    RNO 0   11  24"
    " 127 06/01 15:22:46 small    ELAPSE LIMIT EXC"
)
NAME = "lucj-qpy-bitcount"


@pytest.fixture
def pjm(tmp_path: Path) -> Iterator[FakePJM]:
    with FakePJM(tmp_path, grace_seconds=0.3) as cluster:
        yield cluster


def write(pjm: FakePJM, body: str, *options: str) -> str:
    lines = ["#!/bin/bash", *(f"#PJM {option}" for option in options), body]
    (pjm.folder / "job.sh").write_text("\n".join(lines) + "\n")
    return "job.sh"


def submit(pjm: FakePJM, body: str, *options: str) -> str:
    done = pjm.run("pjsub", write(pjm, body, *options))
    accepted = re.fullmatch(r"\[INFO\] PJM 0000 pjsub Job (\d+) submitted\.\n", done.stdout)
    assert (done.returncode, done.stderr) == (0, "") and accepted
    return accepted[1]


def refused(pjm: FakePJM, *options: str) -> str:
    done = pjm.run("pjsub", write(pjm, "true", *options))
    assert done.returncode == 1 and done.stdout == "" and pjm.jobs() == []
    return done.stderr


def table(pjm: FakePJM, *arguments: str) -> list[dict[str, str]]:
    """The rows, cut at where the titles stand: START_DATE has a blank in it."""
    done = pjm.run("pjstat", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    header, *lines = done.stdout.splitlines()
    spans = [match.span() for match in re.finditer(r"\S+\s*", header)]
    return [{header[a:b].strip(): line[a:b].strip() for a, b in spans} for line in lines]


def columns(rows: list[dict[str, str]], *names: str) -> list[tuple[str, ...]]:
    return [tuple(row[name] for name in names) for row in rows]


def job(pjm: FakePJM, id: str) -> FakeJob:
    return next(job for job in pjm.jobs() if job.id == id)


def until_state(pjm: FakePJM, id: str, state: str) -> FakeJob:
    until(lambda: job(pjm, id).state == state, f"job {id} is {state}")
    return job(pjm, id)


def test_the_table_has_fugakus_columns(pjm: FakePJM) -> None:
    assert pjm.run("pjstat", "-v").stdout == f"{HEADER}\n"
    assert pjm.run("pjstat", "-H", "-v").stdout == f"{HEADER}\n"


def test_a_job_past_its_time_has_exit_code_0_and_code_11(pjm: FakePJM) -> None:
    options = (f"--name {NAME}", '-L "elapse=00:15:00"', "-g ra010014")
    id = submit(pjm, "sleep 60", *options)
    until_state(pjm, id, "RUNNING")
    pjm.expire(id)
    until_state(pjm, id, "TIMEOUT")
    line = pjm.run("pjstat", "-H", "-v", id).stdout.splitlines()[1]
    line = re.sub(r"\d\d/\d\d \d\d:\d\d:\d\d", "06/01 15:22:46", line)
    assert re.sub(r"0000:00:0\d", "0000:00:00", line) == TIMED_OUT


def test_a_running_job_is_in_one_list_and_an_ended_one_in_the_other(pjm: FakePJM) -> None:
    id = submit(pjm, "until [ -e go ]; do sleep 0.01; done; exit 3")
    until(lambda: columns(table(pjm, "-v", id), "ST", "EC") == [("RUN", "0")], "the job runs")
    assert table(pjm, "-H", "-v", id) == []
    (pjm.folder / "go").touch()
    until_state(pjm, id, "FAILED")
    assert table(pjm, "-v", id) == []
    (row,) = table(pjm, "-H", "-v", id)
    assert columns([row], "JOB_ID", "ST", "LST", "EC", "PC", "SN") == [
        (id, "EXT", "RNO", "3", "0", "0")
    ]


def test_history_can_lag_so_that_a_job_is_in_neither_list(pjm: FakePJM) -> None:
    pjm.inject(Fault.ACCOUNTING_LAGS, seconds=60.0)
    id = submit(pjm, "true")
    until_state(pjm, id, "COMPLETED")
    assert table(pjm, "-v", id) == table(pjm, "-H", "-v", id) == []


def test_a_waiting_job_has_an_estimated_start_in_brackets(pjm: FakePJM) -> None:
    submit(pjm, "sleep 60", '-L "node=4"')
    waits = submit(pjm, "true", '-L "node=1"')
    (row,) = table(pjm, "-v", waits)
    assert row["ST"] == "QUE" and re.fullmatch(r"\(\d\d/\d\d \d\d:\d\d\)", row["START_DATE"])


def test_a_job_runs_where_it_was_submitted(pjm: FakePJM) -> None:
    body = "pwd; echo $PJM_JOBID $PJM_SUBJOBID $PJM_JOBNAME $PJM_NODE $PJM_MPI_PROC $A; echo x >&2"
    options = ("-N place", '-L "node=2x2x1,rscgrp=large"', '--mpi "proc=8"', "-x A=b")
    id = submit(pjm, body, *options)
    until_state(pjm, id, "COMPLETED")
    expected = f"{pjm.folder}\n{id} {id} place 4 8 b\n"
    assert (pjm.folder / f"place.{id}.out").read_text() == expected
    assert (pjm.folder / f"place.{id}.err").read_text() == "x\n"


def test_outputs_are_joined_and_statistics_written(pjm: FakePJM) -> None:
    options = ("-o out.%j", "-j", "-S", "--spath stats.%j")
    id = submit(pjm, "echo x >&2; exit 3", *options)
    until_state(pjm, id, "FAILED")
    assert (pjm.folder / f"out.{id}").read_text() == "x\n"
    assert re.search(r"EXIT CODE +: 3\n", (pjm.folder / f"stats.{id}").read_text())


def test_a_job_whose_output_cannot_be_opened_has_code_16(pjm: FakePJM) -> None:
    id = submit(pjm, "true", "-o /nowhere/out")
    until_state(pjm, id, "FAILED")
    assert columns(table(pjm, "-H", "-v", id), "ST", "EC", "PC") == [("EXT", "0", "16")]


def test_what_can_never_run_is_refused(pjm: FakePJM) -> None:
    over = "[ERR.] PJM 0057 pjsub node=32 is greater than the upper limit (4).\n"
    assert refused(pjm, '-L "node=32"') == over
    assert "elapse=604800 is greater than" in refused(pjm, '-L "elapse=168:00:00"')
    assert "Resource group does not exist" in refused(pjm, '-L "rscgrp=nope"')
    assert refused(pjm, "--foo=1").startswith("[ERR.] PJM")
    done = pjm.run("pjsub", "none.sh")
    missing = "[ERR.] PJM 0020 pjsub Cannot open the file (none.sh) : 2.\n"
    assert (done.returncode, done.stderr) == (1, missing)


def test_a_long_name_is_shown_short_but_found_whole(pjm: FakePJM) -> None:
    id = submit(pjm, "sleep 60", f"-N {NAME}")
    assert columns(table(pjm, "-v", id), "JOB_NAME") == [(NAME[:10],)]
    found = table(pjm, "-v", "--choose", "jid,st,ermsg", "--filter", f"jnam={NAME}")
    assert columns(found, "JOB_ID") == [(id,)] and list(found[0]) == ["JOB_ID", "ST", "REASON"]
    assert table(pjm, "-v", "--filter", f"jnam={NAME[:10]}") == []
    assert columns(table(pjm, "-v", "--filter", f"jid=77+{id}"), "JOB_ID") == [(id,)]


def test_an_unknown_id_is_an_empty_table_and_a_wrong_one_an_error(pjm: FakePJM) -> None:
    assert table(pjm, "-v", "77") == []
    done = pjm.run("pjstat", "-v", "r1")
    invalid = "[ERR.] PJM 0211 pjstat Invalid jobid: r1.\n"
    assert (done.returncode, done.stderr) == (1, invalid)


def test_pjdel_ends_what_waits_and_what_runs(pjm: FakePJM) -> None:
    runs = submit(pjm, "touch began; sleep 60", '-L "node=4"')
    waits = submit(pjm, "true")
    until((pjm.folder / "began").exists, "the job has begun")
    done = pjm.run("pjdel", runs, waits)
    accepted = "".join(f"[INFO] PJM 0100 pjdel Accepted job {id}.\n" for id in (runs, waits))
    assert (done.returncode, done.stdout) == (0, accepted)
    until_state(pjm, runs, "CANCELLED")
    assert columns(table(pjm, "-H", "-v"), "ST", "PC") == [("CCL", "1"), ("CCL", "1")]
    assert pjm.run("pjdel", runs).returncode == pjm.run("pjdel", "77").returncode == 1


@pytest.mark.parametrize(
    ("action", "state", "row"),
    [
        ("fail_node", "NODE_FAIL", ("EXT", "0", "20", "-")),
        ("preempt", "PREEMPTED", ("EXT", "0", "18", "ANOTHER JOB STAR")),
        ("break_down", "ERROR", ("ERR", "0", "28", "INTERNAL ERROR")),
    ],
)
def test_a_test_can_end_a_job(pjm: FakePJM, action: str, state: str, row: tuple[str, ...]) -> None:
    id = submit(pjm, "sleep 60")
    until_state(pjm, id, "RUNNING")
    getattr(pjm, action)(id)
    until_state(pjm, id, state)
    assert columns(table(pjm, "-H", "-v", id), "ST", "EC", "PC", "REASON") == [row]


def test_a_waiting_job_can_be_rejected(pjm: FakePJM) -> None:
    pjm.inject(Fault.NEVER_STARTS)
    id = submit(pjm, "true")
    assert columns(table(pjm, "-v", id), "ST", "REASON") == [("QUE", "INSUFF NODE")]
    pjm.reject(id)
    row = ("RJT", "3", "GATE CHECK")
    assert columns(table(pjm, "-H", "-v", id), "ST", "PC", "REASON") == [row]


def test_a_requeued_job_runs_again_with_its_id(pjm: FakePJM) -> None:
    pjm.inject(Fault.REQUEUED, seconds=0.3)
    id = submit(pjm, "[ -e again ] && exit; touch again; sleep 60")
    assert until_state(pjm, id, "COMPLETED").starts == 2


def test_its_commands_fail_as_those_of_the_others_do(pjm: FakePJM) -> None:
    script = write(pjm, "true", f"-N {NAME}", "-x QCSC_JOB_KEY=key")
    pjm.inject(Fault.SUBMIT_FAILS_TRANSIENT)
    assert pjm.run("pjsub", script).returncode == 1 and pjm.jobs() == []
    pjm.inject(Fault.SUBMIT_TIMES_OUT_THOUGH_ACCEPTED)
    cut_off(pjm, "pjsub", script)
    pjm.inject(Fault.JOB_VANISHES)
    assert pjm.run("pjsub", script).returncode == 0
    assert [job.key for job in pjm.jobs()] == ["key", "key"]
    until_state(pjm, "1", "COMPLETED")
    assert columns(table(pjm, "-H", "-v"), "JOB_ID") == [("1",)]
    pjm.inject(Fault.STATUS_FAILS)
    assert pjm.run("pjstat").returncode == 1
    pjm.inject(Fault.STATUS_GARBAGE)
    cut = pjm.run("pjstat", "-H", "-v", "1")
    assert cut.returncode == 0 and not cut.stdout.endswith("\n")
    pjm.inject(Fault.CANCEL_FAILS)
    assert "Cannot connect" in pjm.run("pjdel", "1").stderr


def test_a_submission_can_be_accepted_late(pjm: FakePJM) -> None:
    pjm.inject(Fault.SUBMIT_ACCEPTED_LATE, seconds=5)
    assert pjm.run("pjsub", write(pjm, "true")).returncode == 1
    assert pjm.jobs() == [] and table(pjm, "-v") == []
    until(pjm.jobs, "the job has come")
    until_state(pjm, "1", "COMPLETED")


def test_what_was_called_is_on_record(pjm: FakePJM) -> None:
    pjm.run("pjstat", "-v", "1", "a b")
    assert [call.argv for call in pjm.commands()] == [["pjstat", "-v", "1", "a b"]]


@pytest.mark.parametrize("share", ["gpu=1", "vnode-core=4"])
def test_a_share_of_a_node_is_asked_for_in_the_place_of_nodes(pjm: FakePJM, share: str) -> None:
    assert "cannot be specified at the same time" in refused(pjm, f'-L "node=1,{share}"')
    submit(pjm, "true", f'-L "{share},rscgrp=small"')


def test_a_version_may_take_no_choice_of_columns(tmp_path: Path) -> None:
    with FakePJM(tmp_path, chooses=False) as pjm:
        done = pjm.run("pjstat", "-v", "--choose", "jid,st")
        assert (done.returncode, done.stdout) == (1, "")
        assert "Invalid option: --choose" in done.stderr
        assert pjm.run("pjstat", "-v").returncode == 0


def test_wisteria_has_a_pjstat_of_its_own(tmp_path: Path) -> None:
    with FakePJM(tmp_path, grace_seconds=0.3, dialect="wisteria") as pjm:
        assert pjm.run("pjstat").stdout.splitlines()[-1] == "No unfinished job found."
        id = submit(pjm, "sleep 60", "--name a-long-name")
        until_state(pjm, id, "RUNNING")
        *_, titles, line = pjm.run("pjstat").stdout.splitlines()
        assert titles.split()[:5] == ["JOB_ID", "JOB_NAME", "STATUS", "PROJECT", "RSCGROUP"]
        assert line.split()[:3] == [id, "a-long-nam", "RUNNING"]
        assert pjm.run("pjstat", "-v").returncode == 1
        pjm.run("pjdel", id)
        until_state(pjm, id, "CANCELLED")
        assert " END " in pjm.run("pjstat", "-H").stdout

"""The fake Slurm answers, and fails, like the real one."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hpc.testing.hanging import cut_off  # noqa: TID251  # the folder of these tests
from qcsc_hpc.testing import FakeJob, FakeSlurm, Fault
from waiting import DEADLINE_SECONDS, alive, until

FIELDS = ("JobID", "State", "exit_code", "SubmitTime", "StartTime", "EndTime", "NumNodes")
FORMAT = ",".join(f"{name}:|" for name in (*FIELDS, "NumCPUs", "Name", "Reason"))
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d"
LAG = 0.3


@pytest.fixture
def slurm(tmp_path: Path) -> Iterator[FakeSlurm]:
    with FakeSlurm(tmp_path, accounting_lag=0.0, grace_seconds=0.3) as cluster:
        yield cluster


def write(slurm: FakeSlurm, body: str, *options: str) -> str:
    lines = ["#!/bin/bash", *(f"#SBATCH {option}" for option in options), body]
    (slurm.folder / "job.sh").write_text("\n".join(lines) + "\n")
    return "job.sh"


def submit(slurm: FakeSlurm, body: str, *options: str) -> str:
    done = slurm.run("sbatch", "--parsable", write(slurm, body, *options))
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


def refused(slurm: FakeSlurm, *options: str) -> tuple[int, str]:
    done = slurm.run("sbatch", "--parsable", write(slurm, "true", *options))
    assert done.stdout == "" and slurm.jobs() == []
    return done.returncode, done.stderr


def squeue(slurm: FakeSlurm, *ids: str) -> list[list[str]]:
    wanted = ("--states=all", "--noheader", f"--jobs={','.join(ids)}", f"--Format={FORMAT}")
    done = slurm.run("squeue", *wanted)
    assert (done.returncode, done.stderr) == (0, "")
    return [line.split("|") for line in done.stdout.splitlines()]


def sacct(slurm: FakeSlurm, *options: str, fields: str = "JobID,State,ExitCode") -> list[list[str]]:
    done = slurm.run("sacct", "--noheader", "--parsable2", *options, f"--format={fields}")
    assert (done.returncode, done.stderr) == (0, "")
    return [line.split("|") for line in done.stdout.splitlines()]


def job(slurm: FakeSlurm, id: str) -> FakeJob:
    return next(job for job in slurm.jobs() if job.id == id)


def until_state(slurm: FakeSlurm, id: str, state: str) -> FakeJob:
    until(lambda: job(slurm, id).state == state, f"job {id} is {state}")
    return job(slurm, id)


def until_runs(slurm: FakeSlurm, id: str) -> None:
    """Until its script has begun, which it has to say by making the file."""
    until((slurm.folder / "began").exists, f"job {id} has begun")


def test_a_failed_job_is_shown_as_the_real_one_was(slurm: FakeSlurm) -> None:
    id = submit(slurm, "exit 3", "--job-name=name-NIL", "--export=NIL")
    until_state(slurm, id, "FAILED")
    done = slurm.run("squeue", "--states=all", "--noheader", f"--jobs={id}", f"--Format={FORMAT}")
    expected = rf"1\|FAILED\|768\|{TIME}\|{TIME}\|{TIME}\|1\|1\|name-NIL\|NonZeroExitCode\|\n"
    assert re.fullmatch(expected, done.stdout)


def test_times_are_seconds_when_the_environment_asks_for_it(
    slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_TIME_FORMAT", "%s")
    id = submit(slurm, "sleep 60", "--nodes=99")
    ((*_, submitted, started, ended, _, _, _, _, _),) = squeue(slurm, id)
    assert (int(submitted), started, ended) == (int(job(slurm, id).submitted), "N/A", "N/A")
    (row,) = sacct(slurm, "-X", f"--jobs={id}", fields="Submit,Start,End")
    assert row == [submitted, "Unknown", "Unknown"]


def test_output_goes_where_the_script_says(slurm: FakeSlurm) -> None:
    (slurm.folder / "a folder").mkdir()
    options = ("--chdir='a folder'", "--job-name='a name'", '--output="%x-%j.log"')
    id = submit(slurm, "pwd; echo error >&2", *options)
    until_state(slurm, id, "COMPLETED")
    folder = slurm.folder / "a folder"
    assert (folder / f"a name-{id}.log").read_text() == f"{folder}\nerror\n"


def test_output_is_appended_or_overwritten(slurm: FakeSlurm) -> None:
    for mode, text in (("truncate", "x\n"), ("append", "x\nx\n"), ("truncate", "x\n")):
        id = submit(slurm, "echo x", "--output=out", f"--open-mode={mode}")
        until_state(slurm, id, "COMPLETED")
        assert (slurm.folder / "out").read_text() == text


def test_a_job_whose_output_cannot_be_opened_fails_without_running(slurm: FakeSlurm) -> None:
    id = submit(slurm, f"touch {slurm.folder}/began", "--output=/nowhere/out")
    until_state(slurm, id, "FAILED")
    assert sacct(slurm, "-X", f"--jobs={id}") == [[id, "FAILED", "0:53"]]
    assert not (slurm.folder / "began").exists()


def test_a_job_inherits_nothing_if_it_asks_for_that(
    slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OF_THE_SUBMITTER", "x")
    options = ("--output=%j", "--nodes=2", "--ntasks=4", "--cpus-per-task=2", "--job-name='a b'")
    ids = [submit(slurm, "env", *options, f"--export={export}") for export in ("NIL", "ALL")]
    for id in ids:
        until_state(slurm, id, "COMPLETED")
    nil, everything = ((slurm.folder / id).read_text().splitlines() for id in ids)
    assert "OF_THE_SUBMITTER=x" in everything
    assert not [line for line in nil if line.startswith("OF_THE_SUBMITTER")]
    expected = {f"SLURM_JOB_ID={ids[0]}", "SLURM_JOB_NAME=a b", "SLURM_JOB_NODELIST=c[1-2]"}
    assert expected | {"SLURM_NTASKS=4", "SLURM_CPUS_PER_TASK=2", "SLURM_NNODES=2"} <= set(nil)
    assert not [line for line in nil if line.startswith("SLURM_RESTART_COUNT")]


def test_what_can_never_be_accepted_is_refused(slurm: FakeSlurm) -> None:
    help = 'Try "sbatch --help" for more information\n'
    failed = "sbatch: error: Batch job submission failed: "
    assert refused(slurm, "--foo=1") == (255, f"sbatch: unrecognized option '--foo'\n{help}")
    code, text = refused(slurm, "--partition=nope")
    assert code == 1 and text.endswith(f"{failed}Invalid partition name specified\n")
    code, text = refused(slurm, "--account=nope")
    invalid = "Invalid account or account/partition combination specified\n"
    assert (code, text) == (1, failed + invalid)
    assert refused(slurm, "--time=soon") == (255, "sbatch: error: Invalid --time specification\n")
    (slurm.folder / "none.sh").write_text("true\n")
    done = slurm.run("sbatch", "none.sh")
    assert done.returncode == 1 and "does not look like a batch script" in done.stderr


def test_what_can_never_start_is_accepted_and_says_why(slurm: FakeSlurm) -> None:
    options = {
        "PartitionConfig": ["--nodes=99"],
        "PartitionTimeLimit": ["--partition=short", "--time=2"],
        "ReqNodeNotAvail, UnavailableNodes:c5": ["--partition=drained"],
    }
    for reason, asked in options.items():
        id = submit(slurm, "true", *asked)
        ((_, state, *_, said, _),) = squeue(slurm, id)
        assert (state, said) == ("PENDING", reason)
    other = submit(slurm, "true")
    until_state(slurm, other, "COMPLETED")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("2", 120), ("0:30", 30), ("1:00:00", 3600), ("0-00:10:00", 600), ("0-1", 3600)],
)
def test_a_time_limit_can_be_written_in_slurms_ways(
    slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch, text: str, seconds: int
) -> None:
    monkeypatch.setenv("SLURM_TIME_FORMAT", "%s")
    id = submit(slurm, "sleep 60", f"--time={text}")
    ((*_, started, ended, _, _, _, _, _),) = squeue(slurm, id)
    assert int(ended) - int(started) in (seconds, seconds + 1)


def test_unknown_ids_are_an_error_only_to_squeue_and_only_alone(slurm: FakeSlurm) -> None:
    known = submit(slurm, "true")
    done = slurm.run("squeue", "--states=all", "--jobs=77")
    error = "slurm_load_jobs error: Invalid job id specified\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", error)
    assert [row[0] for row in squeue(slurm, known, "77")] == [known]
    assert squeue(slurm, "77", "78") == []
    assert sacct(slurm, "-X", "--jobs=77") == []
    done = slurm.run("scancel", "77")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert slurm.run("scontrol", "show", "job", "77").returncode == 1


def test_squeue_shows_only_what_is_active_unless_asked(slurm: FakeSlurm) -> None:
    ended = submit(slurm, "true", "--job-name=same")
    until_state(slurm, ended, "COMPLETED")
    waits = submit(slurm, "true", "--job-name=same", "--nodes=99")
    form = ("--noheader", "--Format=JobID:|", "--name=same")
    assert slurm.run("squeue", *form).stdout == f"{waits}|\n"
    assert slurm.run("squeue", "--me", "--states=all", *form).stdout == f"{ended}|\n{waits}|\n"


def test_squeue_forgets_what_sacct_remembers(tmp_path: Path) -> None:
    with FakeSlurm(tmp_path, min_job_age=0.0, accounting_lag=0.0) as slurm:
        id = submit(slurm, "true")
        until_state(slurm, id, "COMPLETED")
        assert slurm.run("squeue", "--states=all", f"--jobs={id}").returncode == 1
        assert sacct(slurm, "-X", f"--jobs={id}") == [[id, "COMPLETED", "0:0"]]


def test_accounting_is_late(tmp_path: Path) -> None:
    with FakeSlurm(tmp_path, accounting_lag=5) as slurm:  # longer than a question takes
        id = submit(slurm, "true", "--job-name=known")
        assert sacct(slurm, "-X", f"--jobs={id}") == []
        asked = ("-X", f"--jobs={id}")
        until(lambda: sacct(slurm, *asked), "the job is in sacct")
        seen: list[list[str]] = []

        def is_whole() -> bool:
            seen.extend(sacct(slurm, *asked, fields="State,JobName"))
            return seen[-1] == ["COMPLETED", "known"]

        until(is_whole, "sacct knows all of it")
        assert "allocation" in [name for _, name in seen]
        assert [row[0] for row in sacct(slurm, "-X", "--name=known")] == [id]
        assert sacct(slurm, "-X", "--name=known", "--starttime=2036-01-01") == []


def test_sacct_knows_the_memory_of_the_batch_step(slurm: FakeSlurm) -> None:
    id = submit(slurm, "exit 4")
    job = until_state(slurm, id, "FAILED")
    assert job.started is not None and job.ended is not None
    took = str(int(job.ended - job.started))
    fields = "JobID,State,ExitCode,MaxRSS,ElapsedRaw"
    whole, step = sacct(slurm, f"--jobs={id}", fields=fields)
    assert whole == [id, "FAILED", "4:0", "", took]
    assert step[:3] == [f"{id}.batch", "FAILED", "4:0"]
    assert re.fullmatch(r"\d+K", step[3])


def test_a_signal_is_no_exit_code(slurm: FakeSlurm) -> None:
    id = submit(slurm, "kill -9 $$")
    assert until_state(slurm, id, "FAILED").exit_code == -9
    assert squeue(slurm, id)[0][2] == "9"
    assert sacct(slurm, "-X", f"--jobs={id}") == [[id, "FAILED", "0:9"]]


def test_jobs_start_in_order_and_without_anybody_asking(tmp_path: Path) -> None:
    with FakeSlurm(tmp_path, nodes=1, cpus_per_node=2) as slurm:
        go = "until [ -e go ]; do sleep 0.01; done"
        first = submit(slurm, go, "--ntasks=1")
        second = submit(slurm, "true", "--exclusive")
        third = submit(slurm, "touch third", "--ntasks=1")
        reasons = {row[0]: row[-2] for row in squeue(slurm, first, second, third)}
        assert reasons == {first: "None", second: "Resources", third: "Priority"}
        (tmp_path / "go").touch()
        until((tmp_path / "third").exists, "the last job has run")
        starts = [job.started or 0.0 for job in slurm.jobs()]
        assert starts == sorted(starts)


def test_one_job_has_the_quantum_computer(slurm: FakeSlurm) -> None:
    first, second = (submit(slurm, "sleep 60", "--licenses=qpu:1") for _ in range(2))
    assert squeue(slurm, second)[0][-2] == "Licenses"
    slurm.run("scancel", first)
    until_state(slurm, second, "RUNNING")


def test_a_dependency_waits_or_never_ends_unless_it_is_to_be_dropped(slurm: FakeSlurm) -> None:
    failed = submit(slurm, "exit 1")
    waits = submit(slurm, "true", f"--dependency=afterok:{failed}")
    dropped = submit(slurm, "true", f"--dependency=afterok:{failed}", "--kill-on-invalid-dep=yes")
    after = submit(slurm, "true", f"--dependency=afterany:{failed}")
    until_state(slurm, after, "COMPLETED")
    assert squeue(slurm, waits)[0][-2] == "DependencyNeverSatisfied"
    assert job(slurm, dropped).state == "CANCELLED"


def test_scancel_ends_what_waits_and_what_runs(slurm: FakeSlurm) -> None:
    runs = submit(slurm, "touch began; sleep 60")
    until_runs(slurm, runs)
    waits = submit(slurm, "true", "--nodes=99")
    slurm.run("scancel", runs, waits)
    until_state(slurm, runs, "CANCELLED")
    rows = sacct(slurm, "-X", f"--jobs={runs},{waits}", fields="JobID,State,ExitCode,Start")
    assert [row[:3] for row in rows] == [[id, "CANCELLED by 0", "0:0"] for id in (runs, waits)]
    assert rows[1][3] == "None"


def test_a_job_that_does_not_want_to_end_is_killed(slurm: FakeSlurm) -> None:
    id = submit(slurm, "trap '' TERM; touch began; while :; do sleep 0.01; done")
    until_runs(slurm, id)
    slurm.run("scancel", id)
    assert squeue(slurm, id)[0][1] == "COMPLETING"
    until_state(slurm, id, "CANCELLED")


def test_a_job_ends_with_its_walltime(slurm: FakeSlurm) -> None:
    id = submit(slurm, "sleep 60", "--time=0:01")
    job = until_state(slurm, id, "TIMEOUT")
    assert job.ended is not None and job.started is not None
    assert 1.0 <= job.ended - job.started < 10.0
    assert sacct(slurm, "-X", f"--jobs={id}") == [[id, "TIMEOUT", "0:0"]]
    assert squeue(slurm, id)[0][-2] == "TimeLimit"


@pytest.mark.parametrize(
    ("action", "state"),
    [("expire", "TIMEOUT"), ("fail_node", "NODE_FAIL"), ("preempt", "PREEMPTED")],
)
def test_a_test_can_end_a_job(slurm: FakeSlurm, action: str, state: str) -> None:
    id = submit(slurm, "sleep 60", "--no-requeue")
    until_state(slurm, id, "RUNNING")
    getattr(slurm, action)(id)
    assert until_state(slurm, id, state).exit_code is None
    assert sacct(slurm, "-X", f"--jobs={id}") == [[id, state, "0:0"]]


@pytest.mark.parametrize("action", ["requeue", "fail_node"])
def test_a_requeued_job_runs_again_with_its_id(slurm: FakeSlurm, action: str) -> None:
    body = "echo $SLURM_RESTART_COUNT >> counts; touch began; sleep $((60 * !SLURM_RESTART_COUNT))"
    id = submit(slurm, body)
    until_runs(slurm, id)
    getattr(slurm, action)(id)
    assert until_state(slurm, id, "COMPLETED").starts == 2
    assert (slurm.folder / "counts").read_text() == "\n1\n"


def test_a_requeued_job_waits_first(tmp_path: Path) -> None:
    with FakeSlurm(tmp_path, requeue_seconds=60.0, accounting_lag=0.0) as slurm:
        id = submit(slurm, "touch began; sleep $((60 * !SLURM_RESTART_COUNT))")
        until_runs(slurm, id)
        slurm.run("scontrol", "requeue", id)
        until(lambda: job(slurm, id).state == "PENDING", "the job waits again")
        assert squeue(slurm, id)[0][-2] == "BeginTime"
        assert sacct(slurm, "-X", f"--jobs={id}") == [[id, "REQUEUED", "0:0"]]
        slurm.run("scontrol", "update", f"jobid={id}", "StartTime=now")
        until_state(slurm, id, "COMPLETED")


def test_a_forgotten_job_runs_on_unknown_to_all(slurm: FakeSlurm) -> None:
    id = submit(slurm, "until [ -e go ]; do sleep 0.01; done", "--job-name=lost")
    slurm.forget(id)
    assert slurm.run("squeue", "--states=all", f"--jobs={id}").returncode == 1
    assert sacct(slurm, "-X", "--name=lost") == []
    (slurm.folder / "go").touch()
    until_state(slurm, id, "COMPLETED")
    with pytest.raises(KeyError):
        slurm.forget("77")


def test_a_job_outlives_whoever_submitted_it(slurm: FakeSlurm) -> None:
    write(slurm, "until [ -e go ]; do sleep 0.01; done; touch done")
    driver = subprocess.Popen(
        ["sh", "-c", "sbatch job.sh; sleep 60"],
        cwd=slurm.folder,
        env={**os.environ, **slurm.environment},
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    until(slurm.jobs, "the job is submitted")
    os.killpg(driver.pid, signal.SIGKILL)
    driver.wait(DEADLINE_SECONDS)
    (slurm.folder / "go").touch()
    until((slurm.folder / "done").exists, "the job has run")


def test_stop_leaves_no_process_and_no_server(slurm: FakeSlurm) -> None:
    body = "echo $$ > pid; setsid sleep 60 & echo $! > detached; touch began; wait"
    id = submit(slurm, body)
    waits = submit(slurm, "touch never", "--exclusive", "--nodes=4")
    until_runs(slurm, id)
    slurm.stop()
    pids = [int((slurm.folder / name).read_text()) for name in ("pid", "detached")]
    assert not any(alive(pid) for pid in pids)
    assert (job(slurm, id).state, job(slurm, waits).state) == ("CANCELLED", "PENDING")
    assert "Unable to contact slurm controller" in slurm.run("squeue").stderr
    slurm.start()
    until_state(slurm, waits, "COMPLETED")


def test_what_a_job_leaves_behind_ends_with_it(slurm: FakeSlurm) -> None:
    id = submit(slurm, "setsid sleep 60 & echo $! > detached")
    until_state(slurm, id, "COMPLETED")
    assert not alive(int((slurm.folder / "detached").read_text()))


def test_many_commands_at_once_get_in_each_others_way_but_not_wrong(slurm: FakeSlurm) -> None:
    script = write(slurm, "true", "--output=/dev/null")
    with ThreadPoolExecutor(12) as pool:
        done = list(pool.map(lambda _: slurm.run("sbatch", "--parsable", script), range(16)))
    assert sorted(int(one.stdout) for one in done) == list(range(1, 17))
    until(lambda: {job.state for job in slurm.jobs()} == {"COMPLETED"}, "all jobs have run")


def test_every_command_is_on_record(slurm: FakeSlurm) -> None:
    submit(slurm, "true", "--comment='the key'")
    slurm.run("squeue", "--jobs=77")
    assert [(call.argv, call.rc) for call in slurm.commands()] == [
        (["sbatch", "--parsable", "job.sh"], 0),
        (["squeue", "--jobs=77"], 1),
    ]
    assert [job.key for job in slurm.jobs()] == ["the key"]


def test_a_submission_can_time_out_and_be_accepted(slurm: FakeSlurm) -> None:
    slurm.inject(Fault.SUBMIT_TIMES_OUT_THOUGH_ACCEPTED)
    script = write(slurm, "true")
    cut_off(slurm, "sbatch", "--parsable", script)
    until_state(slurm, "1", "COMPLETED")
    assert [call.rc for call in slurm.commands()] == [None]
    assert submit(slurm, "true") == "2"


def test_a_submission_can_be_accepted_late(slurm: FakeSlurm) -> None:
    slurm.inject(Fault.SUBMIT_ACCEPTED_LATE, seconds=5)
    done = slurm.run("sbatch", "--parsable", write(slurm, "touch ran", "--job-name=late"))
    assert (done.returncode, done.stdout) == (1, "")
    assert "Socket timed out on send/recv operation" in done.stderr
    assert slurm.jobs() == []
    assert slurm.run("squeue", "--states=all", "--noheader", "--name=late").stdout == ""
    until((slurm.folder / "ran").exists, "the job has come and run")
    assert slurm.run("squeue", "--states=all", "--noheader", "--name=late").stdout != ""


def test_a_submission_can_hang_before_it_is_accepted(slurm: FakeSlurm) -> None:
    slurm.inject(Fault.SUBMIT_ACCEPTED_LATE, seconds=1.0)
    slurm.inject(Fault.SUBMIT_TIMES_OUT_THOUGH_ACCEPTED)
    cut_off(slurm, "sbatch", write(slurm, "true"))
    assert slurm.jobs() == []
    until(slurm.jobs, "the job has come")


def test_a_submission_can_fail(slurm: FakeSlurm) -> None:
    slurm.inject(Fault.SUBMIT_FAILS_TRANSIENT, times=2)
    text = "Unable to contact slurm controller (connect failure)\n"
    expected = (1, f"sbatch: error: Batch job submission failed: {text}")
    assert [refused(slurm), refused(slurm)] == [expected, expected]
    assert submit(slurm, "true") == "1"


def test_an_accepted_job_can_vanish(slurm: FakeSlurm) -> None:
    slurm.inject(Fault.JOB_VANISHES)
    lost = submit(slurm, "touch ran", "--job-name=lost")
    until_state(slurm, submit(slurm, "true"), "COMPLETED")
    assert slurm.run("squeue", "--states=all", f"--jobs={lost}").returncode == 1
    assert sacct(slurm, "-X", f"--jobs={lost}") == []
    assert job(slurm, lost).state == "PENDING" and not (slurm.folder / "ran").exists()


def test_accounting_can_lag_for_one_job(slurm: FakeSlurm) -> None:
    with pytest.raises(ValueError, match="accounting-lags needs seconds"):
        slurm.inject(Fault.ACCOUNTING_LAGS)
    slurm.inject(Fault.ACCOUNTING_LAGS, seconds=60.0)
    late, other = submit(slurm, "true"), submit(slurm, "true")
    until_state(slurm, other, "COMPLETED")
    assert [row[0] for row in sacct(slurm, "-X", f"--jobs={late},{other}")] == [other]


def test_a_status_command_can_fail_hang_or_answer_garbage(slurm: FakeSlurm) -> None:
    id = submit(slurm, "true")
    slurm.inject(Fault.STATUS_FAILS, command="sacct")
    slurm.inject(Fault.STATUS_GARBAGE, command="squeue")
    cut = slurm.run("squeue", "--states=all", "--noheader", f"--jobs={id}", f"--Format={FORMAT}")
    assert cut.returncode == 0 and 0 < cut.stdout.count("|") < 10
    failed = slurm.run("sacct", "-X", f"--jobs={id}")
    assert failed.returncode == 1 and "Connection refused" in failed.stderr
    slurm.inject(Fault.STATUS_HANGS, seconds=60.0)
    cut_off(slurm, "squeue")
    assert squeue(slurm, id)
    with pytest.raises(ValueError, match="FakeSlurm has no command 'qstat'"):
        slurm.inject(Fault.STATUS_FAILS, command="qstat")


def test_a_cancellation_can_fail(slurm: FakeSlurm) -> None:
    id = submit(slurm, "sleep 60")
    slurm.inject(Fault.CANCEL_FAILS)
    assert slurm.run("scancel", id).returncode == 1
    assert job(slurm, id).state == "RUNNING"
    assert slurm.run("scancel", id).returncode == 0
    until_state(slurm, id, "CANCELLED")


@pytest.mark.parametrize(
    ("fault", "state"), [(Fault.NODE_FAILS, "NODE_FAIL"), (Fault.PREEMPTED, "PREEMPTED")]
)
def test_a_started_job_can_be_lost(slurm: FakeSlurm, fault: Fault, state: str) -> None:
    slurm.inject(fault, seconds=0.1)
    id = submit(slurm, "sleep 60", "--no-requeue")
    until_state(slurm, id, state)


def test_a_started_job_can_be_requeued(slurm: FakeSlurm) -> None:
    slurm.inject(Fault.REQUEUED, seconds=0.1)
    id = submit(slurm, "sleep $((60 * !SLURM_RESTART_COUNT))")
    assert until_state(slurm, id, "COMPLETED").starts == 2


def test_a_job_can_wait_for_ever_until_it_is_released(slurm: FakeSlurm) -> None:
    slurm.inject(Fault.NEVER_STARTS, reason="ReqNodeNotAvail, Reserved for maintenance")
    id = submit(slurm, "true")
    until_state(slurm, submit(slurm, "true"), "COMPLETED")
    assert squeue(slurm, id)[0][1::8] == ["PENDING", "ReqNodeNotAvail, Reserved for maintenance"]
    slurm.release(id)
    until_state(slurm, id, "COMPLETED")


def test_a_command_starts_without_heavy_imports() -> None:
    program = (
        "import sys; from qcsc_hpc.testing.executables import call, start_job;"
        "from qcsc_hpc.testing.executables.slurm import sbatch, squeue, sacct;"
        "print(*sys.modules)"
    )
    paths = os.pathsep.join(path for path in sys.path if path)
    done = subprocess.run(
        [sys.executable, "-S", "-c", program],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=True,
    )
    assert not {"prefect", "dataclasses", "typing", "pathlib"} & set(done.stdout.split())


def test_in_an_outage_no_command_reaches_it_and_what_runs_goes_on(slurm: FakeSlurm) -> None:
    job = submit(slurm, f"until [ -e {slurm.folder}/go ]; do sleep 0.02; done")
    until(lambda: slurm.jobs()[0].started is not None, "it runs")
    with slurm.outage():
        (slurm.folder / "go").touch()
        until(lambda: slurm.jobs()[0].ended is not None, "it has ended")
        for command in ("sbatch", "squeue", "sacct", "scancel"):
            done = slurm.run(command, job)
            assert done.returncode != 0 and done.stderr, command
    assert sacct(slurm, f"--jobs={job}", "-X") == [[job, "COMPLETED", "0:0"]]


def test_healed_it_strikes_no_more(slurm: FakeSlurm) -> None:
    slurm.inject(Fault.STATUS_FAILS, times=100)
    assert slurm.run("squeue").returncode != 0
    slurm.heal()
    assert slurm.run("squeue").returncode == 0

"""Slurm's commands in words, and what its answers mean; no command is run here."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from qcsc_hpc.profiles import HPCProfile
from qcsc_hpc.schedulers.scheduler import Answer, NotUnderstood, Status
from qcsc_hpc.schedulers.slurm import Slurm
from qcsc_loop.jobs.outcome import JobState

S = JobState
SLURM = Slurm(HPCProfile(scheduler="slurm"))
STATES = {
    "PENDING": S.PENDING,
    "CONFIGURING": S.PENDING,
    "REQUEUED": S.PENDING,
    "REQUEUE_HOLD": S.PENDING,
    "SPECIAL_EXIT": S.PENDING,
    "RESV_DEL_HOLD": S.PENDING,
    "RUNNING": S.RUNNING,
    "SUSPENDED": S.RUNNING,
    "STOPPED": S.RUNNING,
    "RESIZING": S.RUNNING,
    "SIGNALING": S.RUNNING,
    "COMPLETING": S.ENDING,
    "STAGE_OUT": S.ENDING,
    "COMPLETED": S.COMPLETED,
    "FAILED": S.FAILED,
    "TIMEOUT": S.TIMEOUT,
    "DEADLINE": S.TIMEOUT,
    "OUT_OF_MEMORY": S.OUT_OF_MEMORY,
    "NODE_FAIL": S.NODE_FAIL,
    "BOOT_FAIL": S.NODE_FAIL,
    "PREEMPTED": S.PREEMPTED,
    "CANCELLED": S.CANCELLED,
    "REVOKED": S.CANCELLED,
}
CONTROLLER_AWAY = "slurm_load_jobs error: Unable to contact slurm controller (connect failure)"


def answer(out: str = "", *, code: int = 0, err: str = "", words: str = "squeue") -> Answer:
    return Answer(words.split(), code, out, err)


def queued(
    job_id: str = "12",
    state: str = "RUNNING",
    exit_code: str = "0",
    reason: str = "None",
    restarts: str = "0",
) -> str:
    """A line of squeue as it is asked for."""
    times = ("1800000000", "1800000050", "1800000140")
    return "|".join([job_id, state, exit_code, *times, "2", "8", "name", restarts, reason]) + "|\n"


def accounted(job_id: str = "12", state: str = "COMPLETED", exit_code: str = "0:0") -> str:
    """A line of sacct as it is asked for."""
    times = ("1800000000", "1800000050", "1800000140")
    return "|".join([job_id, state, exit_code, *times, "2", "8", "name"]) + "\n"


def live(*args: str, **kwargs: str) -> Status:
    (status,) = SLURM.statuses(answer(queued(*args, **kwargs))).values()
    return status


def past(*args: str, **kwargs: str) -> Status:
    (status,) = SLURM.histories(answer(accounted(*args, **kwargs))).values()
    return status


# submission


def test_a_script_is_submitted_for_its_id_alone() -> None:
    words = SLURM.submit("/job 1/job.sh")
    assert (words[:2], words[-1]) == (["sbatch", "--parsable"], "/job 1/job.sh")


@pytest.mark.parametrize(
    ("folder", "named"), [("/job 1", "/job 1"), ("/100%j", "/100%j"), ("/a\\b", "/a\\\\b")]
)
def test_the_output_goes_to_the_script_s_folder_whatever_it_is_called(
    folder: str, named: str
) -> None:
    # a backslash keeps `%` from meaning something, and of two one is left
    assert f"--output={named}/\\output.log" in SLURM.submit(f"{folder}/job.sh")


@pytest.mark.parametrize(
    "out", ["12\n", "12;cluster\n", "  12  \n", "Maintenance on 12 May\n\n12\n", "7\n12;a\n"]
)
def test_the_id_is_what_sbatch_prints(out: str) -> None:
    assert SLURM.submitted(answer(out)) == "12"


def test_an_answer_without_an_id_is_quoted_and_not_a_warning_beside_it() -> None:
    with pytest.raises(NotUnderstood, match=r"^Welcome to the machine$"):
        SLURM.submitted(answer("Welcome to the machine\n", err="sbatch: warning: no time limit"))


def refusal(err: str, code: int = 1) -> NotUnderstood:
    with pytest.raises(NotUnderstood) as caught:
        SLURM.submitted(answer(code=code, err=err))
    return caught.value


PERMANENT = [
    "sbatch: error: invalid partition specified: nope\n"
    "sbatch: error: Batch job submission failed: Invalid partition name specified",
    "sbatch: error: Batch job submission failed: Invalid account or account/partition combination "
    "specified",
    "sbatch: error: Batch job submission failed: Requested node configuration is not available",
    "sbatch: error: Batch script contains DOS line breaks (\\r\\n)",
]
TRANSIENT = [
    "sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect "
    "failure)",
    "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation",
    "sbatch: error: Slurm temporarily unable to accept job, sleeping and retrying",
    "sbatch: error: Batch job submission failed: Resource temporarily unavailable",
    "sbatch: error: Batch job submission failed: Zero Bytes were transmitted or received",
    "sbatch: error: Batch job submission failed: Unexpected message received",
    "sbatch: error: Batch job submission failed: Slurm backup controller in standby mode",
    "sbatch: error: Munge encode failed: Failed to access the socket",
]


@pytest.mark.parametrize("err", PERMANENT, ids=lambda err: err[-30:])
def test_a_job_that_slurm_refuses_is_refused_for_good(err: str) -> None:
    assert refusal(err).permanent


@pytest.mark.parametrize("err", TRANSIENT, ids=lambda err: err[-30:])
def test_a_controller_that_is_away_refuses_nothing(err: str) -> None:
    assert not refusal(err).permanent


def test_an_option_that_is_not_known_is_refused_for_good() -> None:
    assert refusal("sbatch: unrecognized option '--qpu=2'", code=255).permanent


def test_a_refusal_is_told_in_slurm_s_words() -> None:
    assert "Invalid partition name specified" in str(refusal(PERMANENT[0]))


@pytest.mark.parametrize("out", ["", "Submitted batch job 12\n", "12 13\n", "-1\n"])
def test_a_submission_without_an_id_is_unclear_and_no_refusal(out: str) -> None:
    with pytest.raises(NotUnderstood) as caught:
        SLURM.submitted(answer(out))
    assert not caught.value.permanent


# status


def test_several_jobs_are_asked_for_at_once() -> None:
    words = SLURM.status(["12", "13"])
    assert "--jobs=12,13" in words
    assert "--states=all" in words  # jobs that are over are shown for some minutes too


def test_times_are_asked_for_as_numbers() -> None:
    for words in (SLURM.status(["12"]), SLURM.history(["12"]), SLURM.measure(["12"])):
        assert words is not None
        assert words[:2] == ["env", "SLURM_TIME_FORMAT=%s"]


@pytest.mark.parametrize(("word", "state"), STATES.items())
@pytest.mark.parametrize("said", [live, past])
def test_a_state_is_what_slurm_says(
    said: Callable[..., Status], word: str, state: JobState
) -> None:
    assert said(state=word).state is state


@pytest.mark.parametrize("said", [live, past])
@pytest.mark.parametrize("word", ["CANCELLED by 1000", "CANCELLED by 0"])
def test_a_cancelled_job_is_cancelled_whoever_did_it(
    said: Callable[..., Status], word: str
) -> None:
    assert said(state=word).state is S.CANCELLED


def test_who_cancelled_a_job_is_told() -> None:
    assert past(state="CANCELLED by 1000").reason == "CANCELLED by 1000"


@pytest.mark.parametrize("word", ["", "LEVITATING", "completed", "COMPLETEDLY"])
@pytest.mark.parametrize("said", [live, past])
def test_a_state_that_nobody_knows_is_no_answer(said: Callable[..., Status], word: str) -> None:
    with pytest.raises(NotUnderstood, match="not known"):
        said(state=word)


@pytest.mark.parametrize(
    "reason",
    [
        "ReqNodeNotAvail, UnavailableNodes:n[1-4]",
        "Nodes required for job are DOWN, DRAINED or reserved for jobs in higher priority partitions",
        "Resources",
        "launch failed requeued held",
        "a|b",
    ],
)
def test_a_reason_may_hold_anything(reason: str) -> None:
    assert live(state="PENDING", reason=reason).reason.rstrip("|") == reason


@pytest.mark.parametrize("reason", ["None", "NonZeroExitCode"])
def test_a_reason_that_says_nothing_new_is_left_out(reason: str) -> None:
    assert live(reason=reason).reason == ""


@pytest.mark.parametrize(
    ("wait_status", "exit_code", "signal"),
    [
        ("0", 0, None),
        ("256", 1, None),
        ("1792", 7, None),
        ("9", 0, 9),
        ("15", 0, 15),
        ("139", 0, 11),
    ],
)
def test_squeue_s_exit_code_is_a_wait_status(
    wait_status: str, exit_code: int, signal: int | None
) -> None:
    status = live(state="FAILED", exit_code=wait_status)
    assert (status.exit_code, status.signal) == (exit_code, signal)


@pytest.mark.parametrize(
    ("said", "exit_code", "signal"),
    [("0:0", 0, None), ("1:0", 1, None), ("0:9", 0, 9), ("0:15", 0, 15), ("127:0", 127, None)],
)
def test_sacct_s_exit_code_is_a_code_and_a_signal(
    said: str, exit_code: int, signal: int | None
) -> None:
    status = past(state="FAILED", exit_code=said)
    assert (status.exit_code, status.signal) == (exit_code, signal)


def test_of_a_job_that_was_requeued_the_last_row_counts() -> None:
    rows = accounted(state="NODE_FAIL") + accounted(state="RUNNING")
    assert SLURM.histories(answer(rows))["12"].state is S.RUNNING


def test_how_often_a_job_was_started_again_is_known_from_the_queue_alone() -> None:
    assert [live(restarts="0").restarts, live(restarts="2").restarts] == [0, 2]
    assert past().restarts is None


def test_each_of_several_jobs_has_its_own_status() -> None:
    rows = queued("12", "PENDING") + "\n" + queued("13", "COMPLETED") + queued("14", "TIMEOUT")
    found = SLURM.statuses(answer(rows))
    assert {job: status.state for job, status in found.items()} == {
        "12": S.PENDING,
        "13": S.COMPLETED,
        "14": S.TIMEOUT,
    }


@pytest.mark.parametrize("length", [1, 10, 40])
@pytest.mark.parametrize("line", [queued(), accounted()], ids=["squeue", "sacct"])
def test_a_line_that_is_cut_off_is_no_answer(line: str, length: int) -> None:
    reading = SLURM.statuses if line.endswith("|\n") else SLURM.histories
    with pytest.raises(NotUnderstood, match="cut off"):
        reading(answer(line[:length]))


@pytest.mark.parametrize("out", ["<html>busy</html>\n", "slurm_load_jobs error\n", "12\n"])
def test_garbage_is_no_answer(out: str) -> None:
    with pytest.raises(NotUnderstood):
        SLURM.statuses(answer(out))
    with pytest.raises(NotUnderstood):
        SLURM.histories(answer(out))
    with pytest.raises(NotUnderstood):
        SLURM.found(answer(out, words="squeue --name=x"), "x")


def test_a_job_that_squeue_does_not_know_is_missing() -> None:
    err = "slurm_load_jobs error: Invalid job id specified"
    assert SLURM.statuses(answer(code=1, err=err)) == {}


def test_a_job_that_sacct_does_not_know_is_missing() -> None:
    assert SLURM.histories(answer("")) == {}


def test_without_accounting_there_is_no_history() -> None:
    err = "Slurm accounting storage is disabled"
    assert SLURM.histories(answer(code=1, err=err)) == {}


@pytest.mark.parametrize("reading", [SLURM.statuses, SLURM.histories, SLURM.measured])
def test_a_command_that_failed_gave_no_answer(reading: Callable[[Answer], object]) -> None:
    with pytest.raises(NotUnderstood, match="Unable to contact slurm controller"):
        reading(answer(code=1, err=CONTROLLER_AWAY))


# times


def at(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


@pytest.mark.parametrize("said", [live, past])
def test_a_finished_job_s_times_are_slurm_s(said: Callable[..., Status]) -> None:
    metrics = said(state="COMPLETED").metrics
    assert metrics.submitted == at(1_800_000_000)
    assert (metrics.queue_seconds, metrics.run_seconds) == (50.0, 90.0)
    assert (metrics.nodes, metrics.cpus) == (2, 8)


def test_a_waiting_job_s_start_is_a_forecast_and_not_told() -> None:
    metrics = live(state="PENDING").metrics
    assert (metrics.submitted, metrics.started, metrics.ended) == (at(1_800_000_000), None, None)


def test_a_running_job_s_end_is_a_forecast_and_not_told() -> None:
    metrics = live(state="RUNNING").metrics
    assert (metrics.started, metrics.ended) == (at(1_800_000_050), None)


@pytest.mark.parametrize("text", ["N/A", "Unknown", "None", ""])
def test_a_time_that_is_not_known_is_none(text: str) -> None:
    line = accounted(state="CANCELLED").replace("1800000050", text)
    assert SLURM.histories(answer(line))["12"].metrics.started is None


def test_what_a_job_took_is_the_largest_of_its_steps() -> None:
    rows = (
        "12|1800000000|1800000050|1800000140|2|8|\n"
        "12.batch|1800000050|1800000050|1800000140|1|4|3M\n"
        "12.extern|1800000050|1800000050|1800000140|2|8|0\n"
        "12.0|1800000051|1800000051|1800000139|2|8|1.5G\n"
    )
    metrics = SLURM.measured(answer(rows))["12"]
    assert metrics.max_rss_bytes == 3 * (1 << 29)
    assert (metrics.nodes, metrics.run_seconds) == (2, 90.0)


def test_a_job_of_which_no_memory_is_known_has_none() -> None:
    row = "12|1800000000|1800000050|1800000140|2|8|\n"
    assert SLURM.measured(answer(row))["12"].max_rss_bytes is None


# finding


def test_a_name_is_looked_for_in_the_queue_and_in_the_accounts() -> None:
    queue, accounts = SLURM.find("key-1")
    assert queue[0] == "squeue" and "--name=key-1" in queue and "--states=all" in queue
    assert accounts[0] == "sacct" and "--name=key-1" in accounts
    # without a start time sacct looks at today only
    assert any(word.startswith("--starttime=") for word in accounts)


@pytest.mark.parametrize("out", ["13|key-1|\n9|key-1|\n", "13|key-1\n9|key-1\n13|key-1\n"])
def test_the_oldest_of_several_comes_first(out: str) -> None:
    assert SLURM.found(answer(out), "key-1") == ["9", "13"]


def test_a_name_that_only_begins_so_is_another_s() -> None:
    assert SLURM.found(answer("9|key-10|\n13|key-1|\n"), "key-1") == ["13"]


def test_nothing_found_is_an_answer() -> None:
    assert SLURM.found(answer(""), "key-1") == []


def test_looking_in_accounts_that_are_not_kept_finds_nothing() -> None:
    err = "Slurm accounting storage is disabled"
    assert SLURM.found(answer(code=1, err=err, words="sacct -X"), "key-1") == []


@pytest.mark.parametrize("words", ["squeue", "sacct"])
def test_looking_with_the_controller_away_is_no_answer(words: str) -> None:
    with pytest.raises(NotUnderstood):
        SLURM.found(answer(code=1, err=CONTROLLER_AWAY, words=words), "key-1")


# cancelling


def test_a_job_is_cancelled_by_its_id() -> None:
    assert SLURM.cancel("12") == ["scancel", "12"]


def test_cancelling_a_job_that_is_over_is_no_fault() -> None:
    SLURM.cancelled(answer(words="scancel"))
    SLURM.cancelled(
        answer(code=1, err="scancel: error: Kill job error on job id 12: Invalid job id specified")
    )


@pytest.mark.parametrize("err", [CONTROLLER_AWAY, "scancel: error: Access/permission denied"])
def test_a_job_that_could_not_be_cancelled_is_told(err: str) -> None:
    with pytest.raises(NotUnderstood):
        SLURM.cancelled(answer(code=1, err=err))


# jobs that cannot start, or ended for another reason than Slurm says


@pytest.mark.parametrize(
    "reason",
    [
        "PartitionConfig",
        "PartitionTimeLimit",
        "PartitionNodeLimit",
        "BadConstraints",
        "DependencyNeverSatisfied",
        "InvalidAccount",
        "AssocMaxWallDurationPerJobLimit",
        "QOSMaxWallDurationPerJobLimit",
        "AssocMaxNodePerJobLimit",
        "QOSMaxCpuPerJobLimit",
        "QOSMaxMemoryPerJob",
        "AssocMaxGRESPerJob",
        "QOSMaxCpuMinutesPerJobLimit",
    ],
)
def test_a_job_that_waits_for_what_never_comes_is_known(reason: str) -> None:
    assert SLURM.never_starts(live(state="PENDING", reason=reason))


@pytest.mark.parametrize(
    "reason",
    [
        "Resources",
        "Priority",
        "Dependency",
        "None",
        "BeginTime",
        "JobHeldUser",
        "QOSMaxJobsPerUserLimit",
        "AssocGrpNodeLimit",
        "Licenses",
        "Reservation",
        "NodeDown",
        "ReqNodeNotAvail, UnavailableNodes:n1",
    ],
)
def test_a_job_that_merely_waits_is_left_alone(reason: str) -> None:
    assert not SLURM.never_starts(live(state="PENDING", reason=reason))


def test_a_job_that_runs_has_started() -> None:
    assert not SLURM.never_starts(live(state="RUNNING", reason="PartitionConfig"))


TAIL = "slurmstepd: error: Job 12 exceeded memory limit (99 > 50), being killed\n"


@pytest.mark.parametrize(
    "tail", [TAIL, "slurmstepd: error: Detected 1 oom-kill event(s) in StepId=12.0"]
)
def test_a_job_killed_for_its_memory_is_told_by_its_output(tail: str) -> None:
    killed = live(state="FAILED", exit_code="9")
    assert SLURM.in_the_light_of(killed, tail).state is S.OUT_OF_MEMORY


def test_a_job_that_failed_by_itself_stays_failed_whatever_it_wrote() -> None:
    failed = live(state="FAILED", exit_code="256")
    assert SLURM.in_the_light_of(failed, TAIL).state is S.FAILED


def test_a_job_that_ended_otherwise_stays_so_whatever_it_wrote() -> None:
    assert SLURM.in_the_light_of(live(state="TIMEOUT"), TAIL).state is S.TIMEOUT


# where a job works


@pytest.mark.parametrize("folder", ["/runs/a", "/runs/a b|c", "/runs/two\nlines"])
@pytest.mark.parametrize("greeting", ["", "Welcome to the cluster\n"])
def test_a_job_s_folder_is_told_whatever_it_is_called_and_whatever_a_login_says(
    folder: str, greeting: str
) -> None:
    assert SLURM.placed(answer(f"{greeting}{folder}|\n"), "12") == folder
    assert SLURM.placed(answer(f"{greeting}{folder}|\n", words="sacct"), "12") == folder


def test_a_job_that_the_queue_has_forgotten_is_asked_of_accounting() -> None:
    unknown = answer(code=1, err="slurm_load_jobs error: Invalid job id specified")
    assert SLURM.placed(unknown, "12") == ""
    assert [question[0] for question in SLURM.place("12")] == ["squeue", "sacct"]

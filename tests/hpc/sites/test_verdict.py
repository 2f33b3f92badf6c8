"""How a job ended, from all that can be known of it: no doubt is ever counted as success."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from qcsc_hpc.profiles import HPCProfile
from qcsc_hpc.schedulers.scheduler import Status
from qcsc_hpc.script.job_folder import ExitRecord
from qcsc_hpc.sites.verdict import SURE_SECONDS, Sighting, reach_verdict
from qcsc_loop.concurrency.listed import BELIEVED_SECONDS
from qcsc_loop.jobs.outcome import JobMetrics, JobOutcome, JobState

S = JobState
LOST_SECONDS = 60.0
FOREVER = 1e9
UNFINISHED = [S.PENDING, S.RUNNING, S.ENDING]
BAD = [state for state in JobState if state.final and state is not S.COMPLETED]
BEGAN, ENDED = 1_800_000_000.0, 1_800_000_090.0
WELL = ExitRecord(job="12", exit_code=0, started=BEGAN, ended=ENDED)
ILL = ExitRecord(job="12", exit_code=3, started=BEGAN, ended=ENDED)
UNPREPARED = ExitRecord(job="12", exit_code=1, fault="pre_commands[0]", started=BEGAN, ended=ENDED)
RECORDS = [None, WELL, ILL, UNPREPARED]
MOMENTS = [0.0, SURE_SECONDS, LOST_SECONDS, FOREVER]


def told(
    state: JobState | None,
    record: ExitRecord | None = None,
    *,
    unknown: float = 0.0,
    final: float = 0.0,
    lost: float = LOST_SECONDS,
) -> JobOutcome | None:
    """What is concluded from a scheduler's word and a job's own."""
    status = None if state is None else Status(state, "the scheduler's reason")
    return reach_verdict(Sighting(status, record, unknown, final), lost)


def known(*args: object, **kwargs: object) -> JobOutcome:
    outcome = told(*args, **kwargs)  # type: ignore[arg-type]  # as above
    assert outcome is not None
    return outcome


# success


@pytest.mark.parametrize("record", RECORDS, ids=repr)
@pytest.mark.parametrize("seconds", MOMENTS)
@pytest.mark.parametrize("state", [*JobState, None])
def test_a_job_is_completed_only_if_its_own_record_says_so_and_its_scheduler_does_not_deny_it(
    state: JobState | None, seconds: float, record: ExitRecord | None
) -> None:
    outcome = told(state, record, unknown=0.0 if state else seconds, final=seconds)
    forgotten = state is None and seconds >= SURE_SECONDS
    undenied = state in (S.COMPLETED, S.ENDING) or forgotten
    completed = outcome is not None and outcome.state is S.COMPLETED
    assert completed == (record == WELL and undenied)


def test_a_job_that_both_call_done_is_completed() -> None:
    outcome = known(S.COMPLETED, WELL)
    assert (outcome.state, outcome.exit_code, outcome.reason) == (S.COMPLETED, 0, "")


@pytest.mark.parametrize("record", [ILL, UNPREPARED], ids=repr)
@pytest.mark.parametrize("state", [S.COMPLETED, S.ENDING])
def test_a_job_that_calls_itself_failed_is_failed(state: JobState, record: ExitRecord) -> None:
    outcome = known(state, record)
    assert (outcome.state, outcome.exit_code) == (S.FAILED, record.exit_code)


@pytest.mark.parametrize("state", [S.COMPLETED, S.ENDING, S.FAILED])
def test_a_job_that_was_warned_of_its_end_and_failed_is_a_timeout(state: JobState) -> None:
    outcome = known(state, ILL.model_copy(update={"warned": True}))
    assert (outcome.state, outcome.exit_code) == (S.TIMEOUT, 3)
    assert outcome.reason.startswith("it was told that its walltime ends")


def test_a_job_that_was_warned_of_its_end_and_did_its_work_is_completed() -> None:
    outcome = known(S.COMPLETED, WELL.model_copy(update={"warned": True}))
    assert (outcome.state, outcome.reason) == (S.COMPLETED, "")


def test_what_failed_before_the_program_is_told() -> None:
    assert known(S.COMPLETED, UNPREPARED).reason == "pre_commands[0] failed"


# a job without a record of its end


@pytest.mark.parametrize("seconds", [0.0, SURE_SECONDS, LOST_SECONDS - 1])
def test_the_record_of_a_job_that_is_done_is_waited_for(seconds: float) -> None:
    assert told(S.COMPLETED, None, final=seconds) is None


def test_by_default_a_record_is_waited_for_longer_than_a_disk_believes_an_old_look() -> None:
    assert HPCProfile(scheduler="slurm").lost_seconds > BELIEVED_SECONDS


@pytest.mark.parametrize("seconds", [LOST_SECONDS, FOREVER])
def test_a_job_that_is_done_without_a_record_is_lost(seconds: float) -> None:
    outcome = known(S.COMPLETED, None, final=seconds)
    assert outcome.state is S.LOST
    assert outcome.exit_code is None
    assert "left no record of its end" in outcome.reason


# a bad end


@pytest.mark.parametrize("record", RECORDS, ids=repr)
@pytest.mark.parametrize("state", BAD)
def test_a_scheduler_s_word_for_a_bad_end_stands_whatever_the_record_says(
    state: JobState, record: ExitRecord | None
) -> None:
    assert known(state, record).state is state


@pytest.mark.parametrize("state", BAD)
def test_a_bad_end_needs_no_waiting(state: JobState) -> None:
    assert known(state, None, final=0.0).state is state


def test_the_exit_code_of_a_bad_end_is_the_record_s() -> None:
    status = Status(S.FAILED, exit_code=1)
    outcome = reach_verdict(Sighting(status, ILL), LOST_SECONDS)
    assert outcome is not None
    assert outcome.exit_code == 3


def test_without_a_record_the_exit_code_is_the_scheduler_s() -> None:
    outcome = reach_verdict(Sighting(Status(S.FAILED, exit_code=9)), LOST_SECONDS)
    assert outcome is not None
    assert outcome.exit_code == 9


@pytest.mark.parametrize("state", BAD)
def test_a_bad_end_has_no_exit_code_of_zero_from_a_scheduler(state: JobState) -> None:
    # Slurm and PBS say 0 for jobs that were cancelled or ran out of time
    outcome = reach_verdict(Sighting(Status(state, exit_code=0)), LOST_SECONDS)
    assert outcome is not None
    assert outcome.exit_code is None


def test_the_signal_and_the_reason_are_the_scheduler_s() -> None:
    status = Status(S.OUT_OF_MEMORY, "exceeded memory limit", signal=9)
    outcome = reach_verdict(Sighting(status), LOST_SECONDS)
    assert outcome is not None
    assert (outcome.signal, outcome.reason) == (9, "exceeded memory limit")


def test_the_part_that_failed_is_a_better_reason_than_the_scheduler_s() -> None:
    assert known(S.FAILED, UNPREPARED).reason == "pre_commands[0] failed"


# a job that is not over


@pytest.mark.parametrize("state", UNFINISHED)
def test_a_job_without_a_record_is_waited_for_as_long_as_its_scheduler_knows_it(
    state: JobState,
) -> None:
    assert told(state, None, unknown=0.0, final=0.0) is None


@pytest.mark.parametrize("record", [WELL, ILL], ids=repr)
@pytest.mark.parametrize("state", [S.PENDING, S.RUNNING])
def test_a_record_alone_does_not_end_a_job_that_its_scheduler_calls_alive(
    state: JobState, record: ExitRecord
) -> None:
    assert told(state, record) is None


def test_a_job_that_is_being_cleared_away_is_over_with_its_record() -> None:
    assert known(S.ENDING, WELL).state is S.COMPLETED


# a job that the scheduler does not know


@pytest.mark.parametrize("record", RECORDS, ids=repr)
def test_a_job_that_is_not_known_for_a_moment_is_waited_for(record: ExitRecord | None) -> None:
    assert told(None, record, unknown=SURE_SECONDS / 2) is None


@pytest.mark.parametrize(
    ("record", "state"), [(WELL, S.COMPLETED), (ILL, S.FAILED), (UNPREPARED, S.FAILED)]
)
def test_a_forgotten_job_ended_as_its_record_says(record: ExitRecord, state: JobState) -> None:
    outcome = known(None, record, unknown=SURE_SECONDS)
    assert (outcome.state, outcome.exit_code) == (state, record.exit_code)


def test_a_forgotten_job_without_a_record_is_waited_for_a_while() -> None:
    assert told(None, None, unknown=LOST_SECONDS - 1) is None


def test_a_forgotten_job_without_a_record_is_lost_in_the_end() -> None:
    outcome = known(None, None, unknown=LOST_SECONDS)
    assert (outcome.state, outcome.exit_code) == (S.LOST, None)
    assert outcome.reason == "no command of the scheduler has known it for 60 s"


def test_a_site_decides_how_long_a_job_is_waited_for() -> None:
    assert known(None, None, unknown=2.0, lost=2.0).state is S.LOST
    assert told(None, None, unknown=2.0, lost=3.0) is None


def test_a_record_is_not_waited_for_longer_than_a_job() -> None:
    assert known(None, WELL, unknown=2.0, lost=2.0).state is S.COMPLETED


# times


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


@pytest.mark.parametrize("state", [S.COMPLETED, S.ENDING, S.TIMEOUT, None])
def test_times_that_the_scheduler_does_not_say_are_the_record_s(state: JobState | None) -> None:
    metrics = known(state, WELL, unknown=0.0 if state else SURE_SECONDS).metrics
    assert (metrics.started, metrics.ended) == (at(BEGAN), at(ENDED))
    assert metrics.run_seconds == 90.0


def test_times_that_the_scheduler_says_are_taken_from_it() -> None:
    metrics = JobMetrics(submitted=at(BEGAN - 50), started=at(BEGAN - 5), nodes=2)
    outcome = reach_verdict(Sighting(Status(S.COMPLETED, metrics=metrics), WELL), LOST_SECONDS)
    assert outcome is not None
    assert (outcome.metrics.queue_seconds, outcome.metrics.run_seconds) == (45.0, 90.0)
    assert outcome.metrics.nodes == 2


@pytest.mark.parametrize("off", [-7200.0, 0.0, 7200.0])
@pytest.mark.parametrize(
    "told",
    [
        {"submitted": at(BEGAN - 50), "started": at(BEGAN - 5)},
        {"submitted": at(BEGAN - 50), "ended": at(ENDED + 5)},
        {"submitted": at(BEGAN - 50)},
        {},
    ],
    ids=lambda told: "+".join(told) or "nothing",
)
def test_a_run_is_as_long_as_its_own_clock_says_however_far_off_that_is(
    told: dict[str, datetime], off: float
) -> None:
    record = WELL.model_copy(update={"started": BEGAN + off, "ended": ENDED + off})
    status = Status(S.COMPLETED, metrics=JobMetrics.model_validate(told))
    outcome = reach_verdict(Sighting(status, record), LOST_SECONDS)
    assert outcome is not None
    assert outcome.metrics.run_seconds == 90.0
    assert (outcome.metrics.queue_seconds or 0.0) >= 0.0


def test_both_times_of_the_scheduler_stand_against_the_node_s() -> None:
    metrics = JobMetrics(started=at(BEGAN - 5), ended=at(ENDED + 1))
    outcome = reach_verdict(Sighting(Status(S.COMPLETED, metrics=metrics), WELL), LOST_SECONDS)
    assert outcome is not None
    assert outcome.metrics.run_seconds == 96.0


# accounting that does not answer may know a job that the queue has forgotten


@pytest.mark.parametrize(("seconds", "lost"), [(LOST_SECONDS, False), (100.0, True)])
def test_a_job_of_which_accounting_may_know_is_lost_only_when_patience_ends(
    seconds: float, lost: bool
) -> None:
    seen = Sighting(unknown_seconds=seconds, doubtful=True)
    outcome = reach_verdict(seen, LOST_SECONDS, patience_seconds=100.0)
    assert (outcome is not None) == lost


def test_a_record_counts_though_accounting_may_know_the_job() -> None:
    seen = Sighting(record=WELL, unknown_seconds=SURE_SECONDS, doubtful=True)
    outcome = reach_verdict(seen, LOST_SECONDS, patience_seconds=FOREVER)
    assert outcome is not None
    assert outcome.state is S.COMPLETED

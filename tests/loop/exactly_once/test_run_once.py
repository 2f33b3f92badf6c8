"""A remote job exactly once: asked for again, by the next driver, after a bad end, and in doubt."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import anyio
import pytest

from loop.exactly_once.toy_site import (
    NAME,
    RUN,
    UID,
    Call,
    Drivers,
    Service,
    Submission,
    doubling,
    hurry,
    read_number,
)
from qcsc_loop.errors import (
    JobElsewhere,
    JobFailed,
    JobInputChanged,
    LeaseLost,
    ResultUnreadable,
    SiteUnreachable,
    SubmissionUnclear,
)
from qcsc_loop.events import Trouble
from qcsc_loop.exactly_once.releasing import release_all
from qcsc_loop.exactly_once.request import JobRequest
from qcsc_loop.exactly_once.run_once import run_once
from qcsc_loop.exactly_once.submission import SUBMIT_TRIES
from qcsc_loop.jobs.entries import Collected, Intent
from qcsc_loop.jobs.events import JobChanged
from qcsc_loop.jobs.key import JobKey
from qcsc_loop.jobs.ledger import ELSEWHERE, LOG, Ledger
from qcsc_loop.jobs.outcome import JobOutcome, JobState
from qcsc_loop.parameters.compare import to_plain
from qcsc_loop.steps.step import labelled, stepping
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.records import now
from qcsc_loop.values.document import Document
from waiting import until_async

KEY = JobKey(run_id=RUN, run_uid=UID, iteration=1, step="evaluate", name=NAME)
SETTLE = 30.0  # by the ticking clock: looks
LONG = 10**9  # looks that no test takes
DEADLINE_SECONDS = 5.0
BAD_ENDS = [state for state in JobState if state.final and state is not JobState.COMPLETED]
bad_ends = pytest.mark.parametrize("state", BAD_ENDS)


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)


@pytest.fixture
def drivers(tmp_path: Path) -> Drivers:
    return Drivers(tmp_path / "store")


@pytest.fixture
def service() -> Service:
    return Service()


def ended(state: JobState, reason: str = "") -> JobOutcome:
    return JobOutcome(state=state, reason=reason)


def states(drivers: Drivers) -> list[str]:
    return [record.state for record in drivers.records]


def troubles(drivers: Drivers) -> list[str]:
    return [event.message for event in drivers.events if isinstance(event, Trouble)]


def killed_while_the_job_runs(drivers: Drivers, service: Service) -> None:
    """Leaves a job that is submitted, runs, and has no driver."""
    service.hangs = True
    service.calls.clear()
    by_task(drivers, service, drivers.next(leave_jobs=True))
    service.hangs = False


async def intended(
    drivers: Drivers,
    service: Service,
    *,
    age: timedelta = timedelta(0),
    ledger: Ledger | None = None,
) -> Intent:
    """What a driver leaves that died between its intent and the answer to its submission."""
    ledger, request = ledger or drivers.next(), doubling(service)
    folder = drivers.step(ledger).work_dir / f"{NAME}.0"
    folder.mkdir(parents=True)
    request.prepare(KEY, folder)
    intent = Intent(
        key=KEY,
        epoch=ledger.epoch,
        at=now() - age,
        site=to_plain(service.site),
        folder=str(folder),
        input_sha256=request.input_sha256,
    )
    await ledger.write(intent)
    return intent


Submit = Callable[[JobKey, Path], Awaitable[str]]


def submitted_by(service: Service, submit: Submit) -> JobRequest[int]:
    return replace(doubling(service), submit=submit)


# what a job gives


def test_a_job_gives_what_was_collected_from_its_folder(drivers: Drivers, service: Service) -> None:
    assert drivers.ask(doubling(service, 21)).value == 42


def test_the_result_says_how_the_job_went(drivers: Drivers, service: Service) -> None:
    record = drivers.ask(doubling(service)).record
    assert (record.key, record.job_id) == (KEY, *service.jobs)
    assert (record.state, record.fault) == ("COMPLETED", "")


def test_the_ledger_on_disk_says_the_same(drivers: Drivers, service: Service) -> None:
    record = drivers.ask(doubling(service)).record
    assert drivers.records == [record]


def test_observers_hear_of_submission_start_and_end(drivers: Drivers, service: Service) -> None:
    drivers.ask(doubling(service))
    changes = [event.state for event in drivers.events if isinstance(event, JobChanged)]
    assert changes == [JobState.PENDING, JobState.RUNNING, JobState.COMPLETED]


def test_the_intent_is_on_disk_when_the_job_is_submitted(
    drivers: Drivers, service: Service
) -> None:
    seen: list[str] = []

    async def submit(key: JobKey, folder: Path) -> str:
        seen.extend(states(drivers))
        return await service.site.submit(key, folder)

    drivers.ask(submitted_by(service, submit))
    assert seen == ["intended"]


def test_a_hook_called_outside_a_loop_has_its_jobs_done(service: Service) -> None:
    assert anyio.run(run_once, doubling(service)).value == 42


def test_a_job_asked_for_twice_is_two_jobs(service: Service) -> None:
    async def main() -> None:
        for _ in range(2):
            await run_once(doubling(service))

    anyio.run(main)
    assert len(service.accepted) == 2


# several jobs of one run


def test_a_step_that_is_called_again_has_the_same_job(drivers: Drivers, service: Service) -> None:
    ledger = drivers.next()
    values = [drivers.ask(doubling(service), ledger).value for _ in range(2)]
    assert values == [42, 42]
    assert len(service.accepted) == 1


def test_jobs_of_two_names_are_two_jobs(drivers: Drivers, service: Service) -> None:
    ledger = drivers.next()
    values = [
        drivers.ask(doubling(service, number, name=name), ledger).value
        for name, number in (("one", 1), ("two", 2))
    ]
    assert values == [2, 4]
    assert [key.name for key in service.accepted] == ["one", "two"]


def test_jobs_of_two_iterations_are_two_jobs(drivers: Drivers, service: Service) -> None:
    ledger = drivers.next()
    values = [drivers.ask(doubling(service, k), ledger, iteration=k).value for k in (1, 2)]
    assert values == [2, 4]
    assert [key.iteration for key in service.accepted] == [1, 2]


def test_jobs_of_labelled_parts_are_jobs_of_their_own(drivers: Drivers, service: Service) -> None:
    values: dict[str, int] = {}

    async def part(label: str, number: int) -> None:
        with labelled(label):
            values[label] = (await run_once(doubling(service, number))).value

    async def main() -> None:
        with stepping(drivers.step(drivers.next())):
            async with anyio.create_task_group() as group:
                for number in range(5):
                    group.start_soon(part, f"walker-{number}", number)

    anyio.run(main)
    assert values == {f"walker-{number}": 2 * number for number in range(5)}
    assert len(set(service.accepted)) == 5


def both(drivers: Drivers, service: Service, numbers: tuple[int, int]) -> list[object]:
    """Two jobs of one name at once in one step: what each asker gets."""
    answers: list[object] = []

    async def ask(number: int) -> None:
        try:
            answers.append((number, (await run_once(doubling(service, number))).value))
        except JobInputChanged as error:
            answers.append(type(error))

    async def main() -> None:
        with stepping(drivers.step(drivers.next())):
            async with anyio.create_task_group() as group:
                for number in numbers:
                    group.start_soon(ask, number)

    anyio.run(main)
    return answers


def test_two_jobs_of_one_name_at_once_do_not_get_each_others_results(
    drivers: Drivers, service: Service
) -> None:
    assert set(both(drivers, service, (1, 2))) == {(1, 2), (2, 4)}
    assert len(service.accepted) == 2


def test_a_job_of_the_same_name_for_other_input_is_refused(
    drivers: Drivers, service: Service
) -> None:
    ledger = drivers.next()
    drivers.ask(doubling(service, 1), ledger)
    with pytest.raises(JobInputChanged, match=f"{RUN}/1/evaluate/{NAME}"):
        drivers.ask(doubling(service, 2), ledger)
    assert len(service.accepted) == 1


def test_a_job_that_runs_for_other_input_is_refused_by_the_next_driver(
    drivers: Drivers, service: Service
) -> None:
    killed_while_the_job_runs(drivers, service)
    with pytest.raises(JobInputChanged, match=f"qcsc-loop reap {RUN}"):
        drivers.ask(doubling(service, 2))


def test_after_a_bad_end_other_input_is_another_attempt(drivers: Drivers, service: Service) -> None:
    service.endings = [ended(JobState.FAILED)]
    with pytest.raises(JobFailed):
        drivers.ask(doubling(service, 1))
    assert drivers.ask(doubling(service, 2)).value == 4


# the next driver


def test_the_next_driver_takes_the_result_of_a_finished_job(
    drivers: Drivers, service: Service
) -> None:
    first = drivers.ask(doubling(service))
    assert drivers.ask(doubling(service)) == first
    assert len(service.accepted) == 1


def test_the_next_driver_does_not_ask_the_service_about_a_finished_job(
    drivers: Drivers, service: Service
) -> None:
    drivers.ask(doubling(service))
    service.calls.clear()
    drivers.ask(doubling(service))
    assert service.calls == []


def test_the_next_driver_waits_for_the_job_that_runs(drivers: Drivers, service: Service) -> None:
    killed_while_the_job_runs(drivers, service)
    assert drivers.ask(doubling(service)).value == 42
    assert len(service.accepted) == 1


def test_observers_hear_that_a_job_was_found_again(drivers: Drivers, service: Service) -> None:
    killed_while_the_job_runs(drivers, service)
    drivers.events.clear()
    drivers.ask(doubling(service))
    reasons = [event.reason for event in drivers.events if isinstance(event, JobChanged)]
    assert reasons[0] == "found again"


def test_a_job_goes_on_where_it_is_when_its_step_has_moved_to_another_machine(
    drivers: Drivers, service: Service
) -> None:
    killed_while_the_job_runs(drivers, service)
    elsewhere = Service()
    assert drivers.ask(doubling(elsewhere)).value == 42
    assert (service.worked, elsewhere.accepted) == (list(service.jobs), [])


def test_a_job_that_may_have_been_taken_is_looked_for_where_it_was_sent(
    drivers: Drivers, service: Service
) -> None:
    intent = anyio.run(intended, drivers, service)
    service.take(KEY, Path(intent.folder))
    elsewhere = Service()
    assert drivers.ask(doubling(elsewhere)).value == 42
    assert elsewhere.accepted == []


def test_a_job_that_was_never_taken_by_the_old_machine_is_done_once_after_a_move(
    drivers: Drivers, service: Service
) -> None:
    anyio.run(intended, drivers, service)
    elsewhere = Service()
    assert drivers.ask(doubling(elsewhere)).value == 42
    assert len(service.accepted + elsewhere.accepted) == 1


def test_the_ledger_says_where_a_job_is_that_was_submitted_after_a_move(
    drivers: Drivers, service: Service
) -> None:
    anyio.run(intended, drivers, service)
    elsewhere = Service()
    drivers.ask(doubling(elsewhere))
    here = [service, elsewhere][bool(elsewhere.accepted)]
    assert drivers.records[-1].intent.site == to_plain(here.site)


# a ledger that does not know everything


def restored(drivers: Drivers, service: Service) -> None:
    """A run whose job runs, and whose ledger was left behind."""
    killed_while_the_job_runs(drivers, service)
    (drivers.root / RUN / LOG).unlink()


def test_a_run_without_its_ledger_looks_before_it_submits(
    drivers: Drivers, service: Service
) -> None:
    restored(drivers, service)
    assert drivers.ask(doubling(service)).value == 42
    assert len(service.accepted) == 1


def test_a_run_without_its_ledger_does_not_empty_the_folder_of_a_job_that_is_done(
    drivers: Drivers, service: Service
) -> None:
    restored(drivers, service)
    (job,) = service.jobs.values()
    service.work(job)
    assert drivers.ask(doubling(service)).value == 42
    assert len(service.accepted) == 1


def test_a_run_without_its_ledger_submits_what_is_nowhere(
    drivers: Drivers, service: Service
) -> None:
    drivers.next()
    assert drivers.ask(doubling(service)).value == 42
    assert service.calls[:2] == ["find", "submit"]


def test_a_new_run_submits_without_a_look(drivers: Drivers, service: Service) -> None:
    drivers.ask(doubling(service))
    assert service.calls[:1] == ["submit"]


def test_a_run_whose_ledger_lost_an_intent_looks_before_it_submits(
    drivers: Drivers, service: Service
) -> None:
    drivers.ask(doubling(service, name="another"), iteration=0)
    killed_while_the_job_runs(drivers, service)
    log = drivers.root / RUN / LOG
    log.write_text(log.read_text().replace(f'"name":"{NAME}"', f'"name":"{NAME}', 1))
    assert drivers.ask(doubling(service)).value == 42
    assert len(service.accepted) == 2


# bad ends


@bad_ends
def test_a_bad_end_is_raised_with_its_state(
    drivers: Drivers, service: Service, state: JobState
) -> None:
    service.endings = [ended(state, "so it was")]
    with pytest.raises(JobFailed, match=f"{NAME} .*ended {state}: so it was") as caught:
        drivers.ask(doubling(service))
    assert (caught.value.state, caught.value.job_id) == (state, *service.jobs)
    assert states(drivers) == [state]


@bad_ends
def test_a_call_after_a_bad_end_is_another_attempt(
    drivers: Drivers, service: Service, state: JobState
) -> None:
    service.endings = [ended(state)]
    ledger = drivers.next()
    with pytest.raises(JobFailed):
        drivers.ask(doubling(service), ledger)
    assert drivers.ask(doubling(service), ledger).value == 42
    assert [key.attempt for key in service.accepted] == [0, 1]


@bad_ends
def test_the_next_driver_makes_another_attempt_after_a_bad_end(
    drivers: Drivers, service: Service, state: JobState
) -> None:
    service.endings = [ended(state)]
    with pytest.raises(JobFailed):
        drivers.ask(doubling(service))
    assert drivers.ask(doubling(service)).record.key.attempt == 1


@bad_ends
def test_a_bad_end_that_is_worth_it_is_submitted_anew(
    drivers: Drivers, service: Service, state: JobState
) -> None:
    service.endings = [ended(state), ended(state)]
    assert drivers.ask(doubling(service, resubmit={state: 2})).record.key.attempt == 2
    assert states(drivers) == [state, state, "COMPLETED"]


def test_a_job_that_is_submitted_anew_is_told_of(drivers: Drivers, service: Service) -> None:
    service.endings = [ended(JobState.NODE_FAIL, "node 7 is down")]
    drivers.ask(doubling(service, resubmit={JobState.NODE_FAIL: 1}))
    (message,) = troubles(drivers)
    assert "ended NODE_FAIL, node 7 is down; submitted anew" in message


def test_a_job_is_submitted_anew_as_often_as_was_said(drivers: Drivers, service: Service) -> None:
    service.endings = [ended(JobState.PREEMPTED)] * 9
    with pytest.raises(JobFailed):
        drivers.ask(doubling(service, resubmit={JobState.PREEMPTED: 2}))
    assert states(drivers) == ["PREEMPTED"] * 3


def test_an_end_of_another_kind_is_not_submitted_anew(drivers: Drivers, service: Service) -> None:
    service.endings = [ended(JobState.PREEMPTED), ended(JobState.FAILED)]
    with pytest.raises(JobFailed, match="FAILED"):
        drivers.ask(doubling(service, resubmit={JobState.PREEMPTED: 5}))
    assert states(drivers) == ["PREEMPTED", "FAILED"]


def test_each_kind_of_end_has_a_count_of_its_own(drivers: Drivers, service: Service) -> None:
    service.endings = [ended(state) for state in (JobState.PREEMPTED, JobState.NODE_FAIL)]
    resubmit = {JobState.PREEMPTED: 1, JobState.NODE_FAIL: 1}
    assert drivers.ask(doubling(service, resubmit=resubmit)).record.key.attempt == 2


def test_each_attempt_has_a_folder_of_its_own(drivers: Drivers, service: Service) -> None:
    service.endings = [ended(JobState.PREEMPTED)]
    drivers.ask(doubling(service, resubmit={JobState.PREEMPTED: 1}))
    assert len({record.intent.folder for record in drivers.records}) == 2


def test_a_job_that_vanished_is_lost(drivers: Drivers, service: Service) -> None:
    killed_while_the_job_runs(drivers, service)
    service.jobs.clear()
    with pytest.raises(JobFailed, match="LOST"):
        drivers.ask(doubling(service))
    assert states(drivers) == ["LOST"]


def test_a_rejected_job_is_raised_with_what_the_service_said(
    drivers: Drivers, service: Service
) -> None:
    service.submissions = ["rejected"]
    with pytest.raises(JobFailed, match="ended REJECTED: there is no such queue"):
        drivers.ask(doubling(service))
    assert (states(drivers), service.accepted) == (["REJECTED"], [])


def test_a_call_after_a_rejection_is_another_attempt(drivers: Drivers, service: Service) -> None:
    service.submissions = ["rejected"]
    with pytest.raises(JobFailed):
        drivers.ask(doubling(service))
    assert drivers.ask(doubling(service)).record.key.attempt == 1


# results that cannot be read


def cannot_read(_folder: Path) -> int:
    raise ValueError("the result\nis no number")


def gone(folder: Path) -> None:
    (folder / "result").unlink()


def emptied(folder: Path) -> None:
    (folder / "result").write_text("")


def full_of_nuls(folder: Path) -> None:
    (folder / "result").write_bytes(bytes(8))


def all_of_it_gone(folder: Path) -> None:
    shutil.rmtree(folder)


@pytest.mark.parametrize(
    "error", [ValueError, KeyError, EOFError, OSError, TypeError, StopIteration]
)
def test_a_reader_s_error_fails_the_step_and_keeps_the_job(
    drivers: Drivers, service: Service, error: type[Exception]
) -> None:
    def collect(_folder: Path) -> int:
        raise error("no number")

    with pytest.raises(ResultUnreadable, match="The job is kept") as caught:
        drivers.ask(doubling(service, collect=collect, resubmit={JobState.FAILED: 9}))
    (record,) = drivers.records
    assert (record.state, record.spoilt, record.fault) == ("COMPLETED", False, None)
    assert record.unread
    assert caught.value.transient


@pytest.mark.guarantee("G13")
def test_a_result_that_could_not_be_read_is_read_by_the_next_call(
    drivers: Drivers, service: Service
) -> None:
    with pytest.raises(ResultUnreadable, match="ValueError: the result is no number"):
        drivers.ask(doubling(service, collect=cannot_read))
    done = drivers.ask(doubling(service))
    assert (done.value, done.record.key.attempt, done.record.unread) == (42, 0, "")
    assert len(service.accepted) == 1


def test_a_reader_that_fails_once_is_nobody_s_trouble(drivers: Drivers, service: Service) -> None:
    raised: list[Exception] = []

    def collect(folder: Path) -> int:
        if not raised:
            raised.append(ValueError("read too early"))
            raise raised[0]
        return read_number(folder)

    assert drivers.ask(doubling(service, collect=collect)).value == 42
    assert raised != []
    assert [record.unread for record in drivers.records] == [""]


@pytest.mark.parametrize("spoil", [gone, emptied, full_of_nuls, all_of_it_gone])
def test_a_result_that_a_service_keeps_is_fetched_again(
    drivers: Drivers, service: Service, spoil: Callable[[Path], None]
) -> None:
    service.keeps_results = True
    first = drivers.ask(doubling(service))
    spoil(first.record.folder)
    assert drivers.ask(doubling(service)).value == 42
    assert len(service.accepted) == 1


@pytest.mark.guarantee("G13")
@pytest.mark.parametrize("spoil", [gone, emptied, full_of_nuls, all_of_it_gone])
def test_a_result_that_nobody_else_has_is_not_paid_for_again_unasked(
    drivers: Drivers, service: Service, spoil: Callable[[Path], None]
) -> None:
    first = drivers.ask(doubling(service))
    spoil(first.record.folder)
    for _ in range(2):
        with pytest.raises(ResultUnreadable, match=f"qcsc-loop reap {RUN} --unread"):
            drivers.ask(doubling(service))
    assert len(service.accepted) == 1


def test_results_that_a_service_does_not_give_leave_the_job_done(
    drivers: Drivers, service: Service
) -> None:
    service.keeps_results, service.silent = True, {"fetch"}
    with pytest.raises(SiteUnreachable):
        drivers.ask(doubling(service))
    assert states(drivers) == ["COMPLETED"]
    service.silent = set()
    assert drivers.ask(doubling(service)).value == 42
    assert len(service.accepted) == 1


def test_a_job_that_an_older_version_gave_up_is_done_again(
    drivers: Drivers, service: Service
) -> None:
    first, ledger = drivers.ask(doubling(service)), drivers.next()
    anyio.run(ledger.write, Collected(key=first.record.key, epoch=2, fault="it is empty"))
    assert drivers.ask(doubling(service)).record.key.attempt == 1


# a run on two disks


@pytest.fixture
def elsewhere(drivers: Drivers, tmp_path: Path) -> Drivers:
    """The same run's drivers on another disk, which come after its first one here."""
    return Drivers(tmp_path / "elsewhere", epoch=drivers.epoch + 1)


def test_a_job_of_another_disk_is_adopted_where_it_works(
    drivers: Drivers, elsewhere: Drivers, service: Service
) -> None:
    killed_while_the_job_runs(drivers, service)
    done = elsewhere.ask(doubling(service))
    assert (done.value, done.record.folder) == (42, drivers.records[0].folder)
    assert len(service.accepted) == 1


def test_a_job_of_another_disk_gives_its_result_here_where_a_service_keeps_it(
    drivers: Drivers, elsewhere: Drivers, service: Service
) -> None:
    service.keeps_results = True
    killed_while_the_job_runs(drivers, service)
    drivers.root.rename(drivers.root.with_name("gone"))
    assert elsewhere.ask(doubling(service)).value == 42
    assert len(service.accepted) == 1


def test_a_job_of_a_disk_that_is_not_to_be_seen_is_refused_and_not_lost(
    drivers: Drivers, elsewhere: Drivers, service: Service
) -> None:
    killed_while_the_job_runs(drivers, service)
    folder, gone = drivers.records[0].folder, drivers.root.with_name("gone")
    drivers.root.rename(gone)
    for _ in range(2):
        with pytest.raises(JobElsewhere) as caught:
            elsewhere.ask(doubling(service))
        assert caught.value.folder == str(folder)
    gone.rename(drivers.root)
    assert elsewhere.ask(doubling(service)).value == 42
    assert len(service.accepted) == 1


def test_a_job_that_works_nobody_tells_where_is_refused(
    drivers: Drivers, elsewhere: Drivers, service: Service
) -> None:
    service.tells_places = False
    killed_while_the_job_runs(drivers, service)
    with pytest.raises(JobElsewhere, match="another disk"):
        elsewhere.ask(doubling(service))
    assert drivers.ask(doubling(service)).value == 42
    assert len(service.accepted) == 1


def test_a_tied_job_of_another_disk_is_ended_and_another_takes_its_place(
    drivers: Drivers, elsewhere: Drivers, service: Service
) -> None:
    killed_while_the_job_runs(drivers, service)
    done = elsewhere.ask(replace(doubling(service), tied=True))
    assert (done.value, done.record.key.attempt) == (42, 1)
    assert (states(elsewhere), service.alive) == (["CANCELLED", "COMPLETED"], [])


def test_a_driver_that_comes_back_to_its_disk_finds_what_another_disk_submitted(
    drivers: Drivers, elsewhere: Drivers, service: Service
) -> None:
    drivers.ask(doubling(service), iteration=1)  # this disk's ledger knows something
    service.hangs = True
    by_task(elsewhere, service, elsewhere.next(leave_jobs=True), iteration=2)
    service.hangs = False
    DirectoryStore(drivers.root).create(f"{RUN}/{ELSEWHERE}", Document(b"{}"))
    assert drivers.ask(doubling(service), iteration=2).value == 42
    assert len(service.accepted) == 2


def test_where_a_job_is_dear_it_is_looked_for_though_nobody_can_have_submitted_it(
    drivers: Drivers, elsewhere: Drivers, service: Service
) -> None:
    """A disk that was restored from a backup knows of no other drivers."""
    service.looks_first = True
    drivers.ask(doubling(service), iteration=1)
    service.hangs = True
    by_task(elsewhere, service, elsewhere.next(leave_jobs=True), iteration=2)
    service.hangs = False
    assert drivers.ask(doubling(service), iteration=2).value == 42
    assert len(service.accepted) == 2


def test_what_a_found_job_holds_is_released_with_the_run(
    drivers: Drivers, elsewhere: Drivers, service: Service
) -> None:
    killed_while_the_job_runs(drivers, service)
    service.held = {"session-1": "a session"}
    ledger = elsewhere.next()
    elsewhere.ask(doubling(service), ledger)
    assert [one.held for one in elsewhere.records[0].holding] == ["session-1"]
    assert anyio.run(release_all, ledger) == []
    assert (service.held, elsewhere.records[0].holding) == ({}, ())


def test_what_cannot_be_released_stays_in_the_ledger(
    drivers: Drivers, elsewhere: Drivers, service: Service
) -> None:
    killed_while_the_job_runs(drivers, service)
    service.held, service.silent = {"session-1": ""}, {"release"}
    elsewhere.ask(doubling(service))
    ((record, _),) = anyio.run(release_all, ledger := elsewhere.next())
    assert record.holding
    service.silent = set()
    assert anyio.run(release_all, ledger) == []


def test_a_driver_that_lost_its_run_releases_nothing(
    drivers: Drivers, elsewhere: Drivers, service: Service
) -> None:
    killed_while_the_job_runs(drivers, service)
    service.held = {"session-1": ""}
    elsewhere.ask(doubling(service))
    lease = Taken()
    ledger = elsewhere.next(check=lease.check)
    lease.lose()
    with pytest.raises(LeaseLost):
        anyio.run(release_all, ledger)
    assert service.held


# submissions in doubt


def test_a_job_that_was_taken_without_a_word_is_found(drivers: Drivers, service: Service) -> None:
    service.submissions = ["taken in silence"]
    assert drivers.ask(doubling(service)).value == 42
    assert len(service.accepted) == 1


@pytest.mark.guarantee("G14")
def test_a_job_that_turns_up_late_is_waited_for(drivers: Drivers, service: Service) -> None:
    service.submissions, service.settle_seconds = ["taken late"], SETTLE
    assert drivers.ask(doubling(service)).value == 42
    assert len(service.accepted) == 1


def test_the_next_driver_waits_for_a_job_that_turns_up_late(
    drivers: Drivers, service: Service
) -> None:
    service.settle_seconds = SETTLE
    intent = anyio.run(intended, drivers, service)
    service.take(KEY, Path(intent.folder), unseen=3)
    assert drivers.ask(doubling(service)).value == 42
    assert len(service.accepted) == 1


def test_a_job_submitted_long_after_its_intent_is_waited_for_too(
    drivers: Drivers, service: Service
) -> None:
    # the driver had tried again and again before it died
    service.settle_seconds = SETTLE
    intent = anyio.run(partial(intended, drivers, service, age=timedelta(hours=1)))
    service.take(KEY, Path(intent.folder), unseen=3)
    assert drivers.ask(doubling(service)).value == 42
    assert len(service.accepted) == 1


def test_a_job_that_was_not_taken_is_submitted_again(drivers: Drivers, service: Service) -> None:
    service.submissions, service.settle_seconds = ["not taken", "not taken"], SETTLE
    assert drivers.ask(doubling(service)).value == 42
    assert (len(service.accepted), service.calls.count("submit")) == (1, 3)


def test_an_unclear_submission_is_told_of(drivers: Drivers, service: Service) -> None:
    service.submissions = ["not taken"]
    drivers.ask(doubling(service))
    (message,) = troubles(drivers)
    assert "did not say whether it took the job: the connection was reset" in message


def test_a_job_that_is_never_taken_is_given_up(drivers: Drivers, service: Service) -> None:
    service.submissions = ["not taken"] * 99
    with pytest.raises(SubmissionUnclear):
        drivers.ask(doubling(service))
    assert (states(drivers), service.calls.count("submit")) == (["intended"], SUBMIT_TRIES)


def test_a_job_that_was_given_up_is_submitted_by_the_next_call(
    drivers: Drivers, service: Service
) -> None:
    service.submissions = ["not taken"] * SUBMIT_TRIES
    ledger = drivers.next()
    with pytest.raises(SubmissionUnclear):
        drivers.ask(doubling(service), ledger)
    assert drivers.ask(doubling(service), ledger).record.key.attempt == 0


@pytest.mark.guarantee("G14")
@pytest.mark.parametrize("plan", ["taken in silence", "not taken"])
def test_a_job_that_cannot_be_looked_for_is_not_submitted_again(
    drivers: Drivers, service: Service, plan: Submission
) -> None:
    service.submissions, service.silent = [plan], {"find"}
    with pytest.raises(SiteUnreachable):
        drivers.ask(doubling(service))
    assert service.calls.count("submit") == 1


@pytest.mark.parametrize("plan", ["taken in silence", "not taken"])
def test_a_job_that_could_not_be_looked_for_is_done_once_by_the_next_driver(
    drivers: Drivers, service: Service, plan: Submission
) -> None:
    service.submissions, service.silent = [plan], {"find"}
    with pytest.raises(SiteUnreachable):
        drivers.ask(doubling(service))
    service.silent = set()
    assert drivers.ask(doubling(service)).value == 42
    assert len(service.accepted) == 1


def test_the_next_driver_does_not_submit_what_it_cannot_look_for(
    drivers: Drivers, service: Service
) -> None:
    anyio.run(intended, drivers, service)
    service.silent = {"find"}
    with pytest.raises(SiteUnreachable):
        drivers.ask(doubling(service))
    assert service.accepted == []


def test_a_service_that_does_not_answer_changes_nothing_about_a_job(
    drivers: Drivers, service: Service
) -> None:
    service.silent = {"outcome"}
    with pytest.raises(SiteUnreachable):
        drivers.ask(doubling(service))
    assert states(drivers) == ["submitted"]
    service.silent = set()
    assert drivers.ask(doubling(service)).value == 42
    assert len(service.accepted) == 1


def test_of_two_jobs_of_one_key_the_one_that_works_is_waited_for(
    drivers: Drivers, service: Service
) -> None:
    intent = anyio.run(intended, drivers, service)
    works = service.take(KEY, Path(intent.folder), unseen=99)
    service.fences[KEY] = works.job_id
    result = drivers.ask(doubling(service))
    assert (result.value, result.record.job_id) == (42, works.job_id)
    assert service.worked == [works.job_id]


def test_an_error_of_the_submission_itself_is_raised(drivers: Drivers, service: Service) -> None:
    async def submit(_key: JobKey, _folder: Path) -> str:
        raise OSError("no more processes")

    with pytest.raises(OSError, match="no more processes"):
        drivers.ask(submitted_by(service, submit))
    assert drivers.ask(doubling(service)).record.key.attempt == 0


# told to go

Canceller = Callable[[Drivers, Service, Ledger], None]


def by_task(
    drivers: Drivers,
    service: Service,
    ledger: Ledger,
    *,
    during: Call = "outcome",
    first: Callable[[], None] = lambda: None,
    iteration: int = 1,
) -> None:
    """Cancels a driver's task during a call of the service, after something else has happened."""

    async def main() -> None:
        task = asyncio.create_task(drivers.asking(doubling(service), ledger, iteration))
        before = service.calls.count(during)
        await until_async(lambda: service.calls.count(during) > before, f"{during} is called")
        first()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, DEADLINE_SECONDS)

    asyncio.run(main())


def by_scope(drivers: Drivers, service: Service, ledger: Ledger) -> None:
    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(drivers.asking, doubling(service), ledger)
            await until_async(lambda: "outcome" in service.calls, "the job runs")
            group.cancel_scope.cancel()
        assert group.cancel_scope.cancelled_caught

    anyio.run(main)


cancellers = pytest.mark.parametrize("cancel", [by_task, by_scope])


@pytest.fixture
def busy() -> Service:
    """A service whose jobs do not end by themselves."""
    return Service(hangs=True)


@cancellers
def test_a_driver_that_is_told_to_go_ends_its_job(
    drivers: Drivers, busy: Service, cancel: Canceller
) -> None:
    cancel(drivers, busy, drivers.next())
    assert busy.alive == []


@cancellers
def test_the_ledger_has_how_a_cancelled_job_ended(
    drivers: Drivers, busy: Service, cancel: Canceller
) -> None:
    cancel(drivers, busy, drivers.next())
    (record,) = drivers.records
    assert (record.cancelling, record.state) == (True, "CANCELLED")


@cancellers
def test_after_a_cancellation_the_next_driver_makes_another_attempt(
    drivers: Drivers, busy: Service, cancel: Canceller
) -> None:
    cancel(drivers, busy, drivers.next())
    busy.hangs = False
    result = drivers.ask(doubling(busy))
    assert (result.value, result.record.key.attempt) == (42, 1)


@cancellers
def test_a_driver_that_leaves_its_jobs_ends_none(
    drivers: Drivers, busy: Service, cancel: Canceller
) -> None:
    cancel(drivers, busy, drivers.next(leave_jobs=True))
    assert (len(busy.alive), states(drivers)) == (1, ["submitted"])


@cancellers
def test_the_next_driver_goes_on_with_a_job_that_was_left(
    drivers: Drivers, busy: Service, cancel: Canceller
) -> None:
    cancel(drivers, busy, drivers.next(leave_jobs=True))
    busy.hangs = False
    assert drivers.ask(doubling(busy)).value == 42
    assert len(busy.accepted) == 1


@cancellers
def test_a_cancellation_stays_one_when_the_service_does_not_answer(
    drivers: Drivers, busy: Service, cancel: Canceller
) -> None:
    busy.silent = {"cancel"}
    cancel(drivers, busy, drivers.next())
    assert states(drivers) == ["cancelling"]


@cancellers
def test_a_cancellation_stays_one_whatever_goes_wrong_with_the_job(
    drivers: Drivers, busy: Service, cancel: Canceller
) -> None:
    busy.fault = PermissionError("the folder is read-only")
    cancel(drivers, busy, drivers.next())
    assert states(drivers) == ["cancelling"]


@pytest.mark.guarantee("G16")
def test_a_job_that_could_not_be_ended_is_ended_by_the_next_driver(
    drivers: Drivers, busy: Service
) -> None:
    busy.silent = {"cancel"}
    by_task(drivers, busy, drivers.next())
    busy.silent, busy.hangs = set(), False
    assert drivers.ask(doubling(busy)).record.key.attempt == 1
    assert states(drivers) == ["CANCELLED", "COMPLETED"]


def test_no_new_attempt_is_made_while_a_job_cannot_be_ended(
    drivers: Drivers, busy: Service
) -> None:
    busy.silent = {"cancel"}
    by_task(drivers, busy, drivers.next())
    with pytest.raises(SiteUnreachable):
        drivers.ask(doubling(busy))
    assert len(busy.accepted) == 1


def twin_that_works(drivers: Drivers, service: Service) -> None:
    """A job of the same key that the ledger does not know, and that is past the fence."""
    twin = service.take(KEY, Path(drivers.records[0].intent.folder))
    service.fences[KEY] = twin.job_id


def test_both_jobs_of_one_key_are_ended(drivers: Drivers, busy: Service) -> None:
    by_task(drivers, busy, drivers.next(), first=lambda: twin_that_works(drivers, busy))
    assert busy.alive == []


def test_both_jobs_of_one_key_are_ended_by_the_next_driver(drivers: Drivers, busy: Service) -> None:
    busy.silent = {"cancel"}
    by_task(drivers, busy, drivers.next())
    twin_that_works(drivers, busy)
    busy.silent, busy.hangs = set(), False
    drivers.ask(doubling(busy))
    assert busy.alive == []


def test_a_second_cancellation_leaves_the_job_to_the_next_driver(
    drivers: Drivers, busy: Service
) -> None:
    async def main() -> None:
        task = asyncio.create_task(drivers.asking(doubling(busy), drivers.next()))
        await until_async(lambda: "outcome" in busy.calls, "the job runs")
        for _ in range(2):
            task.cancel()
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, DEADLINE_SECONDS)

    asyncio.run(main())
    busy.hangs = False
    assert drivers.ask(doubling(busy)).value == 42
    assert busy.alive == []


def test_a_job_that_takes_for_ever_to_end_does_not_hold_a_cancellation_up(
    drivers: Drivers, busy: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qcsc_loop.exactly_once.ending.CANCEL_SECONDS", 0.01)
    busy.cancels_hang = True
    by_task(drivers, busy, drivers.next())
    assert states(drivers) == ["cancelling"]


def test_a_job_that_was_over_before_its_cancellation_is_not_done_again(
    drivers: Drivers, busy: Service
) -> None:
    def end() -> None:
        busy.work(*busy.jobs.values())

    by_task(drivers, busy, drivers.next(), first=end)
    assert drivers.ask(doubling(busy)).value == 42
    assert len(busy.accepted) == 1


def test_a_job_whose_submission_is_cancelled_does_not_run_on(drivers: Drivers) -> None:
    service = Service(submissions=["hangs"])
    by_task(drivers, service, drivers.next(), during="submit")
    assert service.alive == []


def test_a_job_that_turns_up_after_its_submission_was_cancelled_does_not_run_on(
    drivers: Drivers,
) -> None:
    service = Service(submissions=["hangs"], settle_seconds=SETTLE)
    by_task(drivers, service, drivers.next(), during="submit", first=lambda: service.show_after(3))
    assert service.alive == []


def test_a_job_that_is_looked_for_when_the_cancellation_arrives_does_not_run_on(
    drivers: Drivers,
) -> None:
    service = Service(submissions=["taken late"], settle_seconds=LONG, late_looks=LONG)
    by_task(drivers, service, drivers.next(), during="find", first=lambda: service.show_after(0))
    assert service.alive == []


def test_a_job_that_the_next_driver_looks_for_when_it_is_cancelled_does_not_run_on(
    drivers: Drivers, service: Service
) -> None:
    intent = anyio.run(intended, drivers, service)
    service.settle_seconds = LONG
    service.take(KEY, Path(intent.folder), unseen=LONG)
    by_task(drivers, service, drivers.next(), during="find", first=lambda: service.show_after(0))
    assert service.alive == []


def test_a_driver_that_leaves_its_jobs_leaves_one_whose_submission_is_cancelled(
    drivers: Drivers,
) -> None:
    service = Service(submissions=["hangs"])
    by_task(drivers, service, drivers.next(leave_jobs=True), during="submit")
    assert drivers.ask(doubling(service)).value == 42
    assert len(service.accepted) == 1


def test_a_job_whose_id_is_being_written_when_the_cancellation_arrives_does_not_run_on(
    drivers: Drivers, service: Service
) -> None:
    async def submit(key: JobKey, folder: Path) -> str:
        job_id = await service.site.submit(key, folder)
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        return job_id

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(drivers.asking(submitted_by(service, submit), drivers.next()))
    assert service.alive == []


# a driver that has lost its run


class Taken:
    """A lease that is lost when it is told so."""

    lost = False

    def lose(self) -> None:
        self.lost = True

    def check(self) -> None:
        if self.lost:
            raise LeaseLost(RUN, 1, 2)


def test_a_driver_that_has_lost_its_run_submits_nothing(drivers: Drivers, service: Service) -> None:
    lease = Taken()
    ledger = drivers.next(check=lease.check)
    lease.lose()
    with pytest.raises(LeaseLost):
        drivers.ask(doubling(service), ledger)
    assert (service.calls, drivers.records) == ([], [])


def test_a_driver_that_loses_its_run_between_two_submissions_makes_no_second(
    drivers: Drivers, service: Service
) -> None:
    lease = Taken()

    async def submit(_key: JobKey, _folder: Path) -> str:
        service.calls.append("submit")
        lease.lose()
        raise SubmissionUnclear(service.name, "the connection was reset")

    with pytest.raises(LeaseLost):
        drivers.ask(submitted_by(service, submit), drivers.next(check=lease.check))
    assert service.calls.count("submit") == 1


def test_a_driver_that_has_lost_its_run_ends_no_job(drivers: Drivers, busy: Service) -> None:
    lease = Taken()
    by_task(drivers, busy, drivers.next(check=lease.check), first=lease.lose)
    assert (len(busy.alive), states(drivers)) == (1, ["submitted"])

"""A run's remote jobs on disk: what each line says, and what a crash leaves of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Any

import anyio
import pytest

from qcsc_loop.errors import LeaseLost, StoreError
from qcsc_loop.jobs.entries import (
    Cancelling,
    Collected,
    Finished,
    Intent,
    JobRecord,
    Line,
    Measured,
    Submitted,
)
from qcsc_loop.jobs.key import JobKey
from qcsc_loop.jobs.ledger import LOG, Ledger, job_records
from qcsc_loop.jobs.outcome import JobMetrics, JobOutcome, JobState
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.memory import MemoryStore
from qcsc_loop.store.store import Store
from waiting import DEADLINE_SECONDS, until

RUN = "ledger-run"
UID = "2031-01-01T00:00:00+00:00"


@pytest.fixture
def disk(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path / "store")


@pytest.fixture
def log(disk: DirectoryStore) -> Path:
    return disk.root / RUN / LOG


def key(attempt: int = 0, **facts: Any) -> JobKey:  # one value per field, of its type
    known = {"iteration": 1, "step": "evaluate", "name": "double"}
    return JobKey(run_id=RUN, run_uid=UID, attempt=attempt, **{**known, **facts})


def intent(of: JobKey | None = None, *, site: str = "here") -> Intent:
    return Intent(
        key=of or key(),
        epoch=1,
        site={"type": "toy", "service": site},
        folder="/f",
        input_sha256="0",
    )


def submitted(of: JobKey | None = None, job_id: str = "7") -> Submitted:
    return Submitted(key=of or key(), epoch=1, job_id=job_id)


def cancelling() -> Cancelling:
    return Cancelling(key=key(), epoch=1)


def finished(
    state: JobState = JobState.COMPLETED, of: JobKey | None = None, **facts: Any
) -> Finished:
    return Finished(key=of or key(), epoch=1, outcome=JobOutcome(state=state, **facts))


def collected(fault: str = "") -> Collected:
    return Collected(key=key(), epoch=1, fault=fault)


def unread(why: str) -> Collected:
    return Collected(key=key(), epoch=1, unread=why)


def measured(**facts: Any) -> Measured:
    return Measured(key=key(), epoch=1, metrics=JobMetrics(**facts))


def ledger(store: Store, epoch: int = 1, **options: Any) -> Ledger:
    opened = Ledger(run_id=RUN, run_uid=UID, store=store, epoch=epoch, **options)
    opened.load()
    return opened


def written(to: Ledger, *lines: Line) -> JobRecord:
    """What the ledger says of a job after these lines."""

    async def write() -> list[JobRecord]:
        return [await to.write(line) for line in lines]

    return anyio.run(write)[-1]


# what the lines say

histories = pytest.mark.parametrize(
    ("lines", "state", "over", "spoilt"),
    [
        ([], "intended", False, False),
        ([submitted()], "submitted", False, False),
        ([submitted(), cancelling()], "cancelling", False, False),
        ([submitted(), cancelling(), finished(JobState.CANCELLED)], "CANCELLED", True, True),
        ([submitted(), finished()], "COMPLETED", True, False),
        ([submitted(), finished(JobState.TIMEOUT)], "TIMEOUT", True, True),
        ([finished(JobState.REJECTED)], "REJECTED", True, True),
        ([submitted(), finished(), collected()], "COMPLETED", True, False),
        ([submitted(), finished(), collected("it is empty")], "FAILED", True, True),
        ([submitted(), finished(), unread("it is empty")], "COMPLETED", True, False),
        ([submitted(), finished(), unread("it is empty"), collected()], "COMPLETED", True, False),
    ],
)


@histories
def test_a_job_is_in_the_state_of_its_last_line(
    store: Store, lines: Sequence[Line], state: str, over: bool, spoilt: bool
) -> None:
    record = written(ledger(store), intent(), *lines)
    assert (record.state, record.over, record.spoilt) == (state, over, spoilt)


@histories
def test_the_next_driver_reads_what_this_one_knows(
    store: Store, lines: Sequence[Line], state: str, over: bool, spoilt: bool
) -> None:
    record = written(ledger(store), intent(), *lines)
    assert ledger(store, epoch=2).latest(key()) == record
    assert job_records(store, RUN) == [record]


def test_a_job_has_the_last_id_it_was_given(store: Store) -> None:
    record = written(ledger(store), intent(), submitted(job_id="7"), submitted(job_id="8"))
    assert record.job_id == "8"


def test_what_accounting_says_is_laid_over_what_the_outcome_said(store: Store) -> None:
    begun = datetime(2031, 1, 1, tzinfo=UTC)
    outcome = finished(metrics=JobMetrics(started=begun, nodes=1))
    record = written(ledger(store), intent(), outcome, measured(nodes=2, max_rss_bytes=10))
    assert record.metrics == JobMetrics(started=begun, nodes=2, max_rss_bytes=10)


def test_the_log_is_a_line_of_json_for_each_event(disk: DirectoryStore, log: Path) -> None:
    written(ledger(disk), intent(), submitted(), finished(), collected())
    kinds = [json.loads(line)["kind"] for line in log.read_text().splitlines()]
    assert kinds == ["intent", "submitted", "finished", "collected"]


def test_a_reason_of_several_lines_is_one_line_of_the_log(store: Store) -> None:
    text = "first\nsecond\r\n\u2028third \ud7ff é"
    written(ledger(store), intent(), finished(JobState.FAILED, reason=text, tail=text))
    (record,) = job_records(store, RUN)
    assert record.outcome is not None
    assert (record.outcome.reason, record.outcome.tail) == (text, text)


# several jobs


def test_the_latest_attempt_is_the_one_with_the_highest_number(store: Store) -> None:
    opened = ledger(store)
    for attempt in range(12):
        written(opened, intent(key(attempt)), finished(JobState.FAILED, key(attempt)))
    latest = opened.latest(key())
    assert latest is not None
    assert latest.key.attempt == 11


@pytest.mark.parametrize(
    "facts", [{"iteration": 2}, {"step": "sample"}, {"label": "a"}, {"name": "other"}]
)
def test_a_job_of_another_step_part_or_name_is_none_of_its_attempts(
    store: Store, facts: dict[str, Any]
) -> None:
    opened = ledger(store)
    written(opened, intent(key(**facts)))
    assert opened.latest(key()) is None


def test_jobs_whose_keys_read_the_same_are_two_jobs(store: Store) -> None:
    one, other = key(label="a", name="b/c"), key(label="a/b", name="c")
    assert str(one) == str(other)
    written(ledger(store), intent(one), intent(other), submitted(one, "1"), submitted(other, "2"))
    assert [record.job_id for record in job_records(store, RUN)] == ["1", "2"]


def test_jobs_that_are_not_over_may_be_alive(store: Store) -> None:
    done, going, sent = (key(name=name) for name in ("done", "going", "sent"))
    opened = ledger(store)
    written(opened, intent(done), submitted(done), finished(of=done))
    written(opened, intent(going), submitted(going), intent(sent))
    alive = ledger(store, epoch=2).unfinished()
    assert [record.key for record in alive] == [going, sent]


def test_jobs_are_listed_in_the_order_of_their_submission(store: Store) -> None:
    keys = [key(name=name) for name in ("c", "a", "b")]
    written(ledger(store), *map(intent, keys))
    assert [record.key for record in job_records(store, RUN)] == keys


def test_jobs_of_early_iterations_are_kept_in_the_log(store: Store) -> None:
    opened = ledger(store)
    for iteration in range(1, 6):
        of = key(iteration=iteration)
        written(opened, intent(of), finished(of=of))
    assert [record.key.iteration for record in job_records(store, RUN)] == [1, 2, 3, 4, 5]


def test_a_job_of_an_early_iteration_that_may_be_alive_is_not_forgotten(store: Store) -> None:
    opened, early = ledger(store), key(iteration=1)
    written(opened, intent(early))
    for iteration in range(2, 6):
        of = key(iteration=iteration)
        written(opened, intent(of), finished(of=of))
    assert [record.key for record in opened.unfinished()] == [early]


def test_a_run_without_jobs_has_none(store: Store) -> None:
    assert job_records(store, RUN) == []


def test_lines_written_at_once_are_all_kept(store: Store) -> None:
    opened = ledger(store)
    keys = [key(name=str(number)) for number in range(20)]

    async def job(of: JobKey) -> None:
        for line in (intent(of), submitted(of), finished(of=of)):
            await opened.write(line)

    async def main() -> None:
        async with anyio.create_task_group() as group:
            for of in keys:
                group.start_soon(job, of)

    anyio.run(main)
    records = job_records(store, RUN)
    assert sorted(record.key.name for record in records) == sorted(of.name for of in keys)
    assert {record.state for record in records} == {"COMPLETED"}


class Busy(MemoryStore):
    """A store whose disk is busy with the first line until it is let go; notes what came together."""

    def __init__(self, fault: Exception | None = None) -> None:
        super().__init__()
        self.together: list[int] = []
        self.begun, self.free, self.fault = Event(), Event(), fault

    def append(self, name: str, lines: Iterable[bytes]) -> None:
        some = list(lines)
        self.together.append(len(some))
        if len(self.together) == 1:
            self.begun.set()
            assert self.free.wait(DEADLINE_SECONDS)
        elif self.fault is not None:
            raise self.fault
        super().append(name, some)


def written_while_busy(opened: Ledger, store: Busy) -> list[Future[JobRecord]]:
    """A line that the disk is busy with, and nine that have come meanwhile."""
    with ThreadPoolExecutor(10) as threads:
        first = threads.submit(opened.write_blocking, intent(key(name="0")))
        assert store.begun.wait(DEADLINE_SECONDS)
        others = [
            threads.submit(opened.write_blocking, intent(key(name=str(number))))
            for number in range(1, 10)
        ]
        until(lambda: opened.waiting == 9, "all others have come")
        store.free.set()
    return [first, *others]


def test_lines_that_come_while_the_disk_is_busy_are_written_together() -> None:
    store = Busy()
    done = written_while_busy(ledger(store), store)
    assert [each.result().key.name for each in done] == [str(number) for number in range(10)]
    assert sorted(each.key.name for each in job_records(store, RUN)) == sorted("0123456789")
    assert store.together == [1, 9]


def test_lines_that_cannot_be_written_together_have_all_failed() -> None:
    store = Busy(StoreError("append to", LOG, "No space left on device"))
    opened = ledger(store)
    done = written_while_busy(opened, store)
    assert done[0].result().key.name == "0"
    for each in done[1:]:
        with pytest.raises(StoreError, match="No space left"):
            each.result()
    assert [record.key.name for record in opened.recent()] == ["0"]


# what a crash leaves


def torn(log: Path, cut: int) -> None:
    """Cuts bytes off the log's end."""
    log.write_bytes(log.read_bytes()[:-cut])


@pytest.mark.parametrize("cut", [1, 2, 40])
def test_a_torn_last_line_did_not_happen(disk: DirectoryStore, log: Path, cut: int) -> None:
    written(ledger(disk), intent(), submitted())
    torn(log, cut)
    assert [record.state for record in job_records(disk, RUN)] == ["intended"]


@pytest.mark.parametrize("cut", [2, 40])
def test_what_follows_a_torn_line_is_read(disk: DirectoryStore, log: Path, cut: int) -> None:
    written(ledger(disk), intent(), submitted())
    torn(log, cut)
    written(ledger(disk, epoch=2), submitted(job_id="8"))
    assert [record.job_id for record in job_records(disk, RUN)] == ["8"]


def test_a_cancellation_that_lost_only_its_line_feed_did_not_happen_for_good(
    disk: DirectoryStore, log: Path
) -> None:
    written(ledger(disk), intent(), submitted(), cancelling())
    torn(log, 1)
    record = written(ledger(disk, epoch=2), finished())
    assert job_records(disk, RUN) == [record]


def test_an_intent_that_lost_only_its_line_feed_does_not_stand_for_the_next_one(
    disk: DirectoryStore, log: Path
) -> None:
    written(ledger(disk), intent(site="old"))
    torn(log, 1)
    written(ledger(disk, epoch=2), intent(site="new"))
    assert [record.intent.site["service"] for record in job_records(disk, RUN)] == ["new"]


def test_lines_and_fields_of_a_later_version_are_passed_over(
    disk: DirectoryStore, log: Path
) -> None:
    written(ledger(disk), intent())
    line = json.loads(submitted().model_dump_json())
    with log.open("a") as file:
        for more in ({"kind": "paused"}, {"priority": 3}):
            file.write(json.dumps({**line, **more}) + "\n")
    assert [record.state for record in job_records(disk, RUN)] == ["submitted"]


def test_a_line_about_a_job_that_was_never_intended_is_passed_over(store: Store) -> None:
    store.append(f"{RUN}/{LOG}", [submitted().model_dump_json().encode()])
    assert job_records(store, RUN) == []


# whether it knows all there is


def test_the_ledger_of_a_new_run_is_complete(store: Store) -> None:
    assert ledger(store).complete


def test_an_empty_ledger_of_a_run_that_was_driven_before_is_not_complete(store: Store) -> None:
    assert not ledger(store, epoch=2).complete


def test_a_ledger_with_jobs_is_complete(store: Store) -> None:
    written(ledger(store), intent())
    assert ledger(store, epoch=2).complete


def test_a_ledger_that_has_lost_an_intent_is_not_complete(disk: DirectoryStore, log: Path) -> None:
    other = key(name="other")
    written(ledger(disk), intent(other), intent(), submitted())
    lines = log.read_text().splitlines(keepends=True)
    log.write_text("".join([lines[0], lines[1].replace("{", "[", 1), lines[2]]))
    assert not ledger(disk, epoch=2).complete


# writing


class Full(MemoryStore):
    """A store whose disk is full."""

    def append(self, name: str, lines: object) -> None:
        raise StoreError("append to", name, "No space left on device")


def test_a_line_that_could_not_be_written_is_not_known(store: Store) -> None:
    opened = ledger(Full())
    with pytest.raises(StoreError, match="No space left"):
        written(opened, intent())
    assert opened.latest(key()) is None


def test_a_driver_that_has_lost_its_run_writes_nothing(store: Store) -> None:
    def lost() -> None:
        raise LeaseLost(RUN, 1, 2)

    with pytest.raises(LeaseLost):
        written(ledger(store, check=lost), intent())
    assert job_records(store, RUN) == []


def test_a_line_being_written_when_a_cancellation_arrives_is_written(store: Store) -> None:
    opened = ledger(store)

    async def main() -> None:
        task = asyncio.create_task(opened.write(intent()))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert [record.key for record in job_records(store, RUN)] == [key()]
    assert opened.latest(key()) is not None


def test_a_standalone_ledger_keeps_its_jobs_to_itself() -> None:
    one, other = Ledger.standalone(), Ledger.standalone()
    written(one, intent())
    assert other.latest(key()) is None
    assert one.run_uid != other.run_uid

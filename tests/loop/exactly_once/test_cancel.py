"""A run that somebody cancels: its driver here, elsewhere, silent or dead; and its jobs."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Unpack

import anyio
import pytest

from loop.exactly_once.toy_site import (
    Service,
    ToySite,
    hurry,
    read_number,
    write_number,
)
from other_user import NOBODY
from qcsc_loop.algorithm import IterativeAlgorithm
from qcsc_loop.errors import DriverSilent, LeaseLost, RunCancelled, RunNotFound, StoreNotPrivate
from qcsc_loop.exactly_once.cancel import Cancelled, Driver, Wish, cancel
from qcsc_loop.exactly_once.request import JobRequest
from qcsc_loop.exactly_once.run_once import run_once
from qcsc_loop.loop.options import RunOptions
from qcsc_loop.loop.outcome import Outcome
from qcsc_loop.reports.status import RunStatus
from qcsc_loop.reports.view import RunReader
from qcsc_loop.rules.reason import Reason
from qcsc_loop.rules.stop import MaxIterations
from qcsc_loop.steps.step import current_step
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.journal import Journal, Lease
from qcsc_loop.store.records import CancelOrder, EndRecord
from qcsc_loop.values.record import State
from waiting import until_async

RUN, BY = "doubling-run", "ann on login1"
WISH = Wish(order=CancelOrder(by=BY), wait_seconds=200.0)


class Total(State):
    total: int = 0


class Doubling(IterativeAlgorithm[Total, int, int]):
    """Adds the iteration's number, doubled by a job, in every iteration."""

    site: ToySite

    async def initialize(self) -> Total:
        return Total()

    async def sample(self, state: Total) -> int:
        return current_step().iteration

    async def evaluate(self, state: Total, samples: int) -> int:
        request = JobRequest(
            name="double",
            site=self.site,
            input_sha256=str(samples),
            prepare=lambda _key, folder: write_number(folder, samples),
            submit=self.site.submit,
            collect=read_number,
        )
        return (await run_once(request)).value

    async def update(self, state: Total, evaluation: int) -> Total:
        return Total(total=state.total + evaluation)

    async def converged(self, previous: Total, current: Total) -> bool:
        return False


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)
    monkeypatch.setattr("qcsc_loop.exactly_once.measuring.ACCOUNTING_SECONDS", 0.0)
    monkeypatch.setattr("qcsc_loop.loop.cancelling.LOOK_SECONDS", 0.01)
    monkeypatch.setattr("qcsc_loop.exactly_once.cancel.LOOK_SECONDS", 0.01)


@pytest.fixture
def disk(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path / "store")


@pytest.fixture
def journal(disk: DirectoryStore) -> Journal:
    return Journal(disk, RUN)


@pytest.fixture
def service() -> Service:
    return Service(hangs=True)


async def driving(
    service: Service, disk: DirectoryStore, **options: Unpack[RunOptions]
) -> Outcome[Total]:
    given: RunOptions = {"run_id": RUN, "stop": MaxIterations(2), "store": disk}
    given.update(options)
    return await Doubling(site=service.site).run(**given)


def while_a_job_runs(
    service: Service, disk: DirectoryStore, act: Callable[[], Awaitable[Cancelled]]
) -> Cancelled:
    """Does something to a run whose first job runs; its driver has ended as cancelled then."""

    async def main() -> Cancelled:
        driver = asyncio.create_task(driving(service, disk))
        await until_async(lambda: "outcome" in service.calls, "a job runs")
        done = await act()
        with pytest.raises(RunCancelled, match=f"was cancelled by {BY}; .* qcsc-loop resume {RUN}"):
            await driver
        assert driver.cancelling() == 0
        return done

    return asyncio.run(main())


def held_by_nobody(journal: Journal) -> Lease:
    """A driver that does not look for orders."""
    record = journal.record()
    return journal.claim(record.settings, {}, 200.0)


def new_run(service: Service, disk: DirectoryStore) -> None:
    """Two iterations, which a rule has ended."""
    service.hangs = False
    anyio.run(driving, service, disk)


def test_a_driver_ends_in_order_with_its_job(
    disk: DirectoryStore, journal: Journal, service: Service
) -> None:
    done = while_a_job_runs(service, disk, lambda: cancel(journal, WISH))
    assert (done.driver, done.iteration, done.left) == (Driver.ENDED, 0, [])
    assert done.pid == os.getpid()
    assert [job.state for job in done.ended] == ["CANCELLED"]
    assert service.alive == []
    view = RunReader(disk, RUN).look()
    assert view.status is RunStatus.CANCELLED
    assert view.sentence == f"cancelled after 0 iterations (by {BY})"
    assert view.next_command == f"qcsc-loop resume {RUN}"


def test_a_cancelled_run_goes_on_to_the_same_bits(
    disk: DirectoryStore, tmp_path: Path, journal: Journal, service: Service
) -> None:
    while_a_job_runs(service, disk, lambda: cancel(journal, WISH))
    service.hangs = False
    resumed = anyio.run(driving, service, disk)
    whole = anyio.run(driving, Service(), DirectoryStore(tmp_path / "other"))
    assert resumed.state_sha256 == whole.state_sha256
    assert resumed.state.total == 2 + 4


def test_a_job_may_be_left_to_the_driver_that_resumes(
    disk: DirectoryStore, journal: Journal, service: Service
) -> None:
    wish = replace(WISH, order=CancelOrder(by=BY, leave_jobs=True))
    done = while_a_job_runs(service, disk, lambda: cancel(journal, wish))
    assert [job.job_id for job in done.left] == service.alive
    assert service.alive
    service.hangs = False
    assert anyio.run(driving, service, disk).state.total == 2 + 4
    assert len(service.accepted) == 2  # the first one was not submitted again


def test_jobs_of_a_driver_that_is_gone_are_ended(
    disk: DirectoryStore, journal: Journal, service: Service
) -> None:
    async def killed() -> None:
        driver = asyncio.create_task(driving(service, disk, leave_jobs=lambda: True))
        await until_async(lambda: "outcome" in service.calls, "a job runs")
        driver.cancel()
        await asyncio.wait([driver])

    asyncio.run(killed())
    (disk.root / RUN / "epochs" / "0001-end.json").unlink()  # as after kill -9
    assert service.alive
    done = anyio.run(cancel, journal, WISH)
    assert (done.driver, done.left, service.alive) == (Driver.GONE, [], [])
    assert len(done.ended) == 1
    assert RunReader(disk, RUN).look().status is RunStatus.CANCELLED


@pytest.mark.parametrize("reason", [Reason.INTERRUPTED, Reason.HANDED_OVER])
def test_a_run_that_somebody_would_go_on_with_is_marked(
    disk: DirectoryStore, journal: Journal, service: Service, reason: Reason
) -> None:
    new_run(service, disk)
    held_by_nobody(journal).release(EndRecord(epoch=2, reason=reason, iteration=2))
    assert anyio.run(cancel, journal, WISH).stands == "cancelled"
    assert RunReader(disk, RUN).look().status is RunStatus.CANCELLED


def test_a_run_that_a_rule_has_ended_stays_so(
    disk: DirectoryStore, journal: Journal, service: Service
) -> None:
    new_run(service, disk)
    done = anyio.run(cancel, journal, WISH)
    assert (done.stands, done.ended, done.left) == ("max_iterations", [], [])
    assert journal.newest_epoch() == 1
    assert RunReader(disk, RUN).look().status is RunStatus.LIMIT


def test_a_driver_that_does_not_answer_is_told_of_and_may_be_taken_from(
    disk: DirectoryStore, journal: Journal, service: Service
) -> None:
    new_run(service, disk)
    silent = held_by_nobody(journal)
    at_once = replace(WISH, wait_seconds=0.0)
    try:
        with pytest.raises(DriverSilent, match=f"kill {os.getpid()} .* cancel {RUN} --force"):
            anyio.run(cancel, journal, at_once)
        assert RunReader(disk, RUN).look().status is RunStatus.RUNNING
        done = anyio.run(cancel, journal, replace(at_once, force=True))
        assert done.driver is Driver.TAKEN_OVER
        with pytest.raises(LeaseLost):
            silent.check()
    finally:
        silent.release(None)
    assert RunReader(disk, RUN).look().status is RunStatus.CANCELLED


def test_an_order_that_comes_when_the_run_is_over_changes_nothing(
    disk: DirectoryStore, journal: Journal, service: Service
) -> None:
    new_run(service, disk)
    journal.order_end(1, CancelOrder(by=BY))
    assert RunReader(disk, RUN).look().status is RunStatus.LIMIT
    assert anyio.run(driving, service, disk).reason is Reason.MAX_ITERATIONS  # another driver


def test_a_run_of_somebody_else_is_not_touched(
    disk: DirectoryStore, journal: Journal, service: Service
) -> None:
    if os.geteuid() != 0:
        pytest.skip("to give a run to another user needs root")
    new_run(service, disk)
    os.chown(disk.root / RUN, NOBODY, NOBODY)
    with pytest.raises(StoreNotPrivate, match="belongs to nobody"):
        anyio.run(cancel, journal, WISH)


def test_there_has_to_be_a_run(journal: Journal) -> None:
    with pytest.raises(RunNotFound):
        anyio.run(cancel, journal, WISH)

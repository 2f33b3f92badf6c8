"""Ending a run, wherever its driver is: in order, and with its jobs."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

import anyio
from anyio import to_thread

from qcsc_loop.errors import DriverSilent, RunLocked
from qcsc_loop.exactly_once.reap import mark_cancelled, reap
from qcsc_loop.jobs.entries import JobRecord
from qcsc_loop.jobs.ledger import job_records
from qcsc_loop.parameters.environment import environment
from qcsc_loop.rules.reason import Reason
from qcsc_loop.store.journal import Journal
from qcsc_loop.store.records import CancelOrder, EndRecord

LOOK_SECONDS = 0.25


class Driver(StrEnum):
    """What became of a run's driver."""

    ENDED = "ended"  # as it was asked to
    GONE = "gone"  # before it was asked, or without an answer
    TAKEN_OVER = "taken over"  # it did not answer, and may write nothing any more
    NONE = "none"  # nobody drove it


@dataclass
class Cancelled:
    """What was done about a run.

    Attributes:
        host, pid: the driver that was asked; empty: there was none to ask.
        iteration: the last one that was committed; None: none was.
        stands: how the run stands now, as its end says it; "new" before it had a driver.
        ended: its jobs that ended meanwhile, by the driver or here.
        left: those that may still be alive: their site did not answer, or they were to be left.
    """

    run_id: str
    driver: Driver = Driver.NONE
    host: str = ""
    pid: int = 0
    iteration: int | None = None
    stands: str = str(Reason.CANCELLED)
    ended: list[JobRecord] = field(default_factory=list[JobRecord])
    left: list[JobRecord] = field(default_factory=list[JobRecord])


@dataclass(frozen=True, kw_only=True)
class Wish:
    """How a run is to be cancelled.

    Attributes:
        wait_seconds: for a driver to answer.
        force: the run is taken from one that has not.
        leave_jobs: they are left to whoever resumes the run.
    """

    order: CancelOrder
    wait_seconds: float
    force: bool = False

    @property
    def leave_jobs(self) -> bool:
        return self.order.leave_jobs


async def cancel(
    journal: Journal,
    wish: Wish,
    *,
    asked: Callable[[RunLocked], None] = lambda _driver: None,
    tell: Callable[[JobRecord, str], None] = lambda _job, _trouble: None,
) -> Cancelled:
    """Ends a run that is driven here, elsewhere, or by nobody any more; and its jobs.

    A run that a rule has ended, or a fault, stays so; jobs that it has left are ended. Any other is
    marked as cancelled: neither a supervisor nor the next flow run of a chain goes on with it.

    Args:
        asked: told of a driver when it is asked to end.
        tell: told of each job that is ended here, or why it could not be.

    Raises:
        RunNotFound: there is no such run.
        DriverSilent: its driver has not answered in time.
        StoreNotPrivate: it is somebody else's, or others may have written which jobs it has.
    """
    await to_thread.run_sync(journal.store.require_own, journal.run_id)
    await to_thread.run_sync(journal.record)
    done = Cancelled(journal.run_id)
    before = await to_thread.run_sync(_alive, journal)
    latest = time.monotonic() + wish.wait_seconds
    while True:
        try:
            await _end_driver(journal, wish, done, latest, asked)
            await _end_rest(journal, wish, done, tell)
        except RunLocked:  # the next driver came in between: it is asked, too
            continue
        break
    now = {str(job.key): job for job in await to_thread.run_sync(_jobs, journal)}
    known, left = {str(job.key) for job in before}, {str(job.key) for job in done.left}
    done.ended = [job for key, job in now.items() if key in known and job.over]
    done.left += [job for key, job in now.items() if key not in left and not job.over]
    done.iteration = await to_thread.run_sync(journal.last_iteration)
    return done


async def _end_driver(
    journal: Journal,
    wish: Wish,
    done: Cancelled,
    latest: float,
    asked: Callable[[RunLocked], None],
) -> None:
    lease_seconds, epochs = environment().lease_seconds, set[int]()
    while True:
        try:
            await to_thread.run_sync(journal.require_free, lease_seconds)
        except RunLocked as driver:
            epoch = await to_thread.run_sync(journal.newest_epoch)
            if epoch not in epochs:
                await to_thread.run_sync(journal.order_end, epoch, wish.order)
                epochs.add(epoch)
                done.host, done.pid = driver.host, driver.pid
                asked(driver)
            if time.monotonic() > latest:
                if wish.force:
                    done.driver = Driver.TAKEN_OVER
                    return
                raise DriverSilent(
                    journal.run_id, driver.host, driver.pid, wish.wait_seconds, lives=driver.lives
                ) from driver
            await anyio.sleep(LOOK_SECONDS)
            continue
        newest = await to_thread.run_sync(journal.newest_epoch)
        if newest:
            ended = await to_thread.run_sync(journal.end, newest)
            done.driver = Driver.ENDED if epochs and ended is not None else Driver.GONE
        return


async def _end_rest(
    journal: Journal, wish: Wish, done: Cancelled, tell: Callable[[JobRecord, str], None]
) -> None:
    """What its driver has left: its jobs, and how the run stands."""
    newest = await to_thread.run_sync(journal.newest_epoch)
    end = await to_thread.run_sync(journal.end, newest) if newest else None
    if not newest or (end is not None and _stays(end)):
        done.stands = "new" if end is None else str(end.reason)
        done.left = [] if wish.leave_jobs else await reap(journal, tell)
        return
    done.left = await mark_cancelled(
        journal,
        tell,
        wish.order.by,
        take_over=done.driver is Driver.TAKEN_OVER,
        leave_jobs=wish.leave_jobs,
    )


def _stays(end: EndRecord) -> bool:
    """Whether nobody would go on with the run anyway."""
    return end.reason.finished or end.reason in (Reason.FAILED, Reason.CANCELLED)


def _jobs(journal: Journal) -> list[JobRecord]:
    return job_records(journal.store, journal.run_id)


def _alive(journal: Journal) -> list[JobRecord]:
    return [job for job in _jobs(journal) if not job.over]

"""Ending whatever a run's ledger shows alive."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

import anyio
from anyio import to_thread

from qcsc_loop.errors import QcscLoopError
from qcsc_loop.exactly_once.ending import end_job
from qcsc_loop.exactly_once.releasing import release_all
from qcsc_loop.jobs.entries import Collected, JobRecord
from qcsc_loop.jobs.ledger import Ledger, job_records
from qcsc_loop.jobs.site import site_from
from qcsc_loop.parameters.environment import environment
from qcsc_loop.rules.reason import Reason
from qcsc_loop.store.journal import Journal
from qcsc_loop.store.records import EndRecord


async def reap(
    journal: Journal, tell: Callable[[JobRecord, str], None], *, unread: bool = False
) -> list[JobRecord]:
    """Ends the jobs of a run that nobody drives, and records how they ended.

    Args:
        tell: told of each job that was ended, or why it could not be.
        unread: gives up, too, those that ended well and whose results could not be read: a resume
            has their work done anew.

    Returns:
        The jobs that may still be alive: their site did not answer.

    Raises:
        RunLocked: the run has a driver, which ends its own jobs.
        RunNotFound: there is no such run.
        StoreNotPrivate: others may have written which jobs it has.
    """
    await to_thread.run_sync(journal.store.require_own, journal.run_id)
    await to_thread.run_sync(journal.record)
    known = await to_thread.run_sync(job_records, journal.store, journal.run_id)
    if all(job.over and not job.holding and not (unread and job.unread) for job in known):
        return []
    # the run ended as it did before, whoever cleaned up after it
    async with _held(journal, await to_thread.run_sync(_last_end, journal)) as ledger:
        for job in [job for job in known if unread and job.unread]:
            why = f"given up: {job.unread}"
            tell(await ledger.write(Collected(key=job.key, epoch=ledger.epoch, fault=why)), "")
        return await _end_all(ledger, tell)


async def mark_cancelled(
    journal: Journal,
    tell: Callable[[JobRecord, str], None],
    by: str,
    *,
    take_over: bool = False,
    leave_jobs: bool = False,
) -> list[JobRecord]:
    """Ends the jobs of a run, too, and records that somebody does not want it to go on.

    Args:
        by: who that is.
        take_over: from a driver that holds it and does not answer.
        leave_jobs: they are left to whoever resumes it.

    Returns, Raises: as `reap`.
    """
    await to_thread.run_sync(journal.store.require_own, journal.run_id)
    last = await to_thread.run_sync(journal.last_iteration)
    end = EndRecord(epoch=1, reason=Reason.CANCELLED, because=f"by {by}", iteration=last or 0)
    async with _held(journal, end, take_over=take_over) as ledger:
        return [] if leave_jobs else await _end_all(ledger, tell)


@asynccontextmanager
async def _held(
    journal: Journal, end: EndRecord, *, take_over: bool = False
) -> AsyncIterator[Ledger]:
    """The run's jobs, while this process holds the run; it has ended so after that."""
    record = await to_thread.run_sync(journal.record)
    settings = await to_thread.run_sync(journal.settings)
    claim = partial(journal.claim, settings, {}, environment().lease_seconds, take_over=take_over)
    lease = await to_thread.run_sync(claim)
    try:
        ledger = Ledger(
            run_id=record.run_id,
            run_uid=record.uid,
            store=journal.store,
            epoch=lease.epoch,
            check=lease.check,
        )
        await to_thread.run_sync(ledger.load)
        yield ledger
    finally:
        lease.release(end.model_copy(update={"epoch": lease.epoch}))


async def _end_all(ledger: Ledger, tell: Callable[[JobRecord, str], None]) -> list[JobRecord]:
    """Ends all jobs at the same time, as a site may take many with one command; then what they hold."""
    left: list[JobRecord] = []
    strange: list[Exception] = []

    async def end(job: JobRecord) -> None:
        try:
            tell(await end_job(ledger, job, site_from(job.intent.site)), "")
        except QcscLoopError as error:
            left.append(job)
            tell(job, str(error))
        except Exception as error:  # when all are ended
            strange.append(error)

    async with anyio.create_task_group() as group:
        for job in ledger.unfinished():
            group.start_soon(end, job)
    if strange:
        raise strange[0]
    for job in ledger.holding():
        tell(job, f"closing {', '.join(one.held for one in job.holding)}")
    for job, refusal in await release_all(ledger):
        left.append(job)
        tell(job, str(refusal))
    return left


def _last_end(journal: Journal) -> EndRecord:
    """How the last driver ended; for one that was killed, that it did."""
    epoch = journal.newest_epoch()
    known = journal.end(epoch) if epoch else None
    iteration = journal.last_iteration() or 0
    return known or EndRecord(epoch=epoch + 1, reason=Reason.INTERRUPTED, iteration=iteration)

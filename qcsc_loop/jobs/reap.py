"""Ending whatever a run's ledger shows alive."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from anyio import to_thread

from qcsc_loop.errors import QcscLoopError
from qcsc_loop.jobs.ledger import Cancelling, Finished, JobRecord, Ledger, job_records
from qcsc_loop.jobs.outcome import JobOutcome, JobState
from qcsc_loop.jobs.site import PlacedJob, site_from
from qcsc_loop.settings import environment
from qcsc_loop.store.journal import Journal


async def reap(journal: Journal, tell: Callable[[JobRecord, str], None]) -> list[JobRecord]:
    """Ends the jobs of a run that nobody drives, and records how they ended.

    Args:
        tell: told of each job that was ended, or why it could not be.

    Returns:
        The jobs that may still be alive: their site did not answer.

    Raises:
        RunLocked: the run has a driver, which ends its own jobs.
    """
    record = await to_thread.run_sync(journal.record)
    if all(job.over for job in await to_thread.run_sync(job_records, journal.store, record.run_id)):
        return []
    before = await to_thread.run_sync(journal.end, journal.newest_epoch())
    settings = await to_thread.run_sync(journal.settings)
    lease = await to_thread.run_sync(journal.claim, settings, {}, environment().lease_seconds)
    left: list[JobRecord] = []
    try:
        ledger = Ledger(
            run_id=record.run_id,
            run_uid=record.created.isoformat(),
            store=journal.store,
            epoch=lease.epoch,
            check=lease.check,
        )
        await to_thread.run_sync(ledger.load)
        for job in ledger.unfinished():
            try:
                tell(await _end(ledger, job), "")
            except QcscLoopError as error:
                left.append(job)
                tell(job, str(error))
    finally:
        # the run ended as it did before, whoever cleaned up after it
        lease.release(before and before.model_copy(update={"epoch": lease.epoch}))
    return left


async def _end(ledger: Ledger, record: JobRecord) -> JobRecord:
    site, folder = site_from(record.intent.site), Path(record.intent.folder)
    key, epoch = record.key, ledger.epoch
    await ledger.write(Cancelling(key=key, epoch=epoch))
    begun = await to_thread.run_sync(site.forbid, key, folder)
    job_id = record.job_id or begun or await site.find(key, folder)
    if job_id is None:
        outcome = JobOutcome(state=JobState.CANCELLED, reason="it was never submitted")
    else:
        outcome = await site.cancel(PlacedJob(key, job_id, folder))
    return await ledger.write(Finished(key=key, epoch=epoch, outcome=outcome))

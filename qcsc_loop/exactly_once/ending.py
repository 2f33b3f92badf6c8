"""Ending a job, whatever is known of it: it runs, it waits, it may have been accepted."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio
from anyio import to_thread

from qcsc_loop.errors import SiteUnreachable
from qcsc_loop.events import Trouble
from qcsc_loop.exactly_once.patience import Patience
from qcsc_loop.jobs.entries import Cancelling, Finished, JobRecord, Submitted
from qcsc_loop.jobs.ledger import Ledger
from qcsc_loop.jobs.outcome import JobOutcome, JobState
from qcsc_loop.jobs.site import AnotherJobRuns, JobSite, PlacedJob

T = TypeVar("T")

CANCEL_SECONDS = 90.0  # for a cancelled job to be over
LOOK_SECONDS = 0.5  # between two looks for a job that may have been accepted


async def end_job(ledger: Ledger, record: JobRecord, site: JobSite) -> JobRecord:
    """The job's record with its end: it is cancelled, or was over before.

    All jobs of the key are ended, should there be two; one that completed is not thrown away.

    Raises:
        SiteUnreachable: it may still be alive; the ledger says that it is to end.
    """
    key, folder = record.key, record.folder
    if not record.cancelling:
        record = await ledger.write(Cancelling(key=key, epoch=ledger.epoch))
    begun = await to_thread.run_sync(site.forbid, key, folder)
    ids = [job_id for job_id in dict.fromkeys([record.job_id, begun]) if job_id is not None]
    if not ids:
        late = 0.0 if site.fences else site.settle_seconds
        found = await find_until(ledger, record, site, time.monotonic() + late)
        ids = [] if found is None else [found]
    ends: dict[str, JobOutcome] = {}
    while len(ends) < len(ids):
        job_id = ids[len(ends)]
        try:
            ends[job_id] = await site.cancel(PlacedJob(key, job_id, folder))
        except AnotherJobRuns as other:
            ends[job_id] = JobOutcome(state=JobState.CANCELLED, reason="a twin")
            ids += [other.job_id] if other.job_id not in ids else []
    good = [job_id for job_id in ids if ends[job_id].state is JobState.COMPLETED]
    if not ids:
        outcome = JobOutcome(state=JobState.CANCELLED, reason="it was never submitted")
        return await ledger.write(Finished(key=key, epoch=ledger.epoch, outcome=outcome))
    chosen = good[0] if good else ids[-1]
    if chosen != record.job_id:
        await ledger.write(Submitted(key=key, epoch=ledger.epoch, job_id=chosen))
    return await ledger.write(Finished(key=key, epoch=ledger.epoch, outcome=ends[chosen]))


async def end_or_tell(ledger: Ledger, record: JobRecord, site: JobSite) -> JobRecord | None:
    """The job's record with its end; None: it may still run, and whoever looks on is told so."""
    try:
        with anyio.fail_after(CANCEL_SECONDS):
            return await end_job(ledger, record, site)
    except Exception as error:  # must not take the place of what ended the run
        why = f"{record.key} may still run ({error or type(error).__name__})"
        ledger.observe(Trouble(f"{why}; to end it: qcsc-loop reap {ledger.run_id}"))
        return None


async def find_until(
    ledger: Ledger, record: JobRecord, site: JobSite, certain: float
) -> str | None:
    """The job's id, if it is found until the moment from which its absence is certain.

    Args:
        certain: by the monotonic clock.

    Raises:
        SiteUnreachable: the site has not answered for as long as it is worth waiting for.
    """
    while True:
        asked = time.monotonic()
        found = await ask(ledger, site, lambda: site.find(record.key, record.folder))
        if found is not None or asked >= certain:
            return found
        await anyio.sleep(LOOK_SECONDS)


async def ask(ledger: Ledger, site: JobSite, question: Callable[[], Awaitable[T]]) -> T:
    """The site's answer, asked for as long as its patience lasts.

    Raises:
        SiteUnreachable: it has not answered for as long as it is worth waiting for.
    """
    patience = Patience(site.patience_seconds)
    while True:
        try:
            return await question()
        except SiteUnreachable as error:
            if not patience.left:
                raise
            if not patience.paused:
                ledger.observe(Trouble(f"{error}; it is asked again"))
            await patience.pause()

"""Following a job, whoever submitted it, until its outcome stands in the ledger."""

from __future__ import annotations

import time
from functools import partial
from typing import TypeVar

from qcsc_loop.errors import JobElsewhere
from qcsc_loop.exactly_once.call import JobCall
from qcsc_loop.exactly_once.ending import end_job
from qcsc_loop.exactly_once.submission import resolve_doubt
from qcsc_loop.jobs.entries import Finished, JobRecord, Submitted
from qcsc_loop.jobs.events import JobChange, JobMeasured
from qcsc_loop.jobs.outcome import JobState
from qcsc_loop.jobs.site import AnotherJobRuns, JobSite, PlacedJob, Waiting

T = TypeVar("T")


async def follow(call: JobCall[T], record: JobRecord) -> JobRecord:
    """The job's outcome, in the ledger."""
    if record.over:
        return record
    site = call.site_of(record)
    if record.cancelling:
        return await end_job(call.ledger, record, site)
    if record.job_id is None:
        record = await resolve_doubt(call, record, since=time.monotonic())
    elif record.intent.epoch != call.ledger.epoch:  # an earlier driver's
        call.tell(record, JobState.PENDING, "found again", JobChange.REATTACHED)
    while not record.over:
        await _require_seen(call, record, site)
        record = await _wait(call, record, site)
    return record


async def _require_seen(call: JobCall[T], record: JobRecord, site: JobSite) -> None:
    """A job whose folder is not to be seen is no lost one: it may well be at work."""
    if not await site.sees(call.placed(record)):
        raise JobElsewhere(
            str(record.key), record.job_id or "", site.title, str(record.folder), record.key.run_id
        )


async def _wait(call: JobCall[T], record: JobRecord, site: JobSite) -> JobRecord:
    """The record with the job's outcome, or with another job of its key, which is the one to follow."""
    job = call.placed(record)
    try:
        outcome = await site.outcome(job, _waiting(call, record))
    except AnotherJobRuns as other:
        return await call.write(Submitted, record.key, job_id=other.job_id)
    record = await call.write(Finished, record.key, outcome=outcome)
    call.tell(record, outcome.state, outcome.reason, JobChange.FINISHED)
    _measure(call, site, job, record)
    return record


def _waiting(call: JobCall[T], record: JobRecord) -> Waiting:
    return Waiting(
        queue_seconds=call.request.queue_seconds,
        run_seconds=call.request.run_seconds,
        tell=partial(call.tell, record),
        output=partial(_show, call),
        trouble=call.trouble,
        check=call.ledger.check,
    )


def _measure(call: JobCall[T], site: JobSite, job: PlacedJob, record: JobRecord) -> None:
    if call.ledger.measure is not None and site.accounts:
        call.ledger.measure(site, job)
    elif site.remote:
        call.ledger.observe(JobMeasured(record))


def _show(call: JobCall[T], text: str) -> None:
    for line in text.splitlines():
        call.step.logger.info("%s: %s", call.name, line)

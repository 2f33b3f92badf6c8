"""Submitting a job that certainly was not submitted before, and doubts whether it was."""

from __future__ import annotations

import shutil
import time
from functools import partial
from pathlib import Path
from typing import Generic, TypeVar

from anyio import to_thread

from qcsc_loop.errors import JobNotTaken, JobRejected, SiteUnreachable, SubmissionUnclear
from qcsc_loop.events import Trouble
from qcsc_loop.exactly_once.call import JobCall
from qcsc_loop.exactly_once.ending import ask, end_job, find_until
from qcsc_loop.exactly_once.patience import Patience
from qcsc_loop.jobs.entries import Finished, Holding, Intent, JobRecord, Submitted
from qcsc_loop.jobs.events import JobChange
from qcsc_loop.jobs.outcome import JobOutcome, JobState
from qcsc_loop.jobs.site import PlacedJob
from qcsc_loop.steps.step import JOB_SUFFIX

T = TypeVar("T")

SUBMIT_TRIES = 3  # whatever a site's patience
UNTOLD = "a folder of another disk, which its site does not name"


async def begin(call: JobCall[T], attempt: int) -> JobRecord:
    """A new job: its folder, its intent in the ledger, and only then its submission."""
    key = call.key(attempt)
    folder = call.step.work_dir / f"{key.name}.{key.attempt}{JOB_SUFFIX}"
    # somebody was here, who may have submitted: a driver that had lost its lease, a run that
    # was brought back without its ledger
    made = await to_thread.run_sync(_make, folder)
    strange = not made or not call.ledger.complete
    try:
        await to_thread.run_sync(call.request.prepare, key, folder)
    except Exception:
        if made:
            await to_thread.run_sync(partial(shutil.rmtree, folder, ignore_errors=True))
        raise
    sha256 = call.request.input_sha256
    record = await call.write(Intent, key, site=call.here, folder=str(folder), input_sha256=sha256)
    if strange:
        return await resolve_doubt(call, record, since=call.ledger.loaded)
    site = call.request.site
    if site.looks_first:
        found = await ask(call.ledger, site, lambda: site.find(key, folder))
        if found is not None:
            return await _adopt(call, record, found)
    return await _submit(call, record)


async def resolve_doubt(call: JobCall[T], record: JobRecord, since: float) -> JobRecord:
    """An intent without an id: the job is found, or it certainly is not there.

    Args:
        since: when it was submitted at the latest, by the monotonic clock.
    """
    found = await _find(call, record, since)
    if found is not None:
        return await _adopt(call, record, found)
    if record.intent.site == call.here:
        if record.intent.epoch != call.ledger.epoch:
            # what an earlier driver prepared may not have outlived its machine
            await to_thread.run_sync(_make, record.folder)
            await to_thread.run_sync(call.request.prepare, record.key, record.folder)
        return await _submit(call, record)
    # it was meant for another machine than the one that this driver submits to
    return await end_job(call.ledger, record, call.site_of(record))


async def _submit(call: JobCall[T], record: JobRecord) -> JobRecord:
    """Submits it, as often as it certainly was not accepted before."""
    tries, key, folder, offer = 0, record.key, record.folder, _Offer(call, record)
    while True:
        call.ledger.check()
        tries += 1
        try:
            job_id = await call.request.submit(key, folder)
        except JobRejected as error:
            if tries > 1 and (found := await _find(call, record, time.monotonic())):
                return await _adopt(call, record, found)
            outcome = JobOutcome(state=JobState.REJECTED, reason=error.reason)
            return await call.write(Finished, key, outcome=outcome)
        except JobNotTaken as error:
            await offer.wait_for_turn(error)
        except (SubmissionUnclear, SiteUnreachable) as error:
            offer.say_unanswered(error)
            unclear = isinstance(error, SubmissionUnclear)
            if unclear and (found := await _find(call, record, time.monotonic())) is not None:
                return await _adopt(call, record, found)
            await offer.wait_for_answer(error, enough=tries >= SUBMIT_TRIES)
        else:
            record = await call.write(Submitted, key, job_id=job_id)
            call.tell(record, JobState.PENDING, "", JobChange.SUBMITTED)
            return record


class _Offer(Generic[T]):
    """How long a job is offered to a site that does not answer, or does not take it yet."""

    def __init__(self, call: JobCall[T], record: JobRecord) -> None:
        self._call, self._record = call, record
        self._silence: Patience | None = None  # since it has not answered
        self._turn: Patience | None = None  # since it has not taken the job
        self._said = ""

    async def wait_for_turn(self, error: JobNotTaken) -> None:
        """Raises it in the end, which `not_now_seconds` of the site are."""
        longest = self._call.request.site.not_now_seconds
        self._silence = None
        self._turn = self._turn or Patience(longest)
        if not self._turn.left:
            raise JobNotTaken(self._call.request.site.title, error.reason, longest) from error
        if error.reason != self._said:
            self._said = error.reason
            self._call.tell(self._record, JobState.PENDING, f"not taken yet: {error.reason}")
        await self._turn.pause()

    def say_unanswered(self, error: Exception) -> None:
        """Once for the same words."""
        if str(error) != self._said:
            self._said = str(error)
            self._call.ledger.observe(Trouble(self._said))

    async def wait_for_answer(self, error: Exception, *, enough: bool) -> None:
        """Raises it in the end, which `patience_seconds` of the site are."""
        self._silence = self._silence or Patience(self._call.request.site.patience_seconds)
        if enough and not self._silence.left:
            raise error
        await self._silence.pause()


async def _find(call: JobCall[T], record: JobRecord, since: float) -> str | None:
    """The job, if it turns up until one submitted at `since` would have been seen."""
    site = call.site_of(record)
    return await find_until(call.ledger, record, site, since + site.settle_seconds)


async def _adopt(call: JobCall[T], record: JobRecord, job_id: str) -> JobRecord:
    """Goes on with a job that was found, wherever it works."""
    site, ledger = call.site_of(record), call.ledger
    job = PlacedJob(record.key, job_id, record.folder)
    place = await ask(ledger, site, lambda: site.place_of(job))
    if place is None and not ledger.complete:
        folder: str | None = UNTOLD
    else:
        folder = None if place is None or place == record.folder else str(place)
    record = await call.write(Submitted, record.key, job_id=job_id, folder=folder)
    for held, what in (await ask(ledger, site, lambda: site.held_for(job))).items():
        record = await call.write(Holding, record.key, held=held, what=what)
    call.tell(record, JobState.PENDING, "found again", JobChange.REATTACHED)
    if folder is not None and call.request.tied:
        return await end_job(ledger, record, site)
    return record


def _make(folder: Path) -> bool:
    """Makes a folder; whether there was none."""
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        return False
    return True

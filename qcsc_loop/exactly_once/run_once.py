"""A remote job exactly once: `intent -> submitted(id) -> finished(outcome) -> collected`.

Whatever instant the driver dies at, the next one comes to the same key, reads in the ledger how far
the job got, and goes on from there: adopts what runs, collects what is done, and submits only what
certainly was not.
"""

from __future__ import annotations

import shutil
import struct
import time
import zipfile
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Generic, TypeVar

import anyio
from anyio import to_thread

from qcsc_loop.errors import (
    JobFailed,
    JobInputChanged,
    JobRejected,
    SiteUnreachable,
    SubmissionUnclear,
)
from qcsc_loop.events import Trouble
from qcsc_loop.exactly_once.ending import end_job, find_until
from qcsc_loop.exactly_once.patience import Patience
from qcsc_loop.jobs.entries import Collected, Finished, Intent, JobRecord, Submitted
from qcsc_loop.jobs.events import JobChange, JobChanged, JobMeasured
from qcsc_loop.jobs.key import JobKey, checked_name
from qcsc_loop.jobs.ledger import Ledger
from qcsc_loop.jobs.outcome import JobOutcome, JobState
from qcsc_loop.jobs.site import AnotherJobRuns, JobSite, PlacedJob, Waiting, site_from
from qcsc_loop.parameters.compare import to_plain
from qcsc_loop.steps.step import JOB_SUFFIX, current_step

T = TypeVar("T")

SUBMIT_TRIES = 3  # whatever a site's patience
CANCEL_SECONDS = 90.0  # for a cancelled job to be over

# what a bad result raises when it is read; anything else is the reader's own mistake, or the disk's
_BAD = (ValueError, LookupError, EOFError, FileNotFoundError, struct.error, zipfile.BadZipFile)


@dataclass(frozen=True)
class JobRequest(Generic[T]):
    """A job to be done once.

    Attributes:
        name: what it is called. A step's second job of that name is `name-2`; where jobs run at the
            same time, and their order is nobody's, give each a label.
        site: where a new one goes.
        input_sha256: over all that its result depends on.
        prepare: puts into the job's folder, made and empty, what it needs. Blocks.
        submit: hands it to the site. Raises `JobRejected`; `SubmissionUnclear`; `SiteUnreachable`
            if it certainly was not accepted.
        collect: reads its results from the folder. Blocks; raises what reading raises.
        resubmit: how many further attempts each outcome is worth, without asking anybody.
        queue_seconds, run_seconds: limits; None: none.
        placed: asked before each new attempt: the request as it is to be made now, which may be for
            another site. None: as it is.
    """

    name: str
    site: JobSite
    input_sha256: str
    prepare: Callable[[JobKey, Path], None]
    submit: Callable[[JobKey, Path], Awaitable[str]]
    collect: Callable[[Path], T]
    resubmit: Mapping[JobState, int] = field(default_factory=dict[JobState, int])
    queue_seconds: float | None = None
    run_seconds: float | None = None
    placed: Callable[[], Awaitable[JobRequest[T]]] | None = None


@dataclass(frozen=True)
class JobResult(Generic[T]):
    """What a job gave, and how it went."""

    value: T
    record: JobRecord


async def run_once(request: JobRequest[T]) -> JobResult[T]:
    """The result of the current step's job of this name, submitted now, earlier or by another driver.

    Cancelled, it ends the job, unless the driver is to leave its jobs to the next one.

    Raises:
        JobFailed: it ended otherwise than well; the ledger has it, and a call after that is another
            attempt.
        JobInputChanged: the step has a job of this name, for other input.
        SiteUnreachable, SubmissionUnclear: the site did not answer; nothing is lost.
    """
    job = _Once(current_step().ledger, request)
    try:
        return await job.result()
    except anyio.get_cancelled_exc_class():
        await job.give_up()
        raise


class _Once(Generic[T]):
    def __init__(self, ledger: Ledger, request: JobRequest[T]) -> None:
        self._ledger, self._request = ledger, request
        self._step = step = current_step()
        name = checked_name(request.name)
        step.calls[name] += 1
        count = step.calls[name]
        self._name = name if count == 1 else f"{name}-{count}"
        self._spent: dict[JobState, int] = {}
        self._here = to_plain(request.site)

    async def result(self) -> JobResult[T]:
        while True:
            known = self._ledger.latest(self._key(0))
            if known is None or known.spoilt:
                record = await self._new(0 if known is None else known.key.attempt + 1)
            else:
                record = self._same_input(known)
            record = await self._finished(record)
            if record.cancelling and record.spoilt:  # by a driver that did not see its end
                continue
            collected = await self._collected(record)
            if collected is not None:
                return collected
            record = self._ledger.latest(record.key) or record
            if not self._worth_another(record):
                raise self._failure(record)

    async def give_up(self) -> None:
        """Ends the job of a cancelled run, whatever is known of it."""
        record = self._ledger.latest(self._key(0))
        if record is None or record.over or self._ledger.leave_jobs():
            return
        with anyio.CancelScope(shield=True):
            try:
                with anyio.fail_after(CANCEL_SECONDS):
                    record = await end_job(self._ledger, record, self._site(record))
                assert record.outcome is not None
                self._changed(
                    record, record.outcome.state, "the run was cancelled", JobChange.FINISHED
                )
            except Exception as error:  # must not take the place of the cancellation
                why = f"{record.key} may still run ({error or type(error).__name__})"
                cure = f"qcsc-loop reap {self._ledger.run_id}"
                self._ledger.observe(Trouble(f"{why}; to end it: {cure}"))

    def _key(self, attempt: int) -> JobKey:
        step, ledger = self._step, self._ledger
        return JobKey(
            run_id=ledger.run_id,
            run_uid=ledger.run_uid,
            iteration=step.iteration,
            step=step.name,
            label=step.label,
            name=self._name,
            attempt=attempt,
        )

    def _same_input(self, known: JobRecord) -> JobRecord:
        changed = known.intent.input_sha256 != self._request.input_sha256
        if changed and not known.cancelling:
            raise JobInputChanged(str(known.key), known.job_id, self._ledger.run_id)
        return known

    # one attempt

    async def _new(self, attempt: int) -> JobRecord:
        if self._request.placed is not None:
            self._request = await self._request.placed()
            self._here = to_plain(self._request.site)
        key, request = self._key(attempt), self._request
        folder = self._step.work_dir / f"{key.name}.{key.attempt}{JOB_SUFFIX}"
        # somebody was here, who may have submitted: a driver that had lost its lease, a run that
        # was brought back without its ledger
        made = await to_thread.run_sync(_made, folder)
        strange = not made or not self._ledger.complete
        try:
            await to_thread.run_sync(request.prepare, key, folder)
        except Exception:
            if made:
                await to_thread.run_sync(partial(shutil.rmtree, folder, ignore_errors=True))
            raise
        intent = Intent(
            key=key,
            epoch=self._ledger.epoch,
            site=self._here,
            folder=str(folder),
            input_sha256=request.input_sha256,
        )
        record = await self._ledger.write(intent)
        if not strange:
            return await self._submitted(record)
        return await self._in_doubt(record, since=self._ledger.loaded)

    async def _finished(self, record: JobRecord) -> JobRecord:
        """The job's outcome, in the ledger."""
        if record.over:
            return record
        site = self._site(record)
        if record.cancelling:
            return await end_job(self._ledger, record, site)
        if record.job_id is None:
            record = await self._in_doubt(record, since=time.monotonic())
        elif record.intent.epoch != self._ledger.epoch:  # an earlier driver's
            self._changed(record, JobState.PENDING, "found again", JobChange.REATTACHED)
        while not record.over:
            assert record.job_id is not None
            job = PlacedJob(record.key, record.job_id, Path(record.intent.folder))
            try:
                outcome = await site.outcome(job, self._waiting(record))
            except AnotherJobRuns as other:
                record = await self._write(Submitted, record.key, job_id=other.job_id)
                continue
            record = await self._write(Finished, record.key, outcome=outcome)
            self._changed(record, outcome.state, outcome.reason, JobChange.FINISHED)
            self._measure(site, job, record)
        return record

    def _waiting(self, record: JobRecord) -> Waiting:
        return Waiting(
            queue_seconds=self._request.queue_seconds,
            run_seconds=self._request.run_seconds,
            tell=partial(self._changed, record),
            output=self._show,
            trouble=lambda text: self._ledger.observe(Trouble(text)),
            check=self._ledger.check,
        )

    async def _collected(self, record: JobRecord) -> JobResult[T] | None:
        """The results, if the job ended well and they are good."""
        assert record.outcome is not None
        if record.outcome.state is not JobState.COMPLETED:
            return None
        try:
            value = await to_thread.run_sync(self._request.collect, Path(record.intent.folder))
        except _BAD as error:
            fault = str(error) or type(error).__name__
            await self._write(Collected, record.key, fault=" ".join(fault.split()))
            return None
        if record.fault is None:
            record = await self._write(Collected, record.key)
        return JobResult(value, record)

    def _worth_another(self, record: JobRecord) -> bool:
        assert record.outcome is not None
        state = JobState.FAILED if record.fault else record.outcome.state
        self._spent[state] = self._spent.get(state, 0) + 1
        if self._spent[state] > self._request.resubmit.get(state, 0):
            return False
        why = f"{state}, {record.outcome.reason}" if record.outcome.reason else str(state)
        text = f"job {record.job_id} of {record.key} ended {why}; submitted anew"
        self._ledger.observe(Trouble(text))
        return True

    def _failure(self, record: JobRecord) -> JobFailed:
        outcome = record.outcome
        assert outcome is not None
        return JobFailed(
            job=self._name,
            state=str(JobState.FAILED if record.fault else outcome.state),
            job_id=record.job_id or "",
            site=self._site(record).title,
            exit_code=outcome.exit_code,
            reason=record.fault or outcome.reason,
            tail=outcome.tail,
            folder=record.intent.folder,
        )

    # submission, and doubts about it

    async def _submitted(self, record: JobRecord) -> JobRecord:
        """Submitted, as often as it certainly was not accepted before."""
        tries, key, folder = 0, record.key, Path(record.intent.folder)
        site = self._request.site
        patience = Patience(site.patience_seconds)
        while True:
            self._ledger.check()
            tries += 1
            try:
                job_id = await self._request.submit(key, folder)
            except JobRejected as error:
                if tries > 1 and (found := await self._found(record, time.monotonic())):
                    return await self._adopted(record, found)
                outcome = JobOutcome(state=JobState.REJECTED, reason=error.reason)
                return await self._write(Finished, key, outcome=outcome)
            except (SubmissionUnclear, SiteUnreachable) as error:
                self._ledger.observe(Trouble(str(error)))
                unclear = isinstance(error, SubmissionUnclear)
                if unclear and (found := await self._found(record, time.monotonic())) is not None:
                    return await self._adopted(record, found)
                if tries >= SUBMIT_TRIES and not patience.left:
                    raise
                await patience.pause()
            else:
                record = await self._write(Submitted, key, job_id=job_id)
                self._changed(record, JobState.PENDING, "", JobChange.SUBMITTED)
                return record

    async def _in_doubt(self, record: JobRecord, since: float) -> JobRecord:
        """An intent without an id: the job is found, or it certainly is not there."""
        found = await self._found(record, since)
        if found is not None:
            return await self._adopted(record, found)
        if record.intent.site == self._here:
            return await self._submitted(record)
        # it was meant for another machine than the one that this driver submits to
        return await end_job(self._ledger, record, self._site(record))

    async def _found(self, record: JobRecord, since: float) -> str | None:
        """The job, if it turns up until one submitted at `since` would have been seen."""
        site = self._site(record)
        return await find_until(self._ledger, record, site, since + site.settle_seconds)

    async def _adopted(self, record: JobRecord, job_id: str) -> JobRecord:
        record = await self._write(Submitted, record.key, job_id=job_id)
        self._changed(record, JobState.PENDING, "found again", JobChange.REATTACHED)
        return record

    # small things

    def _measure(self, site: JobSite, job: PlacedJob, record: JobRecord) -> None:
        if self._ledger.measure is not None and site.accounts:
            self._ledger.measure(site, job)
        elif site.remote:
            self._ledger.observe(JobMeasured(record))

    def _site(self, record: JobRecord) -> JobSite:
        """Where the record's job went, which may not be where a new one would go."""
        if record.intent.site == self._here:
            return self._request.site
        return site_from(record.intent.site)

    async def _write(self, line: type, key: JobKey, **facts: object) -> JobRecord:
        return await self._ledger.write(line(key=key, epoch=self._ledger.epoch, **facts))

    def _changed(
        self,
        record: JobRecord,
        state: JobState,
        reason: str,
        change: JobChange = JobChange.MOVED,
    ) -> None:
        site = self._site(record)
        self._ledger.observe(JobChanged(record, site.title, site.remote, state, reason, change))

    def _show(self, text: str) -> None:
        for line in text.splitlines():
            self._step.logger.info("%s: %s", self._name, line)


def _made(folder: Path) -> bool:
    """Makes a folder; whether there was none."""
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        return False
    return True

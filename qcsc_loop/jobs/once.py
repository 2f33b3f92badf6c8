"""A remote job exactly once: `intent -> submitted(id) -> finished(outcome) -> collected`.

Whatever instant the driver dies at, the next one comes to the same key, reads in the ledger how far
the job got, and goes on from there: adopts what runs, collects what is done, and submits only what
certainly was not.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Generic, TypeVar

import anyio
from anyio import to_thread

from qcsc_loop.errors import (
    JobFailed,
    JobInputChanged,
    JobRejected,
    QcscLoopError,
    SiteUnreachable,
    SubmissionUnclear,
)
from qcsc_loop.events import JobChanged, JobMeasured, Trouble
from qcsc_loop.jobs.key import JobKey
from qcsc_loop.jobs.ledger import (
    Cancelling,
    Collected,
    Finished,
    Intent,
    JobRecord,
    Ledger,
    Submitted,
)
from qcsc_loop.jobs.outcome import JobOutcome, JobState
from qcsc_loop.jobs.site import AnotherJobRuns, JobSite, PlacedJob, Waiting, site_from
from qcsc_loop.parameters import dumped
from qcsc_loop.step import current_step
from qcsc_loop.store.records import now

T = TypeVar("T")

LOOK_SECONDS = 0.5  # between two looks for a job that may have been accepted
SUBMIT_TRIES = 3
PAUSE_SECONDS = 1.0  # after a site did not answer; doubles
LONGEST_PAUSE_SECONDS = 30.0
CANCEL_SECONDS = 30.0  # for a cancelled job to be over


@dataclass(frozen=True)
class JobRequest(Generic[T]):
    """A job to be done once.

    Attributes:
        name: tells it from other jobs of the same step.
        site: where a new one goes.
        input_sha256: over all that its result depends on.
        prepare: puts into the job's folder, made and empty, what it needs. Blocks.
        submit: hands it to the site. Raises `JobRejected`, `SubmissionUnclear`.
        collect: reads its results from the folder. Blocks; raises what reading raises.
        resubmit: how many further attempts each outcome is worth, without asking anybody.
        queue_seconds, run_seconds: limits; None: none.
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


@dataclass(frozen=True)
class JobResult(Generic[T]):
    """What a job gave, and how it went."""

    value: T
    record: JobRecord


async def run_once(request: JobRequest[T]) -> JobResult[T]:
    """The result of the current step's job of this name, submitted now, earlier or by another driver.

    Raises:
        JobFailed: it ended otherwise than well; the ledger has it, and a call after that is another
            attempt.
        JobInputChanged: the step has a job of this name, for other input.
        SiteUnreachable, SubmissionUnclear: the site did not answer; nothing is lost.
    """
    return await _Once(current_step().ledger, request).result()


class _Once(Generic[T]):
    def __init__(self, ledger: Ledger, request: JobRequest[T]) -> None:
        self._ledger, self._request = ledger, request
        self._step = current_step()
        self._spent: dict[JobState, int] = {}

    async def result(self) -> JobResult[T]:
        while True:
            known = self._ledger.latest(self._key(0))
            if known is None or known.spoilt:
                record = await self._new(0 if known is None else known.key.attempt + 1)
            else:
                record = self._same_input(known)
            record = await self._finished(record)
            if record.cancelling and record.spoilt:  # by a driver that did not live to see its end
                continue
            collected = await self._collected(record)
            if collected is not None:
                return collected
            if not self._worth_another(self._ledger.latest(record.key) or record):
                raise self._failure(self._ledger.latest(record.key) or record)

    def _key(self, attempt: int) -> JobKey:
        step, ledger = self._step, self._ledger
        return JobKey(
            run_id=ledger.run_id,
            run_uid=ledger.run_uid,
            iteration=step.iteration,
            step=step.name,
            label=step.label,
            name=self._request.name,
            attempt=attempt,
        )

    def _same_input(self, known: JobRecord) -> JobRecord:
        if known.intent.input_sha256 != self._request.input_sha256:
            raise JobInputChanged(str(known.key), known.job_id, self._ledger.run_id)
        return known

    def _folder(self, key: JobKey) -> Path:
        return self._step.work_dir / f"{key.name}.{key.attempt}"

    # one attempt

    async def _new(self, attempt: int) -> JobRecord:
        key, request = self._key(attempt), self._request
        folder = self._folder(key)
        # somebody was here, who may have submitted: a driver that had lost its lease, a run that
        # was brought back without its ledger
        strange = not await to_thread.run_sync(_made, folder) or not self._ledger.complete
        await to_thread.run_sync(request.prepare, key, folder)
        intent = Intent(
            key=key,
            epoch=self._ledger.epoch,
            site=dumped(request.site),
            folder=str(folder),
            input_sha256=request.input_sha256,
        )
        record = await self._ledger.write(intent)
        return await (self._in_doubt(record) if strange else self._submitted(record))

    async def _finished(self, record: JobRecord) -> JobRecord:
        """The job's outcome, in the ledger."""
        if record.over:
            return record
        site = self._site(record)
        adopted = record.intent.epoch != self._ledger.epoch
        if record.job_id is None:
            record = await self._in_doubt(record)
        elif adopted:
            self._changed(record, JobState.PENDING, "found again")
        while record.outcome is None:
            assert record.job_id is not None
            job = PlacedJob(record.key, record.job_id, Path(record.intent.folder))
            try:
                if record.cancelling:
                    outcome = await site.cancel(job)
                else:
                    outcome = await self._awaited(site, job, record, adopted=adopted)
            except AnotherJobRuns as other:
                record = await self._write(Submitted, record.key, job_id=other.job_id)
                continue
            record = await self._write(Finished, record.key, outcome=outcome)
            self._changed(record, outcome.state, outcome.reason)
            self._measure(site, job, record)
        return record

    async def _awaited(
        self, site: JobSite, job: PlacedJob, record: JobRecord, *, adopted: bool
    ) -> JobOutcome:
        waiting = Waiting(
            queue_seconds=self._request.queue_seconds,
            run_seconds=self._request.run_seconds,
            tell=partial(self._changed, record),
            output=self._show,
            trouble=lambda text: self._ledger.observe(Trouble(text)),
            adopted=adopted,
        )
        try:
            return await site.outcome(job, waiting)
        except anyio.get_cancelled_exc_class():
            await self._cancelled(site, job)
            raise

    async def _cancelled(self, site: JobSite, job: PlacedJob) -> None:
        """The run is cancelled, and its job with it; a driver that merely goes leaves it alone."""
        if self._ledger.leave_jobs():
            return
        with anyio.CancelScope(shield=True), suppress(QcscLoopError):
            await self._write(Cancelling, job.key)
            with anyio.move_on_after(CANCEL_SECONDS):
                outcome = await site.cancel(job)
                record = await self._write(Finished, job.key, outcome=outcome)
                self._changed(record, outcome.state, "the run was cancelled")

    async def _abandoned(self, record: JobRecord) -> None:
        """As `_cancelled`, for a job of which it is not known whether it was accepted."""
        if self._ledger.leave_jobs():
            return
        site, folder = self._site(record), Path(record.intent.folder)
        with anyio.CancelScope(shield=True), suppress(QcscLoopError):
            record = await self._write(Cancelling, record.key)
            with anyio.move_on_after(CANCEL_SECONDS):
                await self._never_submitted_or_ended(site, record, folder)

    async def _never_submitted_or_ended(
        self, site: JobSite, record: JobRecord, folder: Path
    ) -> JobRecord:
        """The end of a job that is to be, and may not even have begun."""
        begun = await to_thread.run_sync(site.forbid, record.key, folder)
        job_id = begun or await site.find(record.key, folder)
        if job_id is None:
            outcome = JobOutcome(state=JobState.CANCELLED, reason="it was never submitted")
        else:
            record = await self._write(Submitted, record.key, job_id=job_id)
            outcome = await site.cancel(PlacedJob(record.key, job_id, folder))
        return await self._write(Finished, record.key, outcome=outcome)

    async def _collected(self, record: JobRecord) -> JobResult[T] | None:
        """The results, if the job ended well and they can be read."""
        assert record.outcome is not None
        if record.outcome.state is not JobState.COMPLETED:
            return None
        folder = Path(record.intent.folder)
        try:
            value = await to_thread.run_sync(self._request.collect, folder)
        except Exception as error:  # whatever reading a damaged file raises
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
        why = record.outcome.reason or state.lower()
        self._ledger.observe(
            Trouble(f"job {record.job_id} of {record.key} ended {state} ({why}); submitted anew")
        )
        return True

    def _failure(self, record: JobRecord) -> JobFailed:
        outcome = record.outcome
        assert outcome is not None
        state = JobState.FAILED if record.fault else outcome.state
        return JobFailed(
            job=self._request.name,
            state=str(state),
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
        attempt, key, folder = 0, record.key, Path(record.intent.folder)
        patience = _Patience(self._site(record).patience_seconds)
        while True:
            self._ledger.check()
            began = now()
            try:
                job_id = await self._request.submit(key, folder)
            except JobRejected as error:
                outcome = JobOutcome(state=JobState.REJECTED, reason=error.reason)
                return await self._write(Finished, key, outcome=outcome)
            except (SubmissionUnclear, SiteUnreachable) as error:
                attempt += 1
                self._ledger.observe(Trouble(f"{error}; looking for the job"))
                if (found := await self._turned_up(record, began)) is not None:
                    return await self._adopted(record, found)
                if attempt >= SUBMIT_TRIES and not patience.left:
                    raise
                await patience.pause()
            except anyio.get_cancelled_exc_class():
                await self._abandoned(record)
                raise
            else:
                record = await self._write(Submitted, key, job_id=job_id)
                self._changed(record, JobState.PENDING, "")
                return record

    async def _in_doubt(self, record: JobRecord) -> JobRecord:
        """An intent without an id: the job is found, or it certainly is not there."""
        if record.cancelling:
            folder = Path(record.intent.folder)
            return await self._never_submitted_or_ended(self._site(record), record, folder)
        try:
            found = await self._turned_up(record, record.intent.at)
        except anyio.get_cancelled_exc_class():
            await self._abandoned(record)
            raise
        return await (self._submitted(record) if found is None else self._adopted(record, found))

    async def _turned_up(self, record: JobRecord, since: datetime) -> str | None:
        """Looks for the job until one submitted at `since` would have been seen."""
        site = self._site(record)
        certain = time.monotonic() + site.settle_seconds - (now() - since).total_seconds()
        patience = _Patience(site.patience_seconds)
        while True:
            asked = time.monotonic()
            try:
                found = await site.find(record.key, Path(record.intent.folder))
            except SiteUnreachable as error:
                if not patience.left:
                    raise
                if not patience.paused:
                    self._ledger.observe(Trouble(f"{error}; it is asked again"))
                await patience.pause()
                continue
            if found is not None or asked >= certain:
                return found
            await anyio.sleep(LOOK_SECONDS)

    async def _adopted(self, record: JobRecord, job_id: str) -> JobRecord:
        record = await self._write(Submitted, record.key, job_id=job_id)
        self._changed(record, JobState.PENDING, "found again")
        return record

    # small things

    def _measure(self, site: JobSite, job: PlacedJob, record: JobRecord) -> None:
        if self._ledger.measuring is not None and site.accounts:
            self._ledger.measuring.later(site, job)
        elif site.remote:
            self._ledger.observe(JobMeasured(record))

    def _site(self, record: JobRecord) -> JobSite:
        """Where the record's job went, which may not be where a new one would go."""
        if record.intent.site == dumped(self._request.site):
            return self._request.site
        return site_from(record.intent.site)

    async def _write(self, line: type, key: JobKey, **facts: object) -> JobRecord:
        return await self._ledger.write(line(key=key, epoch=self._ledger.epoch, **facts))

    def _changed(self, record: JobRecord, state: JobState, reason: str) -> None:
        site = self._site(record)
        self._ledger.observe(JobChanged(record, site.title, site.remote, state, reason))

    def _show(self, text: str) -> None:
        for line in text.splitlines():
            self._step.logger.info("%s: %s", self._request.name, line)


class _Patience:
    """Pauses that grow, for as long as a site that does not answer is worth waiting for."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds
        self._next = PAUSE_SECONDS
        self.paused = False

    @property
    def left(self) -> bool:
        return time.monotonic() < self._end

    async def pause(self) -> None:
        await anyio.sleep(self._next)
        self._next, self.paused = min(2 * self._next, LONGEST_PAUSE_SECONDS), True


def _made(folder: Path) -> bool:
    """Makes a folder; whether there was none."""
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        return False
    return True

"""A remote job exactly once: `intent -> submitted(id) -> finished(outcome) -> collected`.

Whatever instant the driver dies at, the next one comes to the same key, reads in the ledger how far
the job got, and goes on from there: adopts what runs, collects what is done, and submits only what
certainly was not.
"""

from __future__ import annotations

import struct
import zipfile
from collections import Counter
from pathlib import Path
from typing import Generic, TypeVar

import anyio
from anyio import to_thread

from qcsc_loop.errors import JobFailed, JobInputChanged
from qcsc_loop.events import Trouble
from qcsc_loop.exactly_once.call import JobCall, call_for
from qcsc_loop.exactly_once.ending import end_job
from qcsc_loop.exactly_once.following import follow
from qcsc_loop.exactly_once.request import JobRequest, JobResult
from qcsc_loop.exactly_once.submission import begin
from qcsc_loop.jobs.entries import Collected, JobRecord
from qcsc_loop.jobs.events import JobChange
from qcsc_loop.jobs.outcome import JobState
from qcsc_loop.steps.step import current_step

T = TypeVar("T")

CANCEL_SECONDS = 90.0  # for a cancelled job to be over

# what a bad result raises when it is read; anything else is the reader's own mistake, or the disk's
_BAD = (ValueError, LookupError, EOFError, FileNotFoundError, struct.error, zipfile.BadZipFile)


async def run_once(request: JobRequest[T]) -> JobResult[T]:
    """The result of the current step's job of this name, submitted now, earlier or by another driver.

    Cancelled, it ends the job, unless the driver is to leave its jobs to the next one.

    Raises:
        JobFailed: it ended otherwise than well; the ledger has it, and a call after that is another
            attempt.
        JobInputChanged: the step has a job of this name, for other input.
        SiteUnreachable, SubmissionUnclear, JobNotTaken: the site did not answer, or has not taken
            it yet; nothing is lost.
    """
    attempts = _Attempts(call_for(request, current_step()))
    try:
        return await attempts.result()
    except anyio.get_cancelled_exc_class():
        await attempts.give_up()
        raise


class _Attempts(Generic[T]):
    """At one call's job: one after another, until one went well or no other is worth it."""

    def __init__(self, call: JobCall[T]) -> None:
        self._call = call  # it may be placed anew for each attempt
        self._spent: Counter[JobState] = Counter()

    async def result(self) -> JobResult[T]:
        while True:
            record = await follow(self._call, await self._latest_or_new())
            if record.cancelling and record.spoilt:  # by a driver that did not see its end
                continue
            collected = await _collect(self._call, record)
            if collected is not None:
                return collected
            record = self._call.ledger.latest(record.key) or record
            if not self._is_worth_another(record):
                raise _failure(self._call, record)

    async def _latest_or_new(self) -> JobRecord:
        known = self._call.ledger.latest(self._call.key(0))
        if known is not None and not known.spoilt:
            _require_same_input(self._call, known)
            return known
        self._call = await self._call.place()
        return await begin(self._call, 0 if known is None else known.key.attempt + 1)

    def _is_worth_another(self, record: JobRecord) -> bool:
        assert record.outcome is not None
        state = JobState.FAILED if record.fault else record.outcome.state
        self._spent[state] += 1
        if self._spent[state] > self._call.request.resubmit.get(state, 0):
            return False
        why = f"{state}, {record.outcome.reason}" if record.outcome.reason else str(state)
        text = f"job {record.job_id} of {record.key} ended {why}; submitted anew"
        self._call.ledger.observe(Trouble(text))
        return True

    async def give_up(self) -> None:
        """Ends the job of a cancelled run, whatever is known of it."""
        call, ledger = self._call, self._call.ledger
        record = ledger.latest(call.key(0))
        if record is None or record.over or ledger.leave_jobs():
            return
        with anyio.CancelScope(shield=True):
            try:
                with anyio.fail_after(CANCEL_SECONDS):
                    record = await end_job(ledger, record, call.site_of(record))
                assert record.outcome is not None
                why = "the run was cancelled"
                call.tell(record, record.outcome.state, why, JobChange.FINISHED)
            except Exception as error:  # must not take the place of the cancellation
                why = f"{record.key} may still run ({error or type(error).__name__})"
                cure = f"qcsc-loop reap {ledger.run_id}"
                ledger.observe(Trouble(f"{why}; to end it: {cure}"))


def _require_same_input(call: JobCall[T], known: JobRecord) -> None:
    changed = known.intent.input_sha256 != call.request.input_sha256
    if changed and not known.cancelling:
        raise JobInputChanged(str(known.key), known.job_id, call.ledger.run_id)


async def _collect(call: JobCall[T], record: JobRecord) -> JobResult[T] | None:
    """The results, if the job ended well and they are good."""
    assert record.outcome is not None
    if record.outcome.state is not JobState.COMPLETED:
        return None
    try:
        value = await to_thread.run_sync(call.request.collect, Path(record.intent.folder))
    except _BAD as error:
        fault = str(error) or type(error).__name__
        await call.write(Collected, record.key, fault=" ".join(fault.split()))
        return None
    if record.fault is None:
        record = await call.write(Collected, record.key)
    return JobResult(value, record)


def _failure(call: JobCall[T], record: JobRecord) -> JobFailed:
    outcome = record.outcome
    assert outcome is not None
    return JobFailed(
        job=call.name,
        state=str(JobState.FAILED if record.fault else outcome.state),
        job_id=record.job_id or "",
        site=call.site_of(record).title,
        exit_code=outcome.exit_code,
        reason=record.fault or outcome.reason,
        tail=outcome.tail,
        folder=record.intent.folder,
    )

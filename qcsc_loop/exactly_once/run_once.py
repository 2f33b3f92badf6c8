"""A remote job exactly once: `intent -> submitted(id) -> finished(outcome) -> collected`.

Whatever instant the driver dies at, the next one comes to the same key, reads in the ledger how far
the job got, and goes on from there: adopts what runs, collects what is done, and submits only what
certainly was not.
"""

from __future__ import annotations

from collections import Counter
from typing import Generic, TypeVar

import anyio
from anyio import to_thread

from qcsc_loop.errors import JobFailed, JobInputChanged, QcscLoopError, ResultUnreadable
from qcsc_loop.events import Trouble
from qcsc_loop.exactly_once.call import JobCall, call_for
from qcsc_loop.exactly_once.ending import end_or_tell
from qcsc_loop.exactly_once.following import follow
from qcsc_loop.exactly_once.request import JobRequest, JobResult
from qcsc_loop.exactly_once.submission import begin
from qcsc_loop.jobs.entries import Collected, JobRecord
from qcsc_loop.jobs.events import JobChange
from qcsc_loop.jobs.outcome import JobState
from qcsc_loop.steps.step import current_step

T = TypeVar("T")

READ_PAUSES = (0.2, 1.0)  # before a result is read again: a network file system may be behind


async def run_once(request: JobRequest[T]) -> JobResult[T]:
    """The result of the current step's job of this name, submitted now, earlier or by another driver.

    Cancelled, it ends the job, unless the driver is to leave its jobs to the next one.

    Raises:
        JobFailed: it ended otherwise than well; the ledger has it, and a call after that is another
            attempt.
        ResultUnreadable: it ended well, and its result cannot be read here and now; a call after
            that reads it again.
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
            if not record.spoilt:
                return await _collect(self._call, record)
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
        state = record.outcome.state
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
            if (ended := await end_or_tell(ledger, record, call.site_of(record))) is not None:
                assert ended.outcome is not None
                why = "the run was cancelled"
                call.tell(ended, ended.outcome.state, why, JobChange.FINISHED)


def _require_same_input(call: JobCall[T], known: JobRecord) -> None:
    changed = known.intent.input_sha256 != call.request.input_sha256
    if changed and not known.cancelling:
        raise JobInputChanged(str(known.key), known.job_id, call.ledger.run_id)


async def _collect(call: JobCall[T], record: JobRecord) -> JobResult[T]:
    """The results of a job that ended well, which nothing that goes wrong here can change.

    Raises:
        ResultUnreadable: they cannot be read, though they were brought here anew.
    """
    site, job = call.site_of(record), call.placed(record)
    pauses = iter(READ_PAUSES)
    while True:
        pause = next(pauses, None)
        await site.fetch(job, call.trouble, anew=pause is None)
        try:
            value = await to_thread.run_sync(call.request.collect, record.folder)
        except QcscLoopError:  # it says itself what is wrong
            raise
        except Exception as error:  # a reader may be anybody's, and raises what it likes
            if pause is None:
                raise await _unreadable(call, record, error) from error
            await anyio.sleep(pause)
            continue
        if record.fault is None or record.unread:
            record = await call.write(Collected, record.key)
        return JobResult(value, record)


async def _unreadable(call: JobCall[T], record: JobRecord, error: Exception) -> ResultUnreadable:
    """The error for whoever reads, written down for whoever asks what became of the job."""
    why = " ".join(f"{type(error).__name__}: {error}".split())
    if record.unread != why:
        await call.write(Collected, record.key, unread=why)
    return ResultUnreadable(
        job=call.name,
        job_id=record.job_id or "",
        site=call.site_of(record).title,
        why=why,
        folder=str(record.folder),
        run_id=call.ledger.run_id,
    )


def _failure(call: JobCall[T], record: JobRecord) -> JobFailed:
    outcome = record.outcome
    assert outcome is not None
    return JobFailed(
        job=call.name,
        state=str(outcome.state),
        job_id=record.job_id or "",
        site=call.site_of(record).title,
        exit_code=outcome.exit_code,
        reason=outcome.reason,
        tail=outcome.tail,
        folder=str(record.folder),
    )

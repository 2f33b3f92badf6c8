"""Ending a scheduler's job: told until it has heard, and followed until it has left its nodes."""

from __future__ import annotations

import time

import anyio

from qcsc_hpc.sites.following import GLANCE_SECONDS, Followed
from qcsc_hpc.sites.runtime import Runtime
from qcsc_hpc.sites.verdict import reach_verdict
from qcsc_loop.errors import SiteUnreachable
from qcsc_loop.jobs.outcome import JobOutcome, JobState
from qcsc_loop.jobs.site import PlacedJob

CANCEL_PAUSE_SECONDS = 1.0
CANCEL_SECONDS = 60.0  # for a cancelled job to leave its nodes


async def cancel_job(runtime: Runtime, job: PlacedJob) -> JobOutcome:
    """How it ended, which may be otherwise than by this.

    Raises:
        SiteUnreachable: it may not be over.
    """
    await tell_to_end(runtime, job.job_id)
    # one that is said to be over may have been quicker, and its record be seen late
    longest = CANCEL_SECONDS + runtime.lost_seconds
    with anyio.move_on_after(longest):
        async with runtime.watch.following(job, _ignore, _ignore) as followed:
            return await _see_end(runtime, followed)
    why = f"job {job.job_id} was cancelled and is not over after {longest:g} s"
    raise SiteUnreachable(runtime.title, why)


async def tell_to_end(runtime: Runtime, job_id: str) -> None:
    """Repeats the cancelling command: an answer that was lost must not leave the job running.

    Raises:
        SiteUnreachable: nobody can say that it has heard.
    """
    end = time.monotonic() + CANCEL_SECONDS
    while True:
        try:
            if runtime.arrays is not None:
                return await runtime.arrays.end(job_id)
            answer = await runtime.commands.ask(runtime.scheduler.cancel(job_id))
            with runtime.reading():
                return runtime.scheduler.cancelled(answer)
        except SiteUnreachable:
            if time.monotonic() > end:
                raise
        await anyio.sleep(CANCEL_PAUSE_SECONDS)


async def _see_end(runtime: Runtime, followed: Followed) -> JobOutcome:
    while True:
        seen = await followed.look(GLANCE_SECONDS)
        if seen is None:
            continue
        if seen.status is None and seen.record is None:
            return JobOutcome(state=JobState.CANCELLED, reason="the scheduler does not know it")
        outcome = reach_verdict(seen, runtime.lost_seconds)
        if outcome is not None and outcome.state is JobState.LOST:
            why = "it was cancelled, and left no record of another end"
            return JobOutcome(state=JobState.CANCELLED, reason=why, metrics=outcome.metrics)
        if outcome is not None:
            return outcome


def _ignore(_text: str) -> None:
    pass

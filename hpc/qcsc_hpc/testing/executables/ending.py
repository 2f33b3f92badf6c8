"""How jobs end: by themselves, or because somebody wants them to."""

from __future__ import annotations

import os
import signal

from qcsc_hpc.testing.executables.job import (
    COMPLETED,
    FAILED,
    NODE_FAIL,
    PENDING,
    PREEMPTED,
    REQUEUED,
    RUNNING,
    TIMEOUT,
    Job,
)
from qcsc_hpc.testing.executables.state import State


def end_job(state: State, job: Job, ending: str) -> None:
    """Has a job end as `ending`; one that runs takes a moment for it."""
    if job.is_over or job.is_ending:
        return
    if job.state == RUNNING:
        job.ending = what_comes_of(state, job, ending)
    elif ending != REQUEUED:
        job.state, job.ended = ending, state.now
    state.save(job)
    wake(job)


def wake(job: Job) -> None:
    """Has what looks after a job see how the job has changed."""
    if job.starter is not None:
        os.kill(job.starter, signal.SIGUSR1)


def what_comes_of(state: State, job: Job, ending: str) -> str:
    """The ending, unless the job gets another chance."""
    gets_one = ending == NODE_FAIL or (
        ending == PREEMPTED and bool(state.setting("preempted_run_again"))
    )
    return REQUEUED if gets_one and job.requeueable else ending


def due(job: Job, now: float) -> str | None:
    """How a running job has to end now, if it has to."""
    over = job.started is not None and job.walltime is not None
    if over and now >= (job.started or 0.0) + (job.walltime or 0.0):
        return TIMEOUT
    return None


def ended(state: State, job: Job, code: int | None) -> None:
    """Records that no process of a job is left."""
    job.starter = job.process = None
    if job.ending == REQUEUED:
        job.state, job.ending, job.reason = PENDING, None, "BeginTime"
        job.started = job.ended = job.code = None
        job.allocation = ""
        job.requeue_at = state.now + state.number_setting("requeue_seconds")
    else:
        job.code, job.ended = code, state.now
        job.state = job.ending or (FAILED if code else COMPLETED)
    state.save(job)

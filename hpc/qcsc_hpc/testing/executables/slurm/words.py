"""Slurm's words for how a job is."""

from __future__ import annotations

from qcsc_hpc.testing.executables import job as jobs
from qcsc_hpc.testing.executables.job import Job

COMPACT = {
    jobs.PENDING: "PD",
    jobs.RUNNING: "R",
    "COMPLETING": "CG",
    jobs.COMPLETED: "CD",
    jobs.FAILED: "F",
    jobs.CANCELLED: "CA",
    jobs.TIMEOUT: "TO",
    jobs.NODE_FAIL: "NF",
    jobs.PREEMPTED: "PR",
}
BY_ITSELF = (jobs.COMPLETED, jobs.FAILED)


def queue_state(job: Job) -> str:
    """What squeue says."""
    return "COMPLETING" if job.is_ending else job.state


def restarts(job: Job) -> int:
    """How often it was requeued; one that is being requeued is counted already."""
    again = job.ending == jobs.REQUEUED or job.state == jobs.PENDING
    return max(job.starts - (not again), 0)


def wait_status(job: Job) -> int:
    """As squeue shows it; sacct has none but 0 for a job that Slurm ended."""
    return job.code or 0


def queue_reason(job: Job) -> str:
    """Why a job is as it is."""
    match job.state:
        case jobs.PENDING:
            return job.reason or "None"
        case jobs.FAILED if job.signal:
            return "JobLaunchFailure"
        case jobs.FAILED:
            return "NonZeroExitCode"
        case jobs.TIMEOUT:
            return "TimeLimit"
        case jobs.NODE_FAIL:
            return "NodeDown"
        case jobs.CANCELLED if job.dependency and not job.starts:
            return job.reason or "None"
        case _:
            return "None"

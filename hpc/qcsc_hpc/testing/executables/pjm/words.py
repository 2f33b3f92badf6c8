"""PJM's words and codes for how a job is."""

from __future__ import annotations

import signal

from qcsc_hpc.testing.executables import job as jobs
from qcsc_hpc.testing.executables.job import Job

# Users Guide 5.16.1
FINE = 0
NO_FILE = 16
CODES = {
    jobs.CANCELLED: 1,  # by pjdel
    jobs.REJECTED: 3,  # refused by the job manager's exit function
    jobs.TIMEOUT: 11,
    jobs.PREEMPTED: 18,  # by another job
    jobs.NODE_FAIL: 20,
    jobs.ERROR: 28,
}
REASONS = {
    jobs.REJECTED: "GATE CHECK",
    jobs.TIMEOUT: "ELAPSE LIMIT EXCEEDED",
    jobs.PREEMPTED: "ANOTHER JOB STARTED",
    jobs.ERROR: "INTERNAL ERROR",
}


def job_state(job: Job) -> str:
    """The column ST."""
    if job.is_over:
        return {jobs.CANCELLED: "CCL", jobs.REJECTED: "RJT", jobs.ERROR: "ERR"}.get(
            job.state, "EXT"
        )
    if job.is_ending:
        return "RNO"
    if job.state == jobs.RUNNING:
        return "RNA" if job.process is None else "RUN"
    return "HLD" if job.held and not job.reason else "QUE"


def previous_state(job: Job) -> str:
    """The column LST."""
    if job.is_over:
        return "RNO" if job.starts else "QUE"
    return {"RUN": "RNP", "RNO": "RUN", "RNA": "QUE"}.get(job_state(job), "ACC")


def manager_code(job: Job) -> int:
    """The column PC."""
    if job.code == jobs.UNSTARTABLE:
        return NO_FILE
    return CODES.get(job.state, FINE) if job.is_over else FINE


def exit_code(job: Job) -> int:
    """The column EC; 0 says nothing without PC."""
    return job.exit_code if job.state == jobs.FAILED and job.code != jobs.UNSTARTABLE else 0


def shown_signal(job: Job) -> int:
    """The column SN."""
    match job.state:
        case jobs.TIMEOUT:
            return signal.SIGXCPU
        case jobs.CANCELLED | jobs.PREEMPTED if job.starts:
            return signal.SIGKILL
        case jobs.FAILED if job.code != jobs.UNSTARTABLE:
            return job.signal
        case _:
            return 0


def reason(job: Job) -> str:
    """The column REASON, in full."""
    if job.code == jobs.UNSTARTABLE:
        return "NO CURRENT DIR"
    if job.is_over:
        return REASONS.get(job.state, "-")
    return job.reason if job.held and job.reason else "-"

"""What a test does to a fake machine from outside: ACTION JOB, or an ACTION alone."""

from __future__ import annotations

from qcsc_hpc.testing.executables.ending import end_job
from qcsc_hpc.testing.executables.job import (
    ERROR,
    NODE_FAIL,
    PREEMPTED,
    REJECTED,
    REQUEUED,
    TIMEOUT,
    Job,
)
from qcsc_hpc.testing.executables.launching import launch_jobs
from qcsc_hpc.testing.executables.scheduling import schedule
from qcsc_hpc.testing.executables.state import State

ENDINGS = {
    "expire": TIMEOUT,
    "fail-node": NODE_FAIL,
    "preempt": PREEMPTED,
    "requeue": REQUEUED,
    "reject": REJECTED,
    "break": ERROR,
}


def main(folder: str, arguments: list[str]) -> None:
    """Does it."""
    action, *ids = arguments
    with State(folder) as state:
        for id in ids:
            job = state.any_job(id)
            assert job is not None
            _act(state, action, job)
        launch_jobs(folder, schedule(state))


def _act(state: State, action: str, job: Job) -> None:
    if action == "forget":
        job.hidden = 1
        state.save(job)
    elif action == "release":
        job.held, job.reason = 0, ""
        state.save(job)
    else:
        end_job(state, job, ENDINGS[action])

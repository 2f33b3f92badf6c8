"""Which jobs are cancelled without anybody's asking: they took too long, or can never start."""

from __future__ import annotations

from datetime import UTC, datetime

from qcsc_hpc.profiles import HPCProfile
from qcsc_hpc.schedulers.scheduler import Scheduler, Status
from qcsc_loop.jobs.outcome import JobOutcome, JobState
from qcsc_loop.jobs.site import Waiting


def reason_to_cancel(
    status: Status, scheduler: Scheduler, where: HPCProfile, waiting: Waiting
) -> JobOutcome | None:
    """The outcome of a job that is to be cancelled now; None if it is not."""
    if scheduler.never_starts(status):
        queue = where.queue_cpu or where.queue_gpu or "the default queue"
        why = (
            f"it was accepted, but can never start: {status.reason}; look at nodes, memory and "
            f"walltime, and at what {queue} allows"
        )
        return JobOutcome(state=JobState.REJECTED, reason=why)
    if status.state is JobState.PENDING:
        since, limit, what = status.metrics.submitted, waiting.queue_seconds, "waited"
    else:
        since, limit, what = status.metrics.started, waiting.run_seconds, "ran"
    if since is None or limit is None or (datetime.now(UTC) - since).total_seconds() < limit:
        return None
    why = f"it {what} longer than {limit:g} s and was cancelled"
    return JobOutcome(state=JobState.TIMEOUT, reason=why)

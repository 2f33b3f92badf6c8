"""Which jobs are cancelled without anybody's asking: they took too long, or can never start."""

from __future__ import annotations

import time
from dataclasses import dataclass

from anyio import to_thread

from qcsc_hpc.profiles import HPCProfile
from qcsc_hpc.schedulers.scheduler import Scheduler, Status
from qcsc_hpc.script.job_folder import JobFolder
from qcsc_loop.jobs.outcome import JobOutcome, JobState
from qcsc_loop.jobs.site import Waiting


@dataclass
class Standing:
    """For how long a job has waited, or run.

    Neither this host's clock nor the scheduler's says it: they differ, by hours in the worst case,
    and a healthy job would be cancelled. Its folder's files do, by their own disk's clock, when it is
    first seen so, which may be by a later driver; from then on this process's.
    """

    folder: JobFolder
    _state: JobState | None = None
    _since: float = 0.0

    async def seconds(self, state: JobState) -> float:
        """Until now, in this state."""
        if (state is JobState.PENDING) != (self._state is JobState.PENDING) or self._state is None:
            self._since = time.monotonic() - await self._before(state)
        self._state = state
        return time.monotonic() - self._since

    async def _before(self, state: JobState) -> float:
        if state is not JobState.PENDING:
            return await to_thread.run_sync(self.folder.seconds_since, "started")
        if self._state is not None:  # it is to be started once more
            return 0.0
        return await to_thread.run_sync(self.folder.seconds_since, self.folder.script.name)


def reason_to_cancel(
    status: Status, scheduler: Scheduler, where: HPCProfile, waiting: Waiting, stood: float
) -> JobOutcome | None:
    """The outcome of a job that is to be cancelled now; None if it is not.

    Args:
        stood: for how many seconds it has waited, or run.
    """
    if scheduler.never_starts(status):
        queue = where.queue_cpu or where.queue_gpu or "the default queue"
        why = (
            f"it was accepted, but can never start: {status.reason}; look at nodes, memory and "
            f"walltime, and at what {queue} allows"
        )
        return JobOutcome(state=JobState.REJECTED, reason=why)
    if status.state is JobState.PENDING:
        limit, what = waiting.queue_seconds, "waited"
    else:
        limit, what = waiting.run_seconds, "ran"
    if limit is None or stood < limit:
        return None
    why = f"it {what} longer than {limit:g} s and was cancelled"
    return JobOutcome(state=JobState.TIMEOUT, reason=why)

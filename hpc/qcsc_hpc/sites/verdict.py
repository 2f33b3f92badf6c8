"""How a job ended: the scheduler's final state first, the job's own record second, else LOST."""

from __future__ import annotations

from dataclasses import dataclass

from qcsc_hpc.schedulers.scheduler import Status
from qcsc_hpc.script.job_folder import ExitRecord
from qcsc_hpc.script.outputs import FAULT
from qcsc_loop.jobs.outcome import JobMetrics, JobOutcome, JobState

KILLED_EXITS = (9, 137)  # of hydra, and of bash and srun, where a process was killed by signal 9
_NO_RECORD = (
    "the job left no record of its end: its walltime, its memory or its node may have ended it"
)
SURE_SECONDS = 10.0  # that the scheduler does not know a job, until its record alone counts


@dataclass(frozen=True)
class Sighting:
    """All that is known of a job at one moment.

    Attributes:
        status: the scheduler's last word; None if it does not know the job.
        record: the job's own account of its end.
        unknown_seconds: for how long the scheduler, when it answered, has not known it.
        final_seconds: for how long the scheduler has said that it is over.
        doubtful: its accounting, which has not answered, may know the job.
    """

    status: Status | None = None
    record: ExitRecord | None = None
    unknown_seconds: float = 0.0
    final_seconds: float = 0.0
    doubtful: bool = False


def reach_verdict(
    seen: Sighting, lost_seconds: float, patience_seconds: float = 0.0
) -> JobOutcome | None:
    """The outcome, without the output's tail; None while it cannot be known.

    Args:
        patience_seconds: how long accounting that does not answer is worth waiting for.
    """
    status, record = seen.status, seen.record
    if status is None:
        return _forgotten(seen, lost_seconds, patience_seconds)
    metrics = _timed(status.metrics, record)
    if not status.state.final:
        if record is None or status.state is not JobState.ENDING:
            return None
        # its script came to its own end; only the clearing away is left
        return own_end(record, metrics)
    if status.state is JobState.COMPLETED:
        if record is not None:
            return own_end(record, metrics)
        if seen.final_seconds < lost_seconds:  # an old look at the folder may be believed
            return None
        why = f"the scheduler says {status.reason or 'COMPLETED'}, but {_NO_RECORD}"
        return JobOutcome(state=JobState.LOST, reason=why, metrics=metrics)
    failed = status.state is JobState.FAILED
    return JobOutcome(
        state=_bad(record) if failed and record is not None else status.state,
        exit_code=_exit_code(record) if record else status.exit_code or None,
        signal=status.signal,
        reason=_fault(record) or status.reason,
        metrics=metrics,
    )


def _forgotten(seen: Sighting, lost_seconds: float, patience_seconds: float) -> JobOutcome | None:
    if seen.record is not None and seen.unknown_seconds >= min(SURE_SECONDS, lost_seconds):
        return own_end(seen.record, _timed(JobMetrics(), seen.record))
    longest = max(lost_seconds, patience_seconds) if seen.doubtful else lost_seconds
    if seen.unknown_seconds >= longest:
        why = f"no command of the scheduler has known it for {seen.unknown_seconds:.0f} s"
        return JobOutcome(state=JobState.LOST, reason=why)
    return None


def own_end(record: ExitRecord, metrics: JobMetrics) -> JobOutcome:
    """The outcome by the job's own account."""
    return JobOutcome(
        state=_bad(record) if record.exit_code else JobState.COMPLETED,
        exit_code=_exit_code(record),
        reason=_fault(record),
        metrics=metrics,
    )


def _bad(record: ExitRecord) -> JobState:
    """Which end it was that was no good one."""
    if _killed_for_memory(record):
        return JobState.OUT_OF_MEMORY
    return JobState.TIMEOUT if record.warned else JobState.FAILED


def _killed_for_memory(record: ExitRecord | None) -> bool:
    return record is not None and record.oom_kills > 0 and record.exit_code in KILLED_EXITS


def _exit_code(record: ExitRecord) -> int:
    """The program's own, not the script's word for what it did not leave."""
    return 0 if record.fault.startswith(FAULT) else record.exit_code


def _fault(record: ExitRecord | None) -> str:
    if record is None:
        return ""
    if _killed_for_memory(record):
        return "the kernel killed a process of it for its memory"
    if record.warned and record.exit_code:
        return "it was told that its walltime ends, and ended before it had done its work"
    if record.fault.startswith(FAULT):
        return f"it ended well, but {record.fault.removeprefix(FAULT)}"
    return f"{record.fault} failed" if record.fault else ""


def _timed(metrics: JobMetrics, record: ExitRecord | None) -> JobMetrics:
    """With the times that the scheduler does not say.

    Of the record only the time from its start to its end is added to another clock's: a node's
    clock may be hours off.
    """
    if record is None:
        return metrics
    started, ended = record.times
    ran = ended - started
    if metrics.started is not None:
        ended = metrics.started + ran if metrics.ended is None else metrics.ended
        return metrics.model_copy(update={"ended": ended})
    if metrics.ended is not None:
        return metrics.model_copy(update={"started": metrics.ended - ran})
    if metrics.submitted is not None and started < metrics.submitted:
        started = metrics.submitted
    return metrics.model_copy(update={"started": started, "ended": started + ran})

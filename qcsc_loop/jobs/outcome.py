"""What became of a remote job: one vocabulary for all schedulers and quantum services."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict


class JobState(StrEnum):
    """Where a job stands. The first three are not final."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    ENDING = "ENDING"  # its work is over, its final state is not known yet
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    TIMEOUT = "TIMEOUT"
    OUT_OF_MEMORY = "OUT_OF_MEMORY"
    NODE_FAIL = "NODE_FAIL"
    PREEMPTED = "PREEMPTED"
    CANCELLED = "CANCELLED"
    REJECTED = "REJECTED"
    LOST = "LOST"

    @property
    def final(self) -> bool:
        """Whether it stays so."""
        return self not in (JobState.PENDING, JobState.RUNNING, JobState.ENDING)


class _Fact(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_inf_nan="strings")


class JobMetrics(_Fact):
    """What a job took. None: its service does not say.

    Attributes:
        queue_seconds: from submission to start.
        run_seconds: from start to end.
        max_rss_bytes: the largest resident memory of one process.
        qpu_seconds: what the quantum service charges.
    """

    submitted: datetime | None = None
    started: datetime | None = None
    ended: datetime | None = None
    nodes: int | None = None
    cpus: int | None = None
    max_rss_bytes: int | None = None
    qpu_seconds: float | None = None

    @property
    def queue_seconds(self) -> float | None:
        return _seconds(self.submitted, self.started)

    @property
    def run_seconds(self) -> float | None:
        return _seconds(self.started, self.ended)

    @property
    def node_hours(self) -> float | None:
        """Nodes times hours of running."""
        if self.nodes is None or self.run_seconds is None:
            return None
        return self.nodes * self.run_seconds / 3600

    @property
    def costs(self) -> dict[str, float]:
        """What of it a budget may limit."""
        amounts = {"node_hours": self.node_hours, "qpu_seconds": self.qpu_seconds}
        return {name: max(0.0, amount) for name, amount in amounts.items() if amount is not None}

    def over(self, older: JobMetrics) -> JobMetrics:
        """These, with what they do not say taken from others."""
        known = {name: value for name, value in self if value is not None}
        return older.model_copy(update=known)


class JobOutcome(_Fact):
    """How a job ended.

    Attributes:
        state: a final one.
        exit_code: of its program; None if that never ended by itself.
        signal: what killed it, if a signal did and that is known.
        reason: in words, from the scheduler or from us.
        tail: the end of its output.
    """

    state: JobState
    exit_code: int | None = None
    signal: int | None = None
    reason: str = ""
    tail: str = ""
    metrics: JobMetrics = JobMetrics()


def _seconds(begin: datetime | None, end: datetime | None) -> float | None:
    return None if begin is None or end is None else (end - begin).total_seconds()

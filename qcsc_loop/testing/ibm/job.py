"""A job as the service holds it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

# A program's parameters are whatever its client sends.
from typing import Any


class JobState(StrEnum):
    """A job's state, in the service's words."""

    QUEUED = "Queued"
    RUNNING = "Running"
    COMPLETED = "Completed"
    FAILED = "Failed"
    CANCELLED = "Cancelled"


PENDING = frozenset({JobState.QUEUED, JobState.RUNNING})


@dataclass(frozen=True)
class Ending:
    """How a job ends.

    Attributes:
        code: of the service, beside a reason; 1305 is a job that took too long.
        result: what `/results` answers.
        qpu_seconds: it is charged for.
    """

    state: JobState
    reason: str = ""
    code: int | None = None
    result: str = ""
    qpu_seconds: float = 0.0


@dataclass
class Job:
    """A job, changed only while its service's lock is held.

    Attributes:
        created: seconds since the epoch, to the microsecond, as are the others.
        listed: when lists know of it.
        destined: how it ends instead of with the result of its program.
        deleted: no request finds it.
    """

    id: str
    program: str
    backend: str
    params: Any
    tags: list[str]
    session_id: str | None
    cost: int | None
    private: bool
    runtime: str | None
    created: float
    queue_seconds: float
    run_seconds: float
    listed: float
    destined: Ending | None
    state: JobState = JobState.QUEUED
    started: float | None = None
    ended: float | None = None
    ending: Ending | None = None
    deleted: bool = False

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self.ending is not None

"""What an observer is told of jobs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from qcsc_loop.events import Event
from qcsc_loop.jobs.entries import JobRecord
from qcsc_loop.jobs.outcome import JobState


class JobChange(StrEnum):
    """What happened to a job."""

    SUBMITTED = "submitted"
    REATTACHED = "reattached"  # a driver goes on with one that it found
    MOVED = "moved"  # it waits, starts, goes back to its queue
    FINISHED = "finished"


@dataclass(frozen=True)
class JobChanged(Event):
    """A job was submitted, found again, started, or ended.

    Attributes:
        site: where it is, for people.
        reason: why it waits, or ended so.
        remote: it is in somebody's queue, not a child of the driver.
    """

    record: JobRecord
    site: str
    remote: bool
    state: JobState
    reason: str
    change: JobChange = JobChange.MOVED


@dataclass(frozen=True)
class JobMeasured(Event):
    """Accounting has said what a finished job took."""

    record: JobRecord

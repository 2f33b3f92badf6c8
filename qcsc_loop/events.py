"""What an observer of a run is told. Observers show; the truth stays in the checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from qcsc_loop.codec import Document
from qcsc_loop.jobs.outcome import JobState
from qcsc_loop.store.records import Commit, EndRecord, EpochRecord, RunRecord

if TYPE_CHECKING:
    from qcsc_loop.jobs.ledger import JobRecord


@dataclass(frozen=True)
class Preparing:
    """Something that takes a while before the run can start."""

    doing: str


@dataclass(frozen=True)
class RunStarted:
    """A driver holds the run and is about to work.

    Attributes:
        record: what the run is.
        epoch: this driver.
        resumed_from: the iteration it goes on from; None for a new run.
    """

    record: RunRecord
    epoch: EpochRecord
    resumed_from: int | None


@dataclass(frozen=True)
class StepStarted:
    """A hook is about to be called."""

    iteration: int
    step: str
    attempt: int = 0


@dataclass(frozen=True)
class StepReused:
    """A step's result was taken from the record of an earlier driver, not computed again."""

    iteration: int
    step: str


@dataclass(frozen=True)
class StepRetried:
    """A hook raised and will be called again."""

    iteration: int
    step: str
    error: str
    wait: float


class JobChange(StrEnum):
    """What happened to a job."""

    SUBMITTED = "submitted"
    REATTACHED = "reattached"  # a driver goes on with one that it found
    MOVED = "moved"  # it waits, starts, goes back to its queue
    FINISHED = "finished"


@dataclass(frozen=True)
class JobChanged:
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
class JobMeasured:
    """Accounting has said what a finished job took."""

    record: JobRecord


@dataclass(frozen=True)
class IterationCommitted:
    """An iteration is durable."""

    commit: Commit
    state: Document


@dataclass(frozen=True)
class Trouble:
    """Something went wrong that the run survived; a person should know."""

    message: str


@dataclass(frozen=True)
class RunStopped:
    """The driver is done with the run; the reason may be an interruption or a fault."""

    run_id: str
    end: EndRecord


Event = (
    Preparing
    | RunStarted
    | StepStarted
    | StepReused
    | StepRetried
    | JobChanged
    | JobMeasured
    | IterationCommitted
    | Trouble
    | RunStopped
)
Observer = Callable[[Event], None]


def tell(observers: Iterable[Observer], event: Event) -> None:
    """Tells every observer, in order; what one raises is not caught."""
    for observer in observers:
        observer(event)

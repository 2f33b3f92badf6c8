"""What an observer of a run is told. Observers show; the truth stays in the checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from qcsc_loop.outcome import Reason
from qcsc_loop.store.records import Commit


@dataclass(frozen=True)
class RunStarted:
    """A driver holds the run and is about to work.

    Attributes:
        resumed_from: the iteration it goes on from; None for a new run.
    """

    run_id: str
    algorithm: str
    seed: int
    epoch: int
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


@dataclass(frozen=True)
class IterationCommitted:
    """An iteration is durable."""

    commit: Commit


@dataclass(frozen=True)
class Trouble:
    """Something went wrong that the run survived; a person should know."""

    message: str


@dataclass(frozen=True)
class RunStopped:
    """The driver is done with the run; `reason` may be an interruption or a fault."""

    run_id: str
    reason: Reason
    because: str
    iteration: int


Event = (
    RunStarted
    | StepStarted
    | StepReused
    | StepRetried
    | IterationCommitted
    | Trouble
    | RunStopped
)
Observer = Callable[[Event], None]

"""What an observer is told of a run and its steps."""

from __future__ import annotations

from dataclasses import dataclass, field

from qcsc_loop.events import Event, Observer
from qcsc_loop.rules.reason import stop_message
from qcsc_loop.store.heartbeat import Heartbeat
from qcsc_loop.store.live import ChartRecord
from qcsc_loop.store.records import Commit, EndRecord, EpochRecord, RunRecord
from qcsc_loop.values.document import Document

WAITING_FOR_SERVER = "waiting for the Prefect server"


def _nobody(event: Event) -> None:
    del event


@dataclass(frozen=True)
class Preparing(Event):
    """Something that takes a while before the run can start."""

    doing: str


@dataclass(frozen=True)
class RunStarted(Event):
    """A driver holds the run and is about to work.

    Attributes:
        record: what the run is.
        epoch: this driver.
        resumed_from: the iteration it goes on from; None for a new run.
        heartbeat: its signs of life, for an observer that gives them elsewhere, too.
        tell: tells all that look on, for an observer that has something to say itself.
    """

    record: RunRecord
    epoch: EpochRecord
    resumed_from: int | None
    heartbeat: Heartbeat | None = None
    tell: Observer = _nobody


@dataclass(frozen=True)
class StepStarted(Event):
    """A hook is about to be called."""

    iteration: int
    step: str
    attempt: int = 0


@dataclass(frozen=True)
class PhaseStarted(Event):
    """The driver does something else for an iteration than calling a hook.

    Attributes:
        doing: `COMMITTING`, `WAITING_FOR_SERVER`, ...: for people.
    """

    iteration: int
    doing: str


@dataclass(frozen=True)
class StepReused(Event):
    """A step's result was taken from the record of an earlier driver, not computed again."""

    iteration: int
    step: str


@dataclass(frozen=True)
class StepRetried(Event):
    """A hook raised and will be called again."""

    iteration: int
    step: str
    error: str
    wait: float


@dataclass(frozen=True)
class IterationCommitted(Event):
    """An iteration is durable.

    Attributes:
        chart: how the run is looked at.
    """

    commit: Commit
    state: Document
    chart: ChartRecord = field(default_factory=ChartRecord)


@dataclass(frozen=True)
class ChartRead(Event):
    """How a resumed run is looked at, where the driver that committed last left no word of it."""

    chart: ChartRecord


@dataclass(frozen=True)
class RunStopped(Event):
    """The driver is done with the run; the reason may be an interruption or a fault.

    Attributes:
        advice: what to do next, as the end of a sentence; empty where nothing is left to do.
    """

    run_id: str
    end: EndRecord
    advice: str = ""

    @property
    def message(self) -> str:
        """How it ended, in a sentence without its id."""
        end = self.end
        return stop_message(end.reason, end.iteration, end.error or end.because, self.advice)

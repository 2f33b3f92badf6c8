"""What a tracker is told, and what it has to be. Another distribution adds one by an entry point."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from qcsc_loop.plain import Json


@dataclass(frozen=True)
class TrackedRun:
    """A run, as its records say it.

    Attributes:
        uid: tells it from another run of the same id.
        parameters: the algorithm's, by full name, such as `sampler.method`.
        forked_from: the run that it began in; empty: none.
        store: the folder that holds it.
    """

    run_id: str
    uid: str
    algorithm: str
    seed: int
    created: datetime
    parameters: Mapping[str, object]
    forked_from: str
    store: str


@dataclass(frozen=True)
class TrackedPoint:
    """A committed iteration.

    Attributes:
        at: when it was committed, by its driver's clock.
        scalars: of its state; NaN and infinity among them.
        seconds: what each hook took.
        spent: of the run up to here, by name: `shots`, `qpu_seconds`, ...
    """

    iteration: int
    at: datetime
    scalars: Mapping[str, float]
    seconds: Mapping[str, float]
    spent: Mapping[str, float]


class Tracker(ABC):
    """Tells a service, or files, of one run.

    It lives in a process of its own, which may end at any time. Whatever it raises is said, and tried
    again later; the run knows nothing of it.

    Args:
        run: what is tracked.
        memory: what this tracker has remembered of the run, such as the service's own id of it. What it
            writes there is kept with the position that the run is tracked to.

    Example:
        >>> class Printing(Tracker):
        ...     def log(self, points):
        ...         for point in points:
        ...             print(point.iteration, dict(point.scalars))
        ...     def end(self, status, message):
        ...         print(status)
    """

    def __init__(self, run: TrackedRun, memory: Json) -> None:
        self.run, self.memory = run, memory

    @abstractmethod
    def log(self, points: Sequence[TrackedPoint]) -> None:
        """Takes iterations, in their order; what is taken is not told again.

        The one time that it may be: the process died between this call's end and the note of it.
        """

    @abstractmethod
    def end(self, status: str, message: str) -> None:
        """The run has no driver any more, for now: its status is as `list` says it."""

"""What observers are told. They show; the truth stays in the checkpoints.

Each room has the events of its own: `loop.events` of runs and steps, `jobs.events` of jobs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Event:
    """Something that happened in a run."""


@dataclass(frozen=True)
class Trouble(Event):
    """Something went wrong that the run survived; a person should know."""

    message: str


Observer = Callable[[Event], None]


def tell(observers: Iterable[Observer], event: Event) -> None:
    """Tells every observer, in order; what one raises is not caught."""
    for observer in observers:
        observer(event)

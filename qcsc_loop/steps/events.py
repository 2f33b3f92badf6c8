"""What an observer is told of a step's parts."""

from __future__ import annotations

from dataclasses import dataclass

from qcsc_loop.events import Event


@dataclass(frozen=True)
class PartsMoved(Event):
    """Parts of a step have begun, or one of them is done.

    Attributes:
        label: of the part whose parts these are; empty: the step's own.
        done: how many there is nothing left to do for, those that failed included.
    """

    iteration: int
    step: str
    label: str
    done: int
    total: int

"""An algorithm, a stop rule and a check of another distribution."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from qcsc_loop import IterativeAlgorithm, Progress, Reason, Record, State, Stop, StopRule
from qcsc_loop.doctor import Finding, Request


class Far(StopRule):
    """Stops once a walk is far enough."""

    type: Literal["lab-far"] = "lab-far"
    enough: float

    def check(self, progress: Progress) -> Stop | None:
        if progress.recent[-1].scalars["place"] < self.enough:
            return None
        return Stop(Reason.CUSTOM, f"{self.enough:g} is far enough")


class Place(State):
    place: float = 0.0


class Nothing(Record):
    pass


class Walk(IterativeAlgorithm[Place, Nothing, Nothing]):
    """One step forward in each iteration."""

    async def initialize(self) -> Place:
        return Place()

    async def sample(self, state: Place) -> Nothing:
        return Nothing()

    async def evaluate(self, state: Place, samples: Nothing) -> Nothing:
        return Nothing()

    async def update(self, state: Place, evaluation: Nothing) -> Place:
        return Place(place=state.place + 1)


def fridge(_: Request) -> Iterator[Finding]:
    yield Finding("the lab's fridge", True, "12 mK")

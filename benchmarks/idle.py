"""An algorithm that does nothing, so that what a run of it costs is the loop's own cost."""

from __future__ import annotations

import time

from qcsc_loop import IterativeAlgorithm, State
from qcsc_loop.events import Event
from qcsc_loop.loop.events import IterationCommitted


class Still(State):
    """A state of one number."""

    count: int


class Idle(IterativeAlgorithm[Still, int, int]):
    """Counts its iterations."""

    async def initialize(self) -> Still:
        return Still(count=0)

    async def sample(self, state: Still) -> int:
        return state.count

    async def evaluate(self, state: Still, samples: int) -> int:
        return samples

    async def update(self, state: Still, evaluation: int) -> Still:
        return Still(count=evaluation + 1)


class Ticks:
    """An observer that notes when each iteration was committed."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def __call__(self, event: Event) -> None:
        if isinstance(event, IterationCommitted):
            self.times.append(time.perf_counter())

    def per_iteration(self, first: int, last: int) -> float:
        """Mean seconds of the iterations after `first` up to `last`."""
        return (self.times[last] - self.times[first]) / (last - first)

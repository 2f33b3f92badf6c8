"""An algorithm of a sweep: a walk that pays a shot a step, and says so to a bill on disk first."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, ClassVar

from qcsc_loop.algorithm import IterativeAlgorithm
from qcsc_loop.parameters.operational import OPERATIONAL
from qcsc_loop.steps.step import current_step
from qcsc_loop.values.chart import Chart
from qcsc_loop.values.record import State
from waiting import until_async


class Height(State):
    """How high the walk is."""

    chart: ClassVar[Chart] = Chart(
        headline="height", better="lower", unit="hartree", references="goals"
    )

    height: float = 1.0

    @property
    def goals(self) -> dict[str, float]:
        return {"floor": 0.0}


class Walk(IterativeAlgorithm[Height, float, float]):
    """Goes down by a share of its height, and by chance.

    Attributes:
        bill: a file that gets a line with the shots of every sample that is begun, before it is.
        gate: a file; a sample waits until it exists. Empty: none does.
        fails: raises in iteration 2.
        nan: its height is NaN from the first iteration on.
        pays: what a sample costs beside its shots, by amount.
        goal: converged once it is so low; 0: never.
    """

    rate: float = 0.5
    shots: int = 10
    bill: Annotated[str, OPERATIONAL] = ""
    gate: Annotated[str, OPERATIONAL] = ""
    fails: Annotated[bool, OPERATIONAL] = False
    nan: bool = False
    goal: float = 0.0
    pays: dict[str, float] = {}

    async def initialize(self) -> Height:
        return Height()

    async def sample(self, state: Height) -> float:
        step = current_step()
        self._pay()
        if self.gate:
            await until_async(Path(self.gate).exists, "the gate is open")
        if self.fails and step.iteration == 2:
            raise ValueError("it was told to fail")
        step.spend(**({"shots": self.shots} | self.pays))
        return float(step.rng.random())

    def _pay(self) -> None:
        if self.bill:
            with Path(self.bill).open("a") as bill:
                bill.write(f"{self.shots}\n")

    async def evaluate(self, state: Height, samples: float) -> float:
        return math.nan if self.nan else self.rate * state.height * (0.5 + samples)

    async def update(self, state: Height, evaluation: float) -> Height:
        return Height(height=state.height - evaluation)

    async def converged(self, previous: Height, current: Height) -> bool:
        return current.height < self.goal


def billed(bill: Path) -> int:
    """The shots of all samples that were ever begun."""
    return sum(map(int, bill.read_text().split())) if bill.exists() else 0

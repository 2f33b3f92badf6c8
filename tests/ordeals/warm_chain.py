"""An algorithm of many short calls."""

from __future__ import annotations

from typing import Annotated

from pydantic import SerializeAsAny

from ordeals.rank_chain import MODULUS, link  # the folder of these tests
from qcsc_hpc.machine import Machine, Program
from qcsc_loop.algorithm import IterativeAlgorithm
from qcsc_loop.parameters.operational import OPERATIONAL
from qcsc_loop.steps.step import current_step
from qcsc_loop.values.record import State

RANKS = 2
CHAIN = Program("chain", "rank_chain")


class Links(State):
    """The last link."""

    number: int = 1


class Chain(IterativeAlgorithm[Links, int, int]):
    """Each link is made of the one before and a random number, by two ranks.

    Attributes:
        machine: None: it is made here, in a moment.
        pause: ranks take a random time up to so many seconds.
    """

    machine: Annotated[SerializeAsAny[Machine] | None, OPERATIONAL] = None
    pause: Annotated[float, OPERATIONAL] = 0.15

    async def initialize(self) -> Links:
        return Links()

    async def sample(self, state: Links) -> int:
        return int(current_step().rng.integers(1 << 30))

    async def evaluate(self, state: Links, samples: int) -> int:
        if self.machine is None:
            return sum(link(state.number, samples, rank) for rank in range(RANKS)) % MODULUS
        pause = f"{self.pause * current_step().rng.random():.3f}"
        return await self.machine.run(
            CHAIN,
            [str(state.number), str(samples), pause],
            ranks=RANKS,
            outputs=["number"],
            collect=lambda folder: int((folder / "number").read_text()),
        )

    async def update(self, state: Links, evaluation: int) -> Links:
        return Links(number=evaluation)

    async def converged(self, previous: Links, current: Links) -> bool:
        return False

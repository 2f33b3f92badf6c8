"""Small algorithms for the command line: one that counts, waits and speaks, and some that err."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
import time
from pathlib import Path
from typing import Annotated

import anyio
import numpy as np
from pydantic import Field

from qcsc_loop.algorithm import IterativeAlgorithm
from qcsc_loop.parameters.operational import OPERATIONAL
from qcsc_loop.steps.step import current_step
from qcsc_loop.values.arrays import NDArray
from qcsc_loop.values.record import State

POLL_SECONDS, LONGEST_POLL_SECONDS = 0.002, 0.25


class Place(State):
    """Where the wanderer is, and every number it has drawn."""

    steps: int = 0
    position: float = 0.0
    numbers: NDArray


class Wander(IterativeAlgorithm[Place, float, float]):
    """Adds a random number in every iteration, and leaves a line in `trace` for every hook.

    Attributes:
        size: float64 numbers in the state.
        pause: seconds that each hook takes.
        trace: a file that gets a line "hook iteration" whenever a hook's body is executed.
        goal: converged once this many iterations are done; 0 is never.
        gates: iterations whose `sample` writes the file "K.reached" in the folder `gate` and
            waits there for the file "K.open".
        says: what `sample` logs.
        stubborn: the gate holds against a cancellation too, and says so in "K.cancelled".
        busy: the gate keeps the event loop busy.
    """

    size: int = Field(default=8, ge=1, le=1_000_000)
    pause: Annotated[float, OPERATIONAL] = Field(default=0.0, ge=0)
    trace: Annotated[str, OPERATIONAL] = ""
    goal: Annotated[int, OPERATIONAL] = 0
    gate: Annotated[str, OPERATIONAL] = ""
    gates: Annotated[tuple[int, ...], OPERATIONAL] = ()
    says: Annotated[str, OPERATIONAL] = ""
    stubborn: Annotated[bool, OPERATIONAL] = False
    busy: Annotated[bool, OPERATIONAL] = False

    async def initialize(self) -> Place:
        await self._enter()
        return Place(numbers=current_step().rng.standard_normal(self.size))

    async def sample(self, state: Place) -> float:
        await self._enter()
        if self.says:
            current_step().logger.info(self.says)
        await self._gate(current_step().iteration)
        return float(current_step().rng.standard_normal())

    async def evaluate(self, state: Place, samples: float) -> float:
        await self._enter()
        return 2 * samples

    async def update(self, state: Place, evaluation: float) -> Place:
        await self._enter()
        numbers = np.roll(state.numbers, 1) + evaluation
        return Place(steps=state.steps + 1, position=state.position + evaluation, numbers=numbers)

    async def converged(self, previous: Place, current: Place) -> bool:
        await self._enter()
        return 0 < self.goal <= current.steps

    async def _enter(self) -> None:
        step = current_step()
        self._note(f"{step.name} {step.iteration}\n")
        if self.pause:
            await anyio.sleep(self.pause)

    def _note(self, line: str) -> None:
        if self.trace:
            with Path(self.trace).open("a") as file:
                file.write(line)

    async def _gate(self, iteration: int) -> None:
        if iteration not in self.gates:
            return
        folder = Path(self.gate)
        (folder / f"{iteration}.reached").touch()
        began = time.monotonic()
        while not (folder / f"{iteration}.open").exists():
            # many may wait at once, and for long: their looks shall not be the machine's work
            pause = min(max(POLL_SECONDS, (time.monotonic() - began) / 50), LONGEST_POLL_SECONDS)
            if self.busy:
                time.sleep(pause)  # noqa: ASYNC251  # blocking is what it is for
                continue
            try:
                await anyio.sleep(pause)
            except asyncio.CancelledError:
                if not self.stubborn:
                    raise
                (folder / f"{iteration}.cancelled").touch()


class Talks(Wander):
    """Its `sample` prints in every way that there is, and fails in iteration `fails_at`."""

    fails_at: Annotated[int, OPERATIONAL] = 0

    async def sample(self, state: Place) -> float:
        k = current_step().iteration
        print(f"printed {k}")
        print(f"to stderr {k}", file=sys.stderr)
        ctypes.CDLL(None).puts(f"by C {k}".encode())
        os.system(f"echo by a child {k}")  # noqa: ASYNC221  # it is soon done
        current_step().logger.info(f"logged {k}")
        print(f"10 %\r50 %\r100 % of {k}")
        sys.stdout.write(f"no end {k}, ")
        print(f"and its end {k}")
        if k == self.fails_at:
            raise ValueError("so it goes")
        return await super().sample(state)


class WrongType(Wander):
    """Its `evaluate` returns a text."""

    async def evaluate(self, state: Place, samples: float) -> float:
        return "much"  # type: ignore[return-value]  # that is its fault


class Raises(Wander):
    """Its `evaluate` raises in iteration 2, for as long as the file `trace` + ".bad" exists."""

    async def evaluate(self, state: Place, samples: float) -> float:
        if state.steps == 1 and Path(f"{self.trace}.bad").exists():
            raise ValueError("the detector\nis off")
        return await super().evaluate(state, samples)


class Dies(Wander):
    """Its process is killed in an iteration, every time."""

    at: int = 2

    async def evaluate(self, state: Place, samples: float) -> float:
        if current_step().iteration == self.at:
            os.kill(os.getpid(), signal.SIGKILL)
        return await super().evaluate(state, samples)


class Untyped(IterativeAlgorithm):  # type: ignore[type-arg]  # that is its fault
    """Does not say its types."""

    async def initialize(self) -> Place:
        return Place(numbers=np.zeros(1))

    async def sample(self, state: Place) -> float:
        return 0.0

    async def evaluate(self, state: Place, samples: float) -> float:
        return samples

    async def update(self, state: Place, evaluation: float) -> Place:
        return state

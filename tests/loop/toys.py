"""A counting algorithm whose executions leave a trace, and that misbehaves where it is told to.

Run as `python -m loop.toys STORE RUN_ID LIMIT PARAMETERS.json` it drives a run in a process of its
own, prints the hash of the final state, and can be killed.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections import Counter
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import anyio
import numpy as np
from pydantic import BaseModel, ConfigDict

from qcsc_loop.algorithm import IterativeAlgorithm
from qcsc_loop.loop.hooks import Table
from qcsc_loop.loop.outcome import Outcome
from qcsc_loop.parameters.operational import OPERATIONAL
from qcsc_loop.rules.stop import MaxIterations
from qcsc_loop.steps.step import Step, current_step
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.values.arrays import Array, NDArray
from qcsc_loop.values.record import Record, State

T = TypeVar("T")
HOOKS = ("sample", "evaluate", "update", "converged")


class Tally(State):
    """What the toy adds up: a sum of squares to check by hand, and of random numbers."""

    count: int = 0
    squares: int = 0
    numbers: NDArray


class Draw(Record):
    """The random numbers of one iteration."""

    numbers: NDArray


class Trap(BaseModel):
    """Where a hook misbehaves, and how.

    Attributes:
        does: "hang" waits until it is cancelled; "cancel" cancels its own task just before it
            returns; "raise" raises ValueError; "transient" raises OSError at the first attempt, after
            it has drawn a random number; "block" keeps the event loop busy until `until` exists.
    """

    model_config = ConfigDict(frozen=True)

    hook: str
    iteration: int
    does: Literal["hang", "cancel", "raise", "transient", "block"]
    until: str = ""


class Counting(IterativeAlgorithm[Tally, Draw, Draw]):
    """Adds iteration**2 and `width` random numbers in every iteration.

    Attributes:
        trace: a file that gets a line "hook iteration" whenever a hook's body is executed.
        goal: converged once this many iterations are done; 0 is never.
    """

    width: int = 200
    factor: float = 1.0
    trace: Annotated[str, OPERATIONAL] = ""
    goal: Annotated[int, OPERATIONAL] = 0
    trap: Annotated[Trap | None, OPERATIONAL] = None

    async def initialize(self) -> Tally:
        await self._enter()
        return self._leave(Tally(numbers=np.zeros(self.width)))

    async def sample(self, state: Tally) -> Draw:
        await self._enter()
        return self._leave(Draw(numbers=current_step().rng.standard_normal(self.width)))

    async def evaluate(self, state: Tally, samples: Draw) -> Draw:
        await self._enter()
        noise = current_step().rng.standard_normal(self.width)
        return self._leave(Draw(numbers=self.factor * samples.numbers + noise))

    async def update(self, state: Tally, evaluation: Draw) -> Tally:
        await self._enter()
        count = state.count + 1
        return self._leave(
            Tally(
                count=count,
                squares=state.squares + count**2,
                numbers=state.numbers + evaluation.numbers,
            )
        )

    async def converged(self, previous: Tally, current: Tally) -> bool:
        await self._enter()
        return self._leave(0 < self.goal <= current.count)

    def tables(self, state: Tally) -> dict[str, Table]:
        return {"tally": [{"count": state.count, "squares": state.squares}]}

    async def _enter(self) -> None:
        step = current_step()
        self._note(f"{step.name} {step.iteration}\n")
        trap = self._trap(step)
        if trap == "hang":
            await anyio.sleep_forever()
        elif trap == "raise":
            raise ValueError("the toy was\ntold to fail")
        elif trap == "transient" and step.attempt == 0:
            step.rng.standard_normal()
            raise OSError("the toy was told to fail once")
        elif trap == "block":
            self._block()

    def _note(self, line: str) -> None:
        if self.trace:
            with Path(self.trace).open("a") as file:
                file.write(line)

    def _leave(self, value: T) -> T:
        if self._trap(current_step()) == "cancel":
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
        return value

    def _trap(self, step: Step) -> str:
        trap = self.trap
        here = trap is not None and (trap.hook, trap.iteration) == (step.name, step.iteration)
        return trap.does if here and trap is not None else ""

    def _block(self) -> None:
        assert self.trap is not None
        while not os.path.exists(self.trap.until):
            pass


def executions(trace: str | Path) -> Counter[tuple[str, int]]:
    """How often each (hook, iteration) was executed."""
    path = Path(trace)
    lines = path.read_text().splitlines() if path.exists() else []
    return Counter((line.split()[0], int(line.split()[1])) for line in lines)


def numbers_after(iterations: int, *, seed: int, width: int = 200) -> Array:
    """The toy's random sum, computed without the loop."""
    total = np.zeros(width)
    for k in range(1, iterations + 1):
        drawn = Step(run_seed=seed, iteration=k, name="sample").rng.standard_normal(width)
        noise = Step(run_seed=seed, iteration=k, name="evaluate").rng.standard_normal(width)
        total = total + (1.0 * drawn + noise)
    return total


def command(store: Path, run_id: str, limit: int, toy: Counting) -> list[str]:
    """The argument vector that drives the toy in a process of its own."""
    parameters = toy.model_dump_json()
    return [sys.executable, "-m", "loop.toys", str(store), run_id, str(limit), parameters]


def environment() -> dict[str, str]:
    """An environment in which that process finds this module."""
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}


def main(arguments: list[str]) -> None:
    """Drives the toy to its limit and prints the final state's hash."""
    store, run_id, limit, parameters = arguments
    toy = Counting.model_validate_json(parameters)

    async def drive() -> Outcome[Tally]:
        return await toy.run(
            store=DirectoryStore(store), run_id=run_id, stop=MaxIterations(int(limit)), keep=None
        )

    print(anyio.run(drive).state_sha256)


if __name__ == "__main__":
    main(sys.argv[1:])

"""A run of one job, driven in a process of its own: its settings as JSON, STORE, RUN."""

from __future__ import annotations

import sys
from pathlib import Path

import anyio
from pydantic import SerializeAsAny

from qcsc_hpc.machine import Machine
from qcsc_hpc.profiles import Command
from qcsc_loop.algorithm import IterativeAlgorithm
from qcsc_loop.rules.stop import MaxIterations
from qcsc_loop.steps.step import labelled
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.values.record import Record, State


class Nothing(Record):
    """What a step gives that is asked for its jobs only."""


class Done(State):
    """How far it came."""

    iterations: int = 0


class Driven(IterativeAlgorithm[Done, Nothing, Nothing]):
    """Runs a job that ends at once, and then one of the command."""

    machine: SerializeAsAny[Machine]
    command: Command

    async def initialize(self) -> Done:
        return Done()

    async def sample(self, state: Done) -> Nothing:
        return Nothing()

    async def evaluate(self, state: Done, samples: Nothing) -> Nothing:
        first = Command(command_name="first", executable_key="/bin/true")
        with labelled("first"):
            await self.machine.run(first, [], collect=Path)
        await self.machine.run(self.command, [], collect=Path)
        return Nothing()

    async def update(self, state: Done, evaluation: Nothing) -> Done:
        return Done(iterations=state.iterations + 1)

    async def converged(self, previous: Done, current: Done) -> bool:
        return False


def main(settings: str, store: str, run_id: str) -> None:
    """Drives the run to its end."""
    driven, directory = Driven.model_validate_json(settings), DirectoryStore(Path(store))
    anyio.run(lambda: driven.run(store=directory, run_id=run_id, stop=MaxIterations(1)))


if __name__ == "__main__":
    main(*sys.argv[1:])

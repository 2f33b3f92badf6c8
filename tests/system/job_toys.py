"""An algorithm whose every iteration is one job on a machine."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

from pydantic import Field, SerializeAsAny

from qcsc_hpc.machine import LocalMachine, Machine
from qcsc_hpc.profiles import Command
from qcsc_loop.algorithm import IterativeAlgorithm
from qcsc_loop.concurrency.whole_file import write_whole
from qcsc_loop.parameters.operational import OPERATIONAL
from qcsc_loop.parameters.resource import BlockName
from qcsc_loop.steps.parts import run_parts
from qcsc_loop.steps.step import current_step
from qcsc_loop.values.record import State

NUMBER = "number"
# arguments: the input's file, seconds to sleep, a trace, a gate, an exit code
SHELL = f"""\
if [ -n "$3" ]; then echo "$QCSC_JOB_KEY" >> "$3"; fi
while [ -n "$4" ] && [ ! -e "$4" ]; do sleep 0.02; done
sleep "$2"
if [ "$5" != 0 ]; then echo "the input is bad" >&2; exit "$5"; fi
cksum < "$1" | cut -d ' ' -f 1 > {NUMBER}
"""
LINK = Command(command_name="link", executable_key="bash", default_args=["-c", SHELL, "link"])


class Links(State):
    """The chain's last link, and how long the chain is."""

    number: int = 0
    length: int = 0


class Chain(IterativeAlgorithm[Links, int, int]):
    """Each link is the checksum, taken by a job, of the link before and a random number.

    Attributes:
        pause: a job takes a random time up to so many seconds.
        trace: a file that gets the job's key whenever its program is executed.
        gate: a file that a job waits for.
        exit_code: how each job's program ends.
    """

    pause: Annotated[float, OPERATIONAL] = Field(default=0.0, ge=0)
    trace: Annotated[str, OPERATIONAL] = ""
    gate: Annotated[str, OPERATIONAL] = ""
    exit_code: Annotated[int, OPERATIONAL] = 0
    ranks: Annotated[int | None, OPERATIONAL] = None
    machine: Annotated[SerializeAsAny[Machine] | BlockName, OPERATIONAL] = LocalMachine(ranks=1)

    async def initialize(self) -> Links:
        return Links()

    async def sample(self, state: Links) -> int:
        return int(current_step().rng.integers(1 << 30))

    async def evaluate(self, state: Links, samples: int) -> int:
        return await self.link(state, samples)

    async def link(self, state: Links, samples: int) -> int:
        """What a job of the current step, or of its part, makes of both."""
        assert isinstance(self.machine, Machine)
        source = current_step().work_dir / "input"
        with write_whole(source) as file:
            file.write(f"{state.number} {samples}\n".encode())
        pause = f"{self.pause * current_step().rng.random():.3f}"
        return await self.machine.run(
            LINK,
            [source, pause, self.trace, self.gate, str(self.exit_code)],
            ranks=self.ranks,
            outputs=[NUMBER],
            collect=_read,
        )

    async def update(self, state: Links, evaluation: int) -> Links:
        return Links(number=evaluation, length=state.length + 1)

    async def converged(self, previous: Links, current: Links) -> bool:
        return False


class Braid(Chain):
    """Of several strands: each iteration's jobs are parts of one step, and of one shape.

    Attributes:
        strands: how many.
    """

    strands: Annotated[int, OPERATIONAL] = Field(default=4, ge=1)

    async def evaluate(self, state: Links, samples: int) -> int:
        parts = {
            f"strand-{number}": partial(self.link, state, samples + number)
            for number in range(self.strands)
        }
        found = await run_parts(parts, int, limit=self.strands)
        return sum(number or 0 for number in found.values())


def _read(folder: Path) -> int:
    return int((folder / NUMBER).read_text())

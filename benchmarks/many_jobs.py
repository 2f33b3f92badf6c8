"""Ten thousand jobs of one step in flight at once, on a simulated Slurm: what the driver feels.

They go in as arrays. Once all are in, they stay for a while, and end within a minute. A tenth of them
does the same first. What no simulation tells is what a real Slurm says to so many.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import anyio
import psutil

from benchmarks import simulated_slurm
from benchmarks.fifty_jobs import counting
from benchmarks.figures import Figure, Target, at_most, show
from benchmarks.idle import Idle
from benchmarks.simulated_slurm import handed_in, make_commands
from qcsc_hpc.machine import HPCMachine
from qcsc_hpc.profiles import Command, HPCProfile
from qcsc_loop import DirectoryStore, MaxIterations, run_parts

JOBS, SHARE = 10_000, 10
HELD_SECONDS, ENDING_SECONDS = 120.0, 60.0
MOST_GROWTH, MOST_COMMANDS, MOST_CPU = 1.5, 4, 25  # times; a second; percent of a core
LOOK_SECONDS = 0.25


class Many(Idle):
    """One iteration, whose parts ask for a job each."""

    jobs: int

    async def evaluate(self, state: object, samples: int) -> int:
        parts = {str(number): partial(one, number) for number in range(self.jobs)}
        found = await run_parts(parts, int, limit=self.jobs)
        return sum(each or 0 for each in found.values())


async def one(number: int) -> int:
    """A job."""
    machine = HPCMachine(hpc_profile=HPCProfile(scheduler="slurm", array=True))
    work = Command(command_name="part", executable_key="true")
    return await machine.run(work, [str(number)], collect=lambda _folder: 1)


@dataclass
class Felt:
    """What so many jobs took of the driver.

    Attributes:
        until_in, until_done: seconds of wall clock until all were handed in, and from when they began
            to end.
        ended: when that was.
        held_cpu: share of a core, while all were in flight and nothing happened.
        cpu: seconds, of all of it.
        memory: bytes that it grew by until all were in flight.
        commands: when each started, and its name.
    """

    until_in: float = 0.0
    until_done: float = 0.0
    ended: float = 0.0
    held_cpu: float = 0.0
    cpu: float = 0.0
    memory: float = 0.0
    commands: list[tuple[float, str]] = field(default_factory=list[tuple[float, str]])

    def most_commands(self) -> int:
        """In one second."""
        times = [at for at, _ in self.commands]
        return max(sum(at <= other < at + 1 for other in times) for at in times)


def measure(jobs: int, folder: Path) -> Felt:
    """One iteration with so many jobs."""
    path = os.environ["PATH"]
    make_commands(folder / "slurm")
    log = counting(folder / "counting")
    try:
        felt = anyio.run(_measured, jobs, folder)
    finally:
        os.environ["PATH"] = path
    lines = [line.split() for line in log.read_text().splitlines()]
    felt.commands = sorted((float(at), name) for at, name in lines)
    return felt


async def _measured(jobs: int, folder: Path) -> Felt:
    felt, before = Felt(), _cpu()
    store = DirectoryStore(folder / "store")
    async with anyio.create_task_group() as group:
        group.start_soon(_look_on, jobs, folder / "slurm", felt)
        outcome = await Many(jobs=jobs).run(store=store, stop=MaxIterations(1))
        felt.until_done = time.perf_counter() - felt.ended
        assert outcome.state.count == jobs + 1
    felt.cpu = _cpu() - before
    return felt


async def _look_on(jobs: int, slurm: Path, felt: Felt) -> None:
    """Notes how it goes, and has the jobs end."""
    process, began = psutil.Process(), time.perf_counter()
    memory = process.memory_info().rss
    while handed_in(slurm) < jobs:  # noqa: ASYNC110  # a file says so
        await anyio.sleep(LOOK_SECONDS)
    felt.until_in = time.perf_counter() - began
    await anyio.sleep(HELD_SECONDS / 4)  # until it follows them all
    felt.memory = process.memory_info().rss - memory
    cpu, since = _cpu(), time.perf_counter()
    await anyio.sleep(HELD_SECONDS)
    felt.held_cpu = (_cpu() - cpu) / (time.perf_counter() - since)
    felt.ended = time.perf_counter()
    module = simulated_slurm.__name__
    await anyio.run_process([sys.executable, "-m", module, str(slurm), str(ENDING_SECONDS)])


def _cpu() -> float:
    times = psutil.Process().cpu_times()
    return times.user + times.system


def figures() -> list[Figure]:
    """Of many beside few."""
    found: list[Felt] = []
    for jobs in (JOBS // SHARE, JOBS):
        with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as name:
            found.append(measure(jobs, Path(name)))
    few, many = found
    beside, total = f"{JOBS // SHARE:,} jobs", many.commands[-1][0] - many.commands[0][0]
    each, floor = 1e3 * many.cpu / JOBS, 1e3 * few.cpu * SHARE / JOBS
    submissions = sum(name == "sbatch" for _, name in many.commands)
    return [
        Figure("until all are handed in", many.until_in, "s", beside, few.until_in),
        Figure("submissions", submissions, "", "jobs", JOBS),
        Figure(
            "processor for a job, all in all",
            each,
            "ms",
            beside,
            floor,
            at_most(MOST_GROWTH, each / floor, " times"),
        ),
        Figure(
            "processor while all are in flight",
            100 * many.held_cpu,
            "% of a core",
            beside,
            100 * few.held_cpu,
            at_most(MOST_CPU, 100 * many.held_cpu, " %"),
        ),
        Figure(
            "memory for a job in flight",
            many.memory / 1e3 / JOBS,
            "kB",
            beside,
            few.memory / 1e3 / JOBS * SHARE,
        ),
        Figure(
            "commands, most in 1 s",
            many.most_commands(),
            "",
            f"mean of {total:.0f} s",
            len(many.commands) / total,
            Target(f"<= {MOST_COMMANDS}", many.most_commands() <= MOST_COMMANDS),
        ),
        Figure(
            f"from the first of ends in {ENDING_SECONDS:.0f} s to the last result",
            many.until_done,
            "s",
            beside,
            few.until_done,
        ),
    ]


if __name__ == "__main__":
    show(f"{JOBS:,} jobs in flight on a simulated Slurm", figures())

"""Fifty jobs of one hook at once, on a real Slurm: what the scheduler and the login node feel.

The jobs do next to nothing for a few seconds each; every tenth fails with a code of its own. The
cluster runs sixteen at a time. Each scheduler command is counted where it starts, by a shell script
of the same name that stands before it on PATH.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import anyio
import psutil

from benchmarks.figures import Figure, Target, at_most, show
from benchmarks.own_slurm import own_slurm
from qcsc_hpc.machine import HPCMachine
from qcsc_hpc.profiles import Command, HPCProfile
from qcsc_loop import DirectoryStore, IterativeAlgorithm, MaxIterations, State
from qcsc_loop.errors import JobFailed
from qcsc_loop.steps.step import labelled

JOBS, JOB_SECONDS = 50, 5
COMMANDS = ("sbatch", "squeue", "sacct", "scancel", "scontrol")
WINDOW = 1.0  # seconds
MOST_COMMANDS, MOST_CPU = 4, 5  # in a window; percent of a core

COUNTING = """#!/bin/bash
printf '%s {name}\\n' "$EPOCHREALTIME" >> {log}
exec {real} "$@"
"""
WORK = f'sleep {JOB_SECONDS}; echo "$1" > result; exit "$2"'


class Done(State):
    """What the jobs gave, in their order: the number that each was given, or its exit code."""

    results: list[tuple[str, int]] = []


class Fifty(IterativeAlgorithm[Done, int, list[tuple[str, int]]]):
    """One iteration with many jobs."""

    async def initialize(self) -> Done:
        return Done()

    async def sample(self, state: Done) -> int:
        return JOBS

    async def evaluate(self, state: Done, samples: int) -> list[tuple[str, int]]:
        results: dict[int, tuple[str, int]] = {}

        async def one(number: int) -> None:
            with labelled(str(number)):
                results[number] = await outcome(number, HPCProfile(scheduler="slurm"))

        async with anyio.create_task_group() as group:
            for number in range(samples):
                group.start_soon(one, number)
        return [results[number] for number in range(samples)]

    async def update(self, state: Done, evaluation: list[tuple[str, int]]) -> Done:
        return Done(results=evaluation)


async def outcome(number: int, site: HPCProfile) -> tuple[str, int]:
    """What a job of the current step, or of its part, gave, or its exit code."""
    machine = HPCMachine(hpc_profile=site)
    work = Command(command_name="part", executable_key="bash", default_args=["-c", WORK, "part"])
    words = [str(number), str(exit_code(number))]
    try:
        result = await machine.run(work, words, collect=read_result, outputs=["result"])
    except JobFailed as failed:
        return failed.state, failed.exit_code_of_job or 0
    return "COMPLETED", result


def exit_code(number: int) -> int:
    """How a job's program ends."""
    return number % 250 + 1 if number % 10 == 9 else 0  # a byte


def read_result(folder: Path) -> int:
    return int((folder / "result").read_text())


def expected(number: int) -> tuple[str, int]:
    """What a job gives."""
    code = exit_code(number)
    return ("FAILED", code) if code else ("COMPLETED", number)


@dataclass(frozen=True)
class Measured:
    """What a run took.

    Attributes:
        commands: when each scheduler command started, and its name.
        cpu, with_children: seconds of CPU time.
    """

    results: list[tuple[str, int]]
    wall: float
    commands: list[tuple[float, str]]
    cpu: float
    with_children: float

    @property
    def names(self) -> str:
        """How often which command ran."""
        names = Counter(name for _, name in self.commands)
        return ", ".join(f"{count} x {name}" for name, count in names.most_common())


def figures() -> list[Figure]:
    """Outcomes, commands and CPU time."""
    with own_slurm() as folder:
        if folder is None:
            return []
        log = counting(folder / "counting")
        measured = measure(Fifty(), folder / "store", log)
    print(measured.names)
    return [*_outcomes(measured), *commands(measured), *cpu(measured)]


def counting(folder: Path) -> Path:
    """The log that commands are written to from now on."""
    folder.mkdir()
    log = folder / "log"
    log.touch()
    for name in COMMANDS:
        shim = folder / name
        shim.write_text(COUNTING.format(name=name, log=log, real=shutil.which(name)))
        shim.chmod(0o755)
    os.environ["PATH"] = f"{folder}{os.pathsep}{os.environ['PATH']}"
    return log


def measure(algorithm: Fifty, store: Path, log: Path) -> Measured:
    """One iteration of the algorithm."""
    before, began = psutil.Process().cpu_times(), time.perf_counter()
    run = algorithm.run(store=DirectoryStore(store), stop=MaxIterations(1))
    outcome = anyio.run(lambda: run)
    wall, after = time.perf_counter() - began, psutil.Process().cpu_times()
    own = after.user + after.system - before.user - before.system
    children = (
        after.children_user + after.children_system - before.children_user - before.children_system
    )
    lines = [line.split() for line in log.read_text().splitlines()]
    commands = sorted((float(at), name) for at, name in lines)
    return Measured(outcome.state.results, wall, commands, own, own + children)


def _outcomes(measured: Measured) -> list[Figure]:
    all_of_them = [expected(number) for number in range(JOBS)]
    right = 0
    for found, wanted in zip(measured.results, all_of_them, strict=True):
        right += found == wanted
        if found != wanted:
            print(f"{found}, not {wanted}", file=sys.stderr)
    target = Target("all", right == JOBS)
    return [Figure("right outcomes", right, "jobs", "submitted", JOBS, target)]


def commands(measured: Measured) -> list[Figure]:
    """How many there were at the same time."""
    times = [at for at, _ in measured.commands]
    most = max(sum(at <= other < at + WINDOW for other in times) for at in times)
    mean = len(times) / measured.wall
    target = at_most(MOST_COMMANDS, most, " a second")
    return [
        Figure("commands, most in 1 s", most, "", f"mean of {measured.wall:.0f} s", mean, target)
    ]


def cpu(measured: Measured) -> list[Figure]:
    """What the driver took of a core."""
    own, all_of_it = (100 * s / measured.wall for s in (measured.cpu, measured.with_children))
    target = at_most(MOST_CPU, own, " %")
    return [Figure("CPU of the driver", own, "%", "with its commands", all_of_it, target)]


if __name__ == "__main__":
    if measured := figures():
        show(f"{JOBS} jobs at once on a real Slurm", measured)

"""One BitCount iteration on a real Slurm: bare commands, qcsc-loop, and the peer qcsc-prefect.

All run the same MPI program by the same launcher, with one OpenMP thread a rank: 100,000 random
shots of 10 bits on two nodes. Timed is the way from having the shots to having the counts.

What dominates is not any of them. Slurm starts jobs on a tick of its own, once a second, so that a
job waits up to a second, or two, to begin, and Python's imports take most of its run. Therefore:

* they take turns, and in each round all begin at the same fraction of a second; over the rounds
  these fractions are spread evenly. So the tick costs each the same, on average half a second.
* iterations in a row, as in a run, are a line of their own without a target: they lock to the tick,
  and a few milliseconds can decide over a whole second.

A qcsc-loop job begins with a login shell, the two others' do not. All have an empty home: a user's
profile would count against it, and for nobody else.
"""

from __future__ import annotations

import random
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import anyio
import numpy as np
from anyio import to_thread

from benchmarks.figures import Figure, at_most, show
from benchmarks.own_slurm import own_slurm
from benchmarks.qcsc_prefect import Peer, qcsc_prefect
from qcsc_algorithms.bitcount import BitCount
from qcsc_hpc.machine import HPCMachine
from qcsc_hpc.mpi.bitcount import Rows
from qcsc_hpc.profiles import ExecutionProfile, HPCProfile
from qcsc_loop import DirectoryStore, MaxIterations
from qcsc_loop.events import Event, Trouble
from qcsc_loop.loop.events import IterationCommitted, StepStarted
from qcsc_loop.sampling.sampler import Sampler
from qcsc_loop.sampling.samples import Samples
from qcsc_loop.steps.step import current_step

if TYPE_CHECKING:
    from qiskit import QuantumCircuit

SHOTS, BITS, NODES = 100_000, 10, 2
ROUNDS, SLOW_ROUNDS, IN_A_ROW = 16, 3, 10
REST_SECONDS = 0.3  # between turns: Slurm clears the last one's nodes
PROGRAM = "qcsc_hpc.mpi.bitcount"
POLL_SECONDS = 0.1  # of the bare commands
DEMO_POLL_SECONDS, QUICK_POLL_SECONDS = 5.0, 0.2  # of the peer
LIMIT = 1.2

BARE, OURS, WHOLE = "sbatch, squeue", "qcsc-loop, evaluate", "qcsc-loop, whole iteration"
QUICK, DEMO = (f"qcsc-prefect, {poll:g} s poll" for poll in (QUICK_POLL_SECONDS, DEMO_POLL_SECONDS))

SCRIPT = f"""#!/bin/bash
#SBATCH --nodes={NODES} --ntasks={NODES} --ntasks-per-node=1 --output=output.log
export OMP_NUM_THREADS=1
srun --mpi=pmi2 {sys.executable} -m mpi4py -m {PROGRAM} {BITS} shots.npy counts.npz
"""

Seconds = defaultdict[str, list[float]]


def random_shots(rng: np.random.Generator) -> Rows:
    """Packed shots in which every bitstring is as likely as any other."""
    values = rng.integers(0, 1 << BITS, SHOTS, np.uint16)
    return values.astype(">u2").view(np.uint8).reshape(SHOTS, 2)


class RandomShots(Sampler):
    """No quantum computer, no simulator: only numbers."""

    type: Literal["random-shots"] = "random-shots"

    async def sample(self, circuit: QuantumCircuit, *, shots: int) -> Samples:
        step = current_step()
        rows = random_shots(step.rng)
        step.spend(shots=shots)
        return Samples(bits={"meas": rows}, num_bits={"meas": BITS}, shots=shots)


class Timer:
    """An observer that notes seconds of each iteration and of its evaluate step."""

    def __init__(self) -> None:
        self.whole: list[float] = []
        self.evaluate: list[float] = []
        self._began = 0.0

    def __call__(self, event: Event) -> None:
        match event:
            case StepStarted(step="sample"):
                self._began = time.perf_counter()
            case IterationCommitted() if event.commit.iteration:
                self.whole.append(time.perf_counter() - self._began)
                self.evaluate.append(event.commit.seconds["evaluate"])
            case Trouble():
                print(event.message, file=sys.stderr)


class Loop:
    """A run that goes on for some iterations each time."""

    def __init__(self, folder: Path) -> None:
        self._store = DirectoryStore(folder)
        self._iterations = 0
        self.timer = Timer()

    async def go_on(self, iterations: int) -> None:
        """Returns when accounting has been asked, too: that disturbs nobody else's turn."""
        self._iterations += iterations
        how = ExecutionProfile(num_nodes=NODES, launcher="srun", mpi_options=["--mpi=pmi2"])
        machine = HPCMachine(hpc_profile=HPCProfile(scheduler="slurm"), execution_profile=how)
        bitcount = BitCount(
            num_qubits=BITS, shots=SHOTS, tolerance=0, sampler=RandomShots(), machine=machine
        )
        await bitcount.run(
            store=self._store,
            run_id="slurm-jobs",
            stop=MaxIterations(self._iterations),
            observers=[self.timer],
        )


def bare(folder: Path) -> None:
    """A minimal script, submitted and waited for."""
    (folder / "job.sh").write_text(SCRIPT)
    submitted = subprocess.run(
        ["sbatch", "--parsable", "job.sh"], cwd=folder, check=True, capture_output=True, text=True
    )
    # Slurm forgets a finished job after a minute
    question = ["squeue", "--noheader", f"--jobs={submitted.stdout.strip()}"]
    while subprocess.run(question, check=False, capture_output=True).stdout.strip():
        time.sleep(POLL_SECONDS)


def counted(folder: Path, shots: Rows, count: Callable[[Path], None]) -> float:
    """Seconds from having the shots to having the counts."""
    began = time.perf_counter()
    folder.mkdir()
    np.save(folder / "shots.npy", shots)
    count(folder)
    with np.load(folder / "counts.npz") as found:
        total = int(found["counts"].sum())
    took = time.perf_counter() - began
    assert total == len(shots), f"{total} of {len(shots)} shots were counted"
    return took


class Rounds:
    """Turns of all, and what they took."""

    def __init__(self, folder: Path, peer: Peer | None) -> None:
        self._folder, self._peer = folder, peer
        self._rng = np.random.default_rng(0)
        self._loop = Loop(folder / "store")
        self._number = 0
        self.seconds = Seconds(list)

    async def all(self) -> Seconds:
        """After one round to warm up; the demo's poll is slow, and takes part in some only."""
        await self._round(0.0, slow=True)
        self.seconds.clear()
        starts = [(number + 0.5) / ROUNDS for number in range(ROUNDS)]
        random.Random(0).shuffle(starts)
        for number, start in enumerate(starts):
            await self._round(start, slow=number < SLOW_ROUNDS)
        return self.seconds

    async def in_a_row(self) -> dict[str, float]:
        """Mean seconds of iterations that follow each other at once."""
        began = time.perf_counter()
        for _ in range(IN_A_ROW):
            await self._count(bare)
        between = time.perf_counter()
        done = len(self._loop.timer.whole)
        await self._loop.go_on(IN_A_ROW)
        return {
            BARE: (between - began) / IN_A_ROW,
            WHOLE: statistics.fmean(self._loop.timer.whole[done:]),
        }

    async def _round(self, start: float, *, slow: bool) -> None:
        turns: dict[str, Callable[[], Awaitable[float]]] = {
            BARE: partial(self._count, bare),
            OURS: self._looped,
        }
        if self._peer is not None:
            count = self._peer.count
            turns[QUICK] = partial(self._count, partial(count, poll_seconds=QUICK_POLL_SECONDS))
            if slow:
                turns[DEMO] = partial(self._count, partial(count, poll_seconds=DEMO_POLL_SECONDS))
        for name, turn in turns.items():
            await anyio.sleep(REST_SECONDS)
            await anyio.sleep((start - time.time()) % 1)
            self.seconds[name].append(await turn())

    async def _count(self, count: Callable[[Path], None]) -> float:
        self._number += 1
        folder = self._folder / str(self._number)
        return await to_thread.run_sync(counted, folder, random_shots(self._rng), count)

    async def _looped(self) -> float:
        await self._loop.go_on(1)
        self.seconds[WHOLE].append(self._loop.timer.whole[-1])
        return self._loop.timer.evaluate[-1]


def figures() -> list[Figure]:
    """All beside the bare commands."""
    with own_slurm() as folder:
        if folder is None:
            return []
        with qcsc_prefect(folder, sys.executable, PROGRAM, str(NODES), str(BITS)) as peer:
            seconds, in_a_row = anyio.run(_measured, Rounds(folder, peer))
    names = [name for name in (BARE, OURS, WHOLE, QUICK, DEMO) if seconds[name]]
    return [
        *(_beside_bare(name, seconds[name], seconds[BARE]) for name in names),
        Figure(f"{WHOLE}, in a row", in_a_row[WHOLE], "s", BARE, in_a_row[BARE]),
    ]


async def _measured(rounds: Rounds) -> tuple[Seconds, dict[str, float]]:
    return await rounds.all(), await rounds.in_a_row()


def _beside_bare(name: str, taken: list[float], beside: list[float]) -> Figure:
    value, floor = statistics.median(taken), statistics.median(beside)
    what = f"{name} ({len(taken)} times, {min(taken):.2f} to {max(taken):.2f} s)"
    target = at_most(LIMIT, value / floor, " x") if name == OURS else None
    return Figure(what, value, "s", BARE, floor, target)


if __name__ == "__main__":
    if measured := figures():
        show("Seconds per iteration on a real Slurm", measured)

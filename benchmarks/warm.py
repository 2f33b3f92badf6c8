"""A warm job on a real Slurm beside bare commands: calls, payloads, waiting ranks, programs, starts.

Bare and warm take turns in one run. The ranks are two on one node, started by the `mpich` wheel's
mpiexec, with one OpenMP thread each, in a byte-compiled environment. Timed is the whole way of a
call: the shots are there, to the counts are there, with all that makes it durable and exactly once.

* `sbatch`: the script is written, submitted and waited for by `squeue` every 50 ms.
* a payload: the same counting of so many bytes of shots; beside the time that writing them to a
  file with an fsync, and hashing that, takes.
* a program of its own: in C, `MPI_Init`, `MPI_Barrier`, `MPI_Finalize`, beside the same launcher's
  words in the script of a job.
"""

from __future__ import annotations

import hashlib
import os
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import anyio
import numpy as np
import psutil
from anyio import to_thread

from benchmarks.figures import MB, Figure, at_most, show
from benchmarks.own_slurm import own_slurm
from qcsc_hpc.machine import HPCMachine, Program
from qcsc_hpc.mpi.bitcount import Rows, count
from qcsc_hpc.profiles import Command, ExecutionProfile, HPCProfile
from qcsc_loop.concurrency.whole_file import write_whole
from qcsc_loop.exactly_once.measuring import measuring
from qcsc_loop.jobs.ledger import Ledger
from qcsc_loop.steps.step import Step, stepping
from qcsc_loop.store.directory import DirectoryStore

BITS, RANKS, SHOTS = 10, 2, 100_000
CALLS, BARE_CALLS = 60, 8
PAYLOADS = {20 * MB: 6, 400 * MB: 3}
STEPS = 10
IDLE_SECONDS = 5.0
POLL_SECONDS = 0.05
MPIEXEC = Path(sys.prefix) / "bin" / "mpiexec"
BITCOUNT = Program("bitcount", "qcsc_hpc.mpi.bitcount")
SCRIPT = f"""#!/bin/bash
#SBATCH --nodes=1 --ntasks={RANKS} --output=output.log
export OMP_NUM_THREADS=1
{MPIEXEC} -n {RANKS} {sys.executable} -m mpi4py -m {BITCOUNT.module} {BITS} shots.npy counts.npz
"""
C_PROGRAM = """
#include <mpi.h>
int main(int argc, char **argv) {
  MPI_Init(&argc, &argv); MPI_Barrier(MPI_COMM_WORLD); return MPI_Finalize();
}
"""

Seconds = dict[str, list[float]]


def random_shots(shots: int, seed: int) -> Rows:
    values = np.random.default_rng(seed).integers(0, 1 << BITS, shots, np.uint16)
    return values.astype(">u2").view(np.uint8).reshape(shots, 2)


class Warmed:
    """Calls of a run, as an algorithm's hook makes them."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._calls = folder, 0
        self.store = DirectoryStore(folder / "store")
        self.ledger = Ledger(run_id="warm", run_uid="benchmark", store=self.store)
        self.machine = HPCMachine(
            hpc_profile=HPCProfile(scheduler="slurm", executable_map={"mpiexec": str(MPIEXEC)}),
            execution_profile=ExecutionProfile(
                mpiprocs=RANKS, launcher="mpiexec", walltime="01:00:00"
            ),
            placement="warm",
        )

    def _step(self) -> Step:
        self._calls += 1
        name = f"warm/work/{self._calls:08d}-evaluate"
        return Step(
            run_id="warm",
            iteration=self._calls,
            name="evaluate",
            ledger=self.ledger,
            make_folder=partial(self.store.folder, name),
        )

    async def count(self, shots: Rows) -> float:
        """Seconds of one call."""
        began = time.perf_counter()
        with stepping(self._step()) as step:
            source = step.work_dir / "shots.npy"
            await to_thread.run_sync(_saved, source, shots)
            found = await self.machine.run(
                BITCOUNT, [str(BITS), source, "counts.npz"], outputs=["counts.npz"], collect=_counts
            )
        taken = time.perf_counter() - began
        assert found == len(shots)
        return taken

    async def program(self, path: Path) -> float:
        """Seconds of one program of its own."""
        command = Command(command_name="program", executable_key=str(path))
        began = time.perf_counter()
        with stepping(self._step()):
            await self.machine.run(command, [], collect=Path, ranks=RANKS)
        return time.perf_counter() - began


@asynccontextmanager
async def warmed(folder: Path) -> AsyncIterator[Warmed]:
    made = Warmed(folder)
    async with measuring(made.ledger):
        await made.count(random_shots(1000, 0))
        yield made


def _saved(path: Path, shots: Rows) -> None:
    with write_whole(path) as file:
        np.save(file, shots, allow_pickle=False)


def _counts(folder: Path) -> int:
    with np.load(folder / "counts.npz", allow_pickle=False) as found:
        return int(found["counts"].sum())


def bare(folder: Path, shots: Rows) -> float:
    """Seconds of one job by bare commands."""
    folder.mkdir()
    began = time.perf_counter()
    np.save(folder / "shots.npy", shots)
    (folder / "job.sh").write_text(SCRIPT)
    words = ["sbatch", "--parsable", "job.sh"]
    job = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=True).stdout
    ask = ["squeue", "--noheader", f"--jobs={job.strip()}"]
    while subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip():
        time.sleep(POLL_SECONDS)
    assert _counts(folder) == len(shots)
    return time.perf_counter() - began


def written_and_hashed(folder: Path, shots: Rows) -> float:
    """Seconds of what no placement can do without."""
    path = folder / "payload.npy"
    began = time.perf_counter()
    with path.open("wb") as file:
        np.save(file, shots)
        file.flush()
        os.fsync(file.fileno())
    with path.open("rb") as file:
        hashlib.file_digest(file, "sha256")
    taken = time.perf_counter() - began
    path.unlink()
    return taken


def compiled(folder: Path) -> Path:
    """The C program."""
    (folder / "program.c").write_text(C_PROGRAM)
    words = [str(MPIEXEC.with_name("mpicc")), "-O1", "-o", "program", "program.c"]
    subprocess.run(words, cwd=folder, check=True)
    return folder / "program"


def bare_steps(folder: Path, path: Path) -> list[float]:
    """Seconds of each of some steps in a job of their own, by bare commands."""
    place = folder / "steps"
    place.mkdir()
    step = f"{MPIEXEC} -n {RANKS} {path}"
    lines = [
        "#!/bin/bash",
        f"#SBATCH --nodes=1 --ntasks={RANKS} --output=output.log",
        f"for number in {' '.join(map(str, range(STEPS)))}; do",
        f"  began=$(date +%s%N); {step} < /dev/null; echo $(($(date +%s%N) - began))",
        "done",
    ]
    (place / "job.sh").write_text("\n".join(lines) + "\n")
    subprocess.run(["sbatch", "--wait", "job.sh"], cwd=place, capture_output=True, check=True)
    return [int(line) / 1e9 for line in (place / "output.log").read_text().split()]


def idle_share(folder: Path) -> tuple[float, float]:
    """Shares of a core that the busiest rank, and the supervisor, take while nothing is asked for."""

    def spent(module: str) -> dict[int, float]:
        found = [p for p in psutil.process_iter() if _runs(p, module, folder)]
        return {p.pid: sum(p.cpu_times()[:2]) for p in found}

    modules = ("qcsc_hpc.warm.rank", "qcsc_hpc.warm.supervisor")
    before = [spent(module) for module in modules]
    assert len(before[0]) == RANKS
    time.sleep(IDLE_SECONDS)
    after = [spent(module) for module in modules]
    rank, supervisor = (
        max(now[pid] - then[pid] for pid in then) / IDLE_SECONDS
        for then, now in zip(before, after, strict=True)
    )
    return rank, supervisor


def _runs(process: psutil.Process, module: str, folder: Path) -> bool:
    try:
        words = process.cmdline()
    except psutil.Error:
        return False
    return module in words and "-c" not in words and str(folder) in " ".join(words)


async def _measured(folder: Path) -> list[Figure]:
    seconds: dict[str, list[float]] = defaultdict(list)
    async with warmed(folder) as warm:
        turns = CALLS // BARE_CALLS
        for number in range(BARE_CALLS):
            place, shots = folder / f"bare{number}", random_shots(SHOTS, number)
            seconds["bare"].append(await to_thread.run_sync(bare, place, shots))
            for turn in range(turns):
                seconds["warm"].append(await warm.count(random_shots(SHOTS, turn)))
        figures = [_calls(seconds)]
        for size, times in PAYLOADS.items():
            figures.append(await _payload(warm, folder, size, times))
        figures += await _program(warm, folder)
        rank, supervisor = await to_thread.run_sync(idle_share, folder)
    figures += [
        Figure("idle rank", 100 * rank, "% of a core", "a core", 100, at_most(1, 100 * rank, " %")),
        Figure("idle supervisor", 100 * supervisor, "% of a core", "a core", 100),
    ]
    return figures + _starts()


def _calls(seconds: Seconds) -> Figure:
    value, floor = (statistics.median(seconds[name]) for name in ("warm", "bare"))
    worst = sorted(seconds["warm"])[int(0.95 * len(seconds["warm"]))]
    what = f"a call, {SHOTS} shots ({len(seconds['warm'])} times, p95 {1000 * worst:.0f} ms)"
    return Figure(
        what, 1000 * value, "ms", "sbatch", 1000 * floor, at_most(0.05, value / floor, " x")
    )


async def _payload(warm: Warmed, folder: Path, size: int, times: int) -> Figure:
    taken: dict[str, list[float]] = defaultdict(list)
    for number in range(times):
        shots = random_shots(size // 2, number)
        for name, act in _in_turn(number, warm, folder, shots):
            taken[name].append(await act())
    value, floor = (statistics.median(taken[name]) for name in ("warm", "floor"))
    local = statistics.median(taken["counting"])
    what = f"a call, {size // MB} MB ({times} times; counting alone, in one process: {local:.2f} s)"
    return Figure(what, value, "s", "write, hash", floor, at_most(1.5, value / floor, " x"))


def _in_turn(
    number: int, warm: Warmed, folder: Path, shots: Rows
) -> list[tuple[str, Callable[[], Awaitable[float]]]]:
    def counting() -> float:
        began = time.perf_counter()
        count(shots, BITS)
        return time.perf_counter() - began

    acts: list[tuple[str, Callable[[], Awaitable[float]]]] = [
        ("warm", partial(warm.count, shots)),
        ("floor", partial(to_thread.run_sync, partial(written_and_hashed, folder, shots))),
        ("counting", partial(to_thread.run_sync, counting)),
    ]
    return acts if number % 2 else acts[::-1]


async def _program(warm: Warmed, folder: Path) -> list[Figure]:
    path = await to_thread.run_sync(compiled, folder)
    floor = statistics.median(await to_thread.run_sync(bare_steps, folder, path))
    value = statistics.median([await warm.program(path) for _ in range(STEPS)])
    what = f"a program that begins MPI itself ({STEPS} times)"
    return [Figure(what, value, "s", "mpiexec in a job", floor, at_most(1.5, value / floor, " x"))]


def _starts() -> list[Figure]:
    """Where the time of a start goes: in Python's imports, with compiled files and without."""
    figures = []
    for what, code in {
        "start of Python and numpy": "import numpy",
        "start of a rank": "from mpi4py import MPI; import numpy, qcsc_hpc.warm.rank",
        "start of a supervisor": "import qcsc_hpc.warm.supervisor",
    }.items():
        compiled_, plain = (
            statistics.median(_started(code, option) for _ in range(5)) for option in ("", "x")
        )
        figures.append(Figure(what, compiled_, "s", "without .pyc", plain))
    return figures


def _started(code: str, prefix: str) -> float:
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    if prefix:  # a place where there are no compiled files, and none are written
        environment |= {"PYTHONPYCACHEPREFIX": "/nowhere", "PYTHONDONTWRITEBYTECODE": "1"}
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    return time.perf_counter() - began


def figures() -> list[Figure]:
    """All of them; none where there is no Slurm."""
    with own_slurm() as folder:
        return [] if folder is None else anyio.run(_measured, folder)


if __name__ == "__main__":
    if measured := figures():
        show("A warm job on a real Slurm", measured)

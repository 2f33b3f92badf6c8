"""Where one driver and one store begin to feel what they carry: parts, jobs, iterations, a state.

Each is measured beside a tenth of it, or beside what the disk alone takes, in the same run. The jobs
are those of a simulated service in this process, which runs each for a second: what is measured is
the protocol, the ledger and the driver, not a scheduler.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Literal

import anyio
import numpy as np
import psutil

from benchmarks.figures import MB, Figure, at_most, show
from qcsc_loop import (
    DirectoryStore,
    IterativeAlgorithm,
    MaxIterations,
    NDArray,
    State,
    labelled,
    run_parts,
)
from qcsc_loop.exactly_once.request import JobRequest
from qcsc_loop.exactly_once.run_once import run_once
from qcsc_loop.jobs.key import JobKey
from qcsc_loop.jobs.outcome import JobOutcome, JobState
from qcsc_loop.jobs.site import JobSite, PlacedJob, Waiting

PARTS, JOBS, ITERATIONS = (100, 1_000, 100_000), 10_000, 10_000
STATE_BYTES = 1_000_000_000
SHARE = 10  # beside which each is measured
JOB_SECONDS, AT_ONCE = 1.0, 64
MOST_GROWTH, MOST_COPIES = 1.5, 3.0


class Count(State):
    """How far it is."""

    count: int = 0


class Large(State):
    """A state of a size."""

    numbers: NDArray


class Counting(IterativeAlgorithm[Count, int, int]):
    """Counts, and does nothing else."""

    async def initialize(self) -> Count:
        return Count()

    async def sample(self, state: Count) -> int:
        return 1

    async def evaluate(self, state: Count, samples: int) -> int:
        return samples

    async def update(self, state: Count, evaluation: int) -> Count:
        return Count(count=state.count + evaluation)


class InParts(Counting):
    """One iteration of many parts that do nothing."""

    parts: int

    async def evaluate(self, state: Count, samples: int) -> int:
        async def one() -> int:
            return 1

        found = await run_parts({f"p{k}": one for k in range(self.parts)}, int, limit=AT_ONCE)
        return sum(each or 0 for each in found.values())


class SimulatedSite(JobSite):
    """A service that takes every job, and has done it a second later."""

    type: Literal["simulated"] = "simulated"

    @property
    def title(self) -> str:
        return "a simulated service"

    async def submit(self, key: JobKey, folder: Path) -> str:
        """Takes it."""
        del folder
        return str(key)

    async def find(self, key: JobKey, folder: Path) -> str | None:
        del key, folder
        return None

    async def outcome(self, job: PlacedJob, waiting: Waiting) -> JobOutcome:
        waiting.tell(JobState.RUNNING, "")
        await anyio.sleep(JOB_SECONDS)
        return JobOutcome(state=JobState.COMPLETED, exit_code=0)

    async def cancel(self, job: PlacedJob) -> JobOutcome:
        return JobOutcome(state=JobState.CANCELLED)


class InJobs(Counting):
    """One iteration of many jobs, all of them in flight at once."""

    jobs: int

    async def evaluate(self, state: Count, samples: int) -> int:
        site = SimulatedSite()

        async def one(number: int) -> None:
            request = JobRequest(
                name="job",
                site=site,
                input_sha256=str(number),
                prepare=lambda _key, _folder: None,
                submit=site.submit,
                collect=lambda _folder: 1,
            )
            with labelled(str(number)):
                await run_once(request)

        async with anyio.create_task_group() as group:
            for number in range(self.jobs):
                group.start_soon(one, number)
        return self.jobs


class Carrying(IterativeAlgorithm[Large, int, int]):
    """Carries a large array through two iterations."""

    size: int

    async def initialize(self) -> Large:
        return Large(numbers=np.arange(self.size, dtype=np.float64))

    async def sample(self, state: Large) -> int:
        return 1

    async def evaluate(self, state: Large, samples: int) -> int:
        return samples

    async def update(self, state: Large, evaluation: int) -> Large:
        return Large(numbers=state.numbers + evaluation)


def seconds(run: Callable[[], Awaitable[object]]) -> tuple[float, float]:
    """Of a run, and of this process's processor."""
    began, cpu = time.perf_counter(), time.process_time()
    anyio.run(run)
    return time.perf_counter() - began, time.process_time() - cpu


def drive(
    algorithm: Counting | Carrying, root: Path, limit: int
) -> Callable[[], Awaitable[object]]:
    """A run to its limit, with what a run has by default; its name tells it from others."""
    size = sum(1 for _ in root.iterdir()) if root.exists() else 0
    options = {
        "store": DirectoryStore(root),
        "run_id": f"load-{size}",
        "stop": MaxIterations(limit),
    }
    return partial(algorithm.run, **options)  # type: ignore[arg-type]  # one dict of several types


def parts(root: Path) -> list[Figure]:
    """What a part costs, of many and of few."""
    few, *others = PARTS
    floor = _each_part(root, few)
    return [_part(count, _each_part(root, count), few, floor) for count in others]


def _each_part(root: Path, count: int) -> float:
    taken, _ = seconds(drive(InParts(parts=count), root, 1))
    return 1e3 * taken / count


def _part(count: int, each: float, few: int, floor: float) -> Figure:
    target = at_most(MOST_GROWTH, each / floor, " times")
    return Figure(f"a part of {count:,}", each, "ms", f"of {few}", floor, target)


def jobs(root: Path) -> list[Figure]:
    """What a job in flight costs, of many and of few."""
    _, few = seconds(drive(InJobs(jobs=JOBS // SHARE), root, 1))
    before = psutil.Process().memory_info().rss
    _, many = seconds(drive(InJobs(jobs=JOBS), root, 1))
    grown = (psutil.Process().memory_info().rss - before) / 1e3 / JOBS
    ledger = max((path.stat().st_size for path in root.glob("*/jobs.jsonl")), default=0)
    each, floor = 1e3 * many / JOBS, 1e3 * few * SHARE / JOBS
    target = at_most(MOST_GROWTH, each / floor, " times")
    return [
        Figure(
            f"processor for a job of {JOBS:,} in flight",
            each,
            "ms",
            f"of {JOBS // SHARE:,}",
            floor,
            target,
        ),
        Figure("memory for each", grown, "kB", "its ledger", ledger / 1e3 / JOBS),
    ]


def iterations(root: Path) -> Figure:
    """What an iteration costs, of many and of few."""
    few, _ = seconds(drive(Counting(), root, ITERATIONS // SHARE))
    many, _ = seconds(drive(Counting(), root, ITERATIONS))
    each, floor = 1e3 * many / ITERATIONS, 1e3 * few * SHARE / ITERATIONS
    target = at_most(MOST_GROWTH, each / floor, " times")
    what = f"an iteration of {ITERATIONS:,}"
    return Figure(what, each, "ms", f"of {ITERATIONS // SHARE:,}", floor, target)


def state(root: Path) -> list[Figure]:
    """What two iterations with a large state take, in time and memory."""
    root.mkdir(exist_ok=True)
    block = os.urandom(STATE_BYTES // 100)
    began = time.perf_counter()
    with (root / "raw").open("wb") as raw:
        for _ in range(100):
            raw.write(block)
        os.fsync(raw.fileno())
    disk = time.perf_counter() - began
    (root / "raw").unlink()
    process, peak = psutil.Process(), 0
    before = process.memory_info().rss

    async def run() -> None:
        nonlocal peak
        async with anyio.create_task_group() as group:
            group.start_soon(watch)
            await drive(Carrying(size=STATE_BYTES // 8), root, 2)()
            group.cancel_scope.cancel()

    async def watch() -> None:
        nonlocal peak
        while True:
            peak = max(peak, process.memory_info().rss)
            await anyio.sleep(0.02)

    taken, _ = seconds(run)
    copies = (peak - before) / STATE_BYTES
    size = f"{STATE_BYTES / 1e9:g} GB"
    return [
        Figure(f"a commit of {size}", taken / 3, "s", "writing so much", disk),
        Figure(
            f"memory with a state of {size}",
            (peak - before) / MB,
            "MB",
            "the state",
            STATE_BYTES / MB,
            at_most(MOST_COPIES, copies, " times"),
        ),
    ]


def main() -> None:
    """Prints the figures."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as folder:
        root = Path(folder)
        figures = [
            *parts(root / "parts"),
            *jobs(root / "jobs"),
            iterations(root / "iterations"),
            *state(root / "state"),
        ]
    show("Load", figures)


if __name__ == "__main__":
    main()

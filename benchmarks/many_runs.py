"""Two thousand runs in a store, and a run of a million iterations: what people wait for who look on.

The floor is the same command on an empty store, which has all the same to import. Runs that have ended
are remembered from the second list on.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import anyio
import psutil

from benchmarks.figures import Figure, at_most, show
from qcsc_loop import DirectoryStore, IterativeAlgorithm, MaxIterations, State
from qcsc_loop.reports.view import RunReader
from qcsc_loop.store.journal import Journal
from qcsc_loop.store.records import Commit
from qcsc_loop.values.document import Document

RUNS, ITERATIONS, LINES = 2000, 30, 1_000_000
WARM_SECONDS, COLD_SECONDS = 1.0, 3.0
TIMES = 5
MB = 1e6


class Count(State):
    """How far it is."""

    count: int = 0
    energy: float = 0.0


class Counting(IterativeAlgorithm[Count, int, int]):
    """Counts."""

    async def initialize(self) -> Count:
        return Count()

    async def sample(self, state: Count) -> int:
        return 1

    async def evaluate(self, state: Count, samples: int) -> int:
        return samples

    async def update(self, state: Count, evaluation: int) -> Count:
        return Count(count=state.count + 1, energy=-1.0 / (state.count + 1))


def store_of_many(root: Path, runs: int) -> None:
    """One run, and copies of it under other ids."""
    store = DirectoryStore(root)
    stop = MaxIterations(ITERATIONS)
    anyio.run(lambda: Counting().run(store=store, run_id="run-0000", stop=stop))
    record = Journal(store, "run-0000").record()
    for number in range(1, runs):
        run_id = f"run-{number:04d}"
        shutil.copytree(root / "run-0000", root / run_id)
        mine = record.model_copy(update={"run_id": run_id})
        store.write(f"{run_id}/run", Document(mine.model_dump_json().encode()))


def seconds_of_list(root: Path) -> tuple[float, float]:
    """The first time, and the best of the next ones."""
    taken: list[float] = []
    for _ in range(TIMES):
        began = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "qcsc_loop.cli.main", "list", "--store", str(root)],
            stdout=subprocess.DEVNULL,
            check=True,
        )
        taken.append(time.perf_counter() - began)
    return taken[0], min(taken[1:])


def forget(root: Path) -> bool:
    """Drops the store from the kernel's cache, where that may be done."""
    subprocess.run(["sync", "-f", str(root)], check=False)
    try:
        Path("/proc/sys/vm/drop_caches").write_text("3\n")
    except OSError:
        return False
    return True


def long_run(root: Path) -> tuple[float, float, float, int]:
    """Seconds of its newest commit, of all its history, and memory, of a run with many lines."""
    store = DirectoryStore(root)
    stop = MaxIterations(2)
    anyio.run(lambda: Counting().run(store=store, run_id="long", stop=stop))
    journal = Journal(store, "long")
    newest = journal.commits.newest()
    assert newest is not None
    body = newest.model_dump_json().replace('"iteration":2,', '"iteration":%d,', 1)
    with (root / "long" / "history.jsonl").open("a") as log:
        log.writelines(f"{body % number}\n" for number in range(3, LINES + 1))
    Commit.model_validate_json(body % LINES)
    began = time.perf_counter()
    assert journal.last_iteration() == LINES
    last = time.perf_counter() - began
    before = psutil.Process().memory_info().rss
    began = time.perf_counter()
    view = RunReader(store, "long").look()
    assert len(view.history) == LINES + 1  # and the one of initialize
    whole = time.perf_counter() - began
    size = (root / "long" / "history.jsonl").stat().st_size
    return last, whole, (psutil.Process().memory_info().rss - before) / MB, size


def main() -> None:
    """Prints the figures."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as folder:
        root = Path(folder)
        (root / "none").mkdir()
        is_cold = forget(root)
        cold_nothing, nothing = seconds_of_list(root / "none")
        store_of_many(root / "many", RUNS)
        forget(root)
        first, warm = seconds_of_list(root / "many")
        forget(root)
        again, _ = seconds_of_list(root / "many")
        last, whole, memory, size = long_run(root / "long-run")
    cold = ", nothing in the kernel's cache" if is_cold else ""
    beside = f"list, an empty store{cold}"
    show(
        f"Many runs, and a long one ({RUNS:,} runs of {ITERATIONS} iterations; {LINES:,} iterations)",
        [
            Figure(
                "list, warm", warm, "s", "list, an empty store", nothing,
                at_most(WARM_SECONDS, warm, " s"),
            ),
            Figure(
                f"list, the first time{cold}", first, "s", beside, cold_nothing,
                at_most(COLD_SECONDS, first, " s"),
            ),
            Figure(
                f"list{cold}", again, "s", beside, cold_nothing,
                at_most(COLD_SECONDS, again, " s"),
            ),
            Figure("newest commit of the long run", last, "s", "its whole history", whole),
            Figure("memory of its history", memory, "MB", "its file", size / MB),
        ],
    )  # fmt: skip


if __name__ == "__main__":
    main()

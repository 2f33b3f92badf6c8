"""Whether the last of two thousand iterations costs what the first did, in time and in memory."""

from __future__ import annotations

import statistics
import tempfile

import anyio
import numpy as np
import psutil

from benchmarks.figures import MB, Figure, Target, at_most, show
from benchmarks.idle import Idle, Ticks
from qcsc_loop import DirectoryStore, MaxIterations
from qcsc_loop.events import Event, IterationCommitted

ITERATIONS, REPEATS = 2000, 3
EARLY, LATE = slice(20, 120), slice(1900, 2000)
GROWTH_MB = 10


class Watch(Ticks):
    """Notes the resident memory, in MB, as well."""

    def __init__(self) -> None:
        super().__init__()
        self.resident: list[float] = []
        self._process = psutil.Process()

    def __call__(self, event: Event) -> None:
        super().__call__(event)
        if isinstance(event, IterationCommitted):
            self.resident.append(self._process.memory_info().rss / MB)


def figures() -> list[Figure]:
    """Late iterations beside early ones of the same run."""
    watches = [_watched() for _ in range(REPEATS)]
    early, late = (
        statistics.median(_milliseconds(watch, part) for watch in watches) for part in (EARLY, LATE)
    )
    resident = watches[0].resident  # a later run finds memory that this one has grown
    return [
        Figure(
            "iterations 1,900-2,000", late, "ms", "iterations 20-120", early,
            at_most(1.1, late / early, " x"),
        ),
        *(_memory(resident, iteration) for iteration in (500, 2000)),
    ]  # fmt: skip


def _watched() -> Watch:
    watch = Watch()
    with tempfile.TemporaryDirectory() as folder:
        store, stop = DirectoryStore(folder), MaxIterations(ITERATIONS)
        anyio.run(lambda: Idle().run(store=store, stop=stop, observers=[watch]))
    return watch


def _milliseconds(watch: Watch, part: slice) -> float:
    return 1e3 * float(np.median(np.diff(watch.times)[part]))


def _memory(resident: list[float], iteration: int) -> Figure:
    grown = resident[iteration] - resident[20]
    return Figure(
        f"resident memory at {iteration:,}", resident[iteration], "MB", "at 20", resident[20],
        Target(f"growth < {GROWTH_MB} MB", grown < GROWTH_MB),
    )  # fmt: skip


if __name__ == "__main__":
    show(f"A run of {ITERATIONS:,} iterations", figures())

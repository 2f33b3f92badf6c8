"""Whether the last of two thousand iterations costs what the first did, in time and in memory."""

from __future__ import annotations

import statistics
import tempfile
from itertools import count

import anyio
import numpy as np
import psutil

from benchmarks.figures import MB, Figure, Target, at_most, medians, show
from benchmarks.idle import Idle, Ticks
from qcsc_loop import DirectoryStore, MaxIterations
from qcsc_loop.events import Event
from qcsc_loop.loop.events import IterationCommitted

ITERATIONS, REPEATS = 2000, 3
SHORT, SHORT_REPEATS = 120, 9
EARLY, LATE = slice(20, 120), slice(1900, 2000)
LAST = slice(-100, None)
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
    """Late iterations beside early ones: of one run, and of two runs that take turns."""
    with tempfile.TemporaryDirectory() as folder:
        store = DirectoryStore(folder)
        watches = [_run(store, f"long-{number}", ITERATIONS) for number in range(REPEATS)]
        in_turn = _resumed_beside_new(store)
    early, late = (
        statistics.median(_milliseconds(watch, part) for watch in watches) for part in (EARLY, LATE)
    )
    resident = watches[0].resident  # a later run finds memory that this one has grown
    return [
        _later("iterations 1,900-2,000", late, "iterations 20-120", early),
        _later("resumed at 2,000 and later", in_turn["old"], "new, in turn", in_turn["new"]),
        *(_memory(resident, iteration) for iteration in (500, 2000)),
    ]


def _run(store: DirectoryStore, run_id: str, iterations: int) -> Watch:
    """Begins the run, or goes on with it."""
    watch, stop = Watch(), MaxIterations(iterations)
    anyio.run(lambda: Idle().run(store=store, run_id=run_id, stop=stop, observers=[watch]))
    return watch


def _resumed_beside_new(store: DirectoryStore) -> dict[str, float]:
    """Milliseconds of iterations: a long run's and a new one's, free of the machine's drift."""
    new, old = count(), count(ITERATIONS + SHORT, SHORT)
    return medians(
        SHORT_REPEATS,
        {
            "old": lambda: _milliseconds(_run(store, "long-0", next(old)), LAST),
            "new": lambda: _milliseconds(_run(store, f"new-{next(new)}", SHORT), LAST),
        },
    )


def _milliseconds(watch: Watch, part: slice) -> float:
    return 1e3 * float(np.median(np.diff(watch.times)[part]))


def _later(what: str, late: float, beside: str, early: float) -> Figure:
    return Figure(what, late, "ms", beside, early, at_most(1.1, late / early, " x"))


def _memory(resident: list[float], iteration: int) -> Figure:
    grown = resident[iteration] - resident[20]
    return Figure(
        f"resident memory at {iteration:,}",
        resident[iteration],
        "MB",
        "at 20",
        resident[20],
        Target(f"growth < {GROWTH_MB} MB", grown < GROWTH_MB),
    )


if __name__ == "__main__":
    show(f"A run of {ITERATIONS:,} iterations", figures())

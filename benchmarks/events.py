"""From an event to the first step of the run that it starts, at `serve`'s default polling.

Beside it: the time in which a new process imports the flow, which every flow run has to spend.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio

from benchmarks.figures import Figure, at_most, show
from qcsc_loop.cli.quiet_prefect import quiet_prefect
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.journal import Journal

TIMES = 10
LIMIT = 6  # seconds
LONGEST = 60.0  # seconds, of one start
DEPLOYMENT = """\
name = "started"
flow = "bitcount"
[algorithm]
num_qubits = 2
shots = 100
[run]
max_iterations = 0
[[triggers]]
event = "benchmark.told"
run = { run_id = "started-{{ event.payload.number }}" }
"""


@contextmanager
def serving(folder: Path) -> Iterator[None]:
    """`qcsc-loop serve`, once it says that it does."""
    file = folder / "deployment.toml"
    file.write_text(DEPLOYMENT)
    script = Path(sys.executable).with_name("qcsc-loop")
    with subprocess.Popen(
        [str(script), "serve", str(file)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            yield
        finally:
            process.terminate()


async def told(number: int) -> float:
    """Sends an event; returns when that was."""
    from qcsc_loop.prefect.emitting import external_id, post_event

    began = time.time()
    name = "benchmark.told"
    await post_event(name, "benchmark", {"number": number}, external_id(name, str(number)))
    return began


def first_step(store: DirectoryStore, number: int, began: float) -> float:
    """Seconds from then until the run's first step was committed."""
    journal = Journal(store, f"started-{number}")
    while not (history := journal.history()):
        assert time.time() - began < LONGEST, "no run was started"
        time.sleep(0.02)
    return history[0].committed.timestamp() - began


def imported() -> float:
    """Seconds in which a process imports the flow."""
    began = time.perf_counter()
    words = [sys.executable, "-c", "import prefect.engine, qcsc_algorithms.bitcount.flow"]
    subprocess.run(words, check=True, stderr=subprocess.DEVNULL)
    return time.perf_counter() - began


def main() -> None:
    """Ten events, one after the other."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        os.environ.update(PREFECT_HOME=name, QCSC_LOOP_STORE=str(folder / "store"))
        os.environ.pop("PREFECT_API_URL", None)  # never on a server that others use
        quiet_prefect()  # like the home, before Prefect is imported
        from prefect.settings import PREFECT_API_AUTH_STRING

        from qcsc_loop.prefect.server import prefect_api

        store = DirectoryStore(folder / "store")
        with prefect_api() as url:
            os.environ["PREFECT_API_URL"] = url
            # a temporary server lets nobody else in
            os.environ["PREFECT_API_AUTH_STRING"] = str(PREFECT_API_AUTH_STRING.value())
            with serving(folder):
                took: list[float] = []
                floor: list[float] = []
                for number in range(TIMES):
                    took.append(first_step(store, number, anyio.run(told, number)))
                    floor.append(imported())
    figures = [
        Figure(
            f"event to first step ({min(took):.1f}-{max(took):.1f})",
            statistics.median(took),
            "s",
            "imports",
            statistics.median(floor),
            at_most(LIMIT, max(took), " s, the slowest"),
        )
    ]
    show(f"{TIMES} events, qcsc-loop serve with its default polling", figures)


if __name__ == "__main__":
    main()

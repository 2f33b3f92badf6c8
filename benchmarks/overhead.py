"""What the loop adds to an algorithm: time per iteration with hooks that do nothing."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections import defaultdict
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import anyio
import psutil

from benchmarks.figures import Figure, at_most, medians, seconds, show
from benchmarks.idle import Idle, Ticks
from qcsc_loop import DirectoryStore, MaxIterations, MemoryStore, Store
from qcsc_loop.cli.quiet_prefect import quiet_prefect

if TYPE_CHECKING:
    from qcsc_loop.prefect.driver_facts import Granularity

ITERATIONS, REPEATS = 100, 7
DOCUMENTS = 3  # one iteration keeps what `sample` and `evaluate` returned, and the checkpoint
DOCUMENT, LINE = b"x" * 600, b"x" * 300  # about what an idle iteration writes

FLOW_ITERATIONS, FLOW_REPEATS = 40, 5
WARM_UP = 10  # until the loop is as far ahead of the server as it may be
ARTIFACT = "x" * 600
REST, RESTING, LONGEST_REST = 0.5, 0.2, 20  # seconds; share of a core; seconds
TASKS: dict[Granularity, int] = {"step": 3, "iteration": 1, "none": 0}


def without_server() -> list[Figure]:
    """Both stores beside the writes that one iteration cannot do without."""
    with tempfile.TemporaryDirectory() as folder, closing(MemoryStore()) as memory:
        directory, floor = DirectoryStore(f"{folder}/store"), Path(folder, "floor")
        found = medians(
            REPEATS,
            {
                "memory": lambda: _per_iteration(memory),
                "directory": lambda: _per_iteration(directory),
                "unchecked": lambda: _per_iteration(directory, check_hooks=False),
                "floor": lambda: seconds(lambda: _write(floor)) / ITERATIONS,
            },
        )
    ms = {name: 1e3 * value for name, value in found.items()}
    beside = f"{DOCUMENTS} durable files and a line"
    return [
        Figure("MemoryStore", ms["memory"], "ms", beside, ms["floor"]),
        Figure(
            "DirectoryStore",
            ms["directory"],
            "ms",
            beside,
            ms["floor"],
            at_most(2.5, ms["directory"] / ms["floor"], " x"),
        ),
        Figure("DirectoryStore, hooks unchecked", ms["unchecked"], "ms", beside, ms["floor"]),
    ]


def _per_iteration(store: Store, *, check_hooks: bool = True) -> float:
    ticks = Ticks()
    run = Idle().run(
        store=store,
        stop=MaxIterations(ITERATIONS),
        observers=[ticks],
        check_hooks=check_hooks,
    )
    anyio.run(lambda: run)
    return ticks.per_iteration(0, ITERATIONS)


def _write(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    for iteration in range(ITERATIONS):
        for number in range(DOCUMENTS):
            _put(folder / f"{iteration}.{number}")
        with (folder / "log").open("ab") as log:
            log.write(LINE)
            log.flush()
            os.fdatasync(log.fileno())


def _put(target: Path) -> None:
    temporary = target.with_suffix(".tmp")
    with temporary.open("wb") as file:
        file.write(DOCUMENT)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(target)
    handle = os.open(target.parent, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)


def in_flow() -> list[Figure]:
    """A run inside a flow beside the bare tasks and artifacts that it makes."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        os.environ["PREFECT_HOME"] = folder
        os.environ.pop("PREFECT_API_URL", None)  # never on a server that others use
        quiet_prefect()  # like the home, before Prefect is imported
        from qcsc_loop.prefect.server import prefect_api

        with prefect_api():
            ms = anyio.run(_measured_in_flow, DirectoryStore(f"{folder}/store"))
    return [_beside_its_parts(tasks, ms[tasks], ms[f"bare {tasks}"]) for tasks in TASKS]


def _beside_its_parts(tasks: Granularity, ours: float, parts: float) -> Figure:
    beside = f"bare tasks: {TASKS[tasks]}, artifacts: 1"
    target = at_most(1, ours / parts, " x")
    return Figure(f'run_in_flow, tasks="{tasks}"', ours, "ms", beside, parts, target)


async def _measured_in_flow(store: Store) -> dict[str, float]:
    """Median milliseconds of an iteration, by granularity, and of its bare parts."""
    from prefect import flow

    found: defaultdict[str, list[float]] = defaultdict(list)

    async def body() -> None:
        for repeat in range(FLOW_REPEATS):
            for tasks in TASKS:
                await _until_server_rests()
                found[f"bare {tasks}"].append(await _bare(TASKS[tasks]))
                await _until_server_rests()
                found[tasks].append(await _in_flow(store, tasks, f"{tasks}-{repeat}"))

    await flow(name="overhead", persist_result=False)(body)()
    return {name: 1e3 * statistics.median(values) for name, values in found.items()}


async def _in_flow(store: Store, tasks: Granularity, run_id: str) -> float:
    from qcsc_loop.prefect.flow import run_in_flow

    ticks, stop = Ticks(), MaxIterations(FLOW_ITERATIONS)
    await run_in_flow(Idle(), tasks=tasks, store=store, run_id=run_id, stop=stop, observers=[ticks])
    return ticks.per_iteration(WARM_UP, FLOW_ITERATIONS)


async def _bare(tasks: int) -> float:
    """Seconds for so many tasks and one artifact, one after the other.

    Measured together: a server that is digesting the tasks' events is slower with the artifact.
    """
    from prefect import task
    from prefect.cache_policies import NO_CACHE
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import ArtifactCreate
    from prefect.runtime import flow_run

    async def nothing() -> None: ...

    bare = task(name="bare", cache_policy=NO_CACHE, persist_result=False)(nothing)
    artifact = ArtifactCreate(
        key="bare", type="bare", data=ARTIFACT, flow_run_id=UUID(flow_run.get_id())
    )
    times: list[float] = []
    async with get_client() as client:
        for _ in range(FLOW_ITERATIONS + 1):
            for _ in range(tasks):
                await bare()
            await client.create_artifact(artifact)
            times.append(time.perf_counter())
    return (times[-1] - times[WARM_UP]) / (FLOW_ITERATIONS - WARM_UP)


async def _until_server_rests() -> None:
    """Waits for the server to digest what it was sent: the next measurement would pay for it."""
    children = psutil.Process().children(recursive=True)
    used = -1.0
    with anyio.move_on_after(LONGEST_REST):
        while (now := sum(sum(c.cpu_times()[:2]) for c in children)) - used > RESTING * REST:
            used = now
            await anyio.sleep(REST)


if __name__ == "__main__":
    show("Overhead per iteration", [*without_server(), *in_flow()])

"""What the loop adds to an algorithm: time per iteration with hooks that do nothing."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from contextlib import closing
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio

from benchmarks.figures import Figure, at_most, medians, seconds, show
from benchmarks.idle import Idle, Ticks
from qcsc_loop import DirectoryStore, MaxIterations, MemoryStore, Store

if TYPE_CHECKING:
    from qcsc_loop.flows import Granularity

ITERATIONS, REPEATS = 100, 7
DOCUMENTS = 3  # one iteration keeps what `sample` and `evaluate` returned, and the checkpoint
DOCUMENT, LINE = b"x" * 600, b"x" * 300  # about what an idle iteration writes

FLOW_ITERATIONS, FLOW_REPEATS = 20, 5
WARM_UP = 6  # until the loop is as far ahead of the server as it may be
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
                "floor": lambda: seconds(lambda: _write(floor)) / ITERATIONS,
            },
        )
    ms = {name: 1e3 * value for name, value in found.items()}
    beside = f"{DOCUMENTS} durable files and a line"
    return [
        Figure("MemoryStore", ms["memory"], "ms", beside, ms["floor"]),
        Figure(
            "DirectoryStore", ms["directory"], "ms", beside, ms["floor"],
            at_most(5, ms["directory"], " ms on a quiet machine"),
        ),
    ]  # fmt: skip


def _per_iteration(store: Store) -> float:
    ticks = Ticks()
    run = Idle().run(store=store, stop=MaxIterations(ITERATIONS), observers=[ticks])
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
    """A run inside a flow beside the bare tasks and the artifact that it makes."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        os.environ["PREFECT_HOME"] = folder
        os.environ.pop("PREFECT_API_URL", None)  # never on a server that others use
        # both read the environment when they are imported
        import qcsc_loop.cli.flow
        from qcsc_loop.prefect.server import prefect_api

        with prefect_api():
            ms = anyio.run(_measured_in_flow, DirectoryStore(f"{folder}/store"))
    return [_beside_its_parts(tasks, ms) for tasks in TASKS]


def _beside_its_parts(tasks: Granularity, ms: dict[str, float]) -> Figure:
    floor = TASKS[tasks] * ms["task"] + ms["artifact"]
    figure = Figure(
        f'run_in_flow, tasks="{tasks}"', ms[tasks], "ms",
        f"{TASKS[tasks]} bare tasks, one artifact", floor,
    )  # fmt: skip
    return Figure(**vars(figure) | {"target": at_most(1, figure.ratio, " x")})


async def _measured_in_flow(store: Store) -> dict[str, float]:
    """Median milliseconds of a bare task, an artifact, and an iteration of each granularity."""
    from prefect import flow

    found: defaultdict[str, list[float]] = defaultdict(list)
    run_ids = count()
    measures: dict[str, Callable[[], Awaitable[float]]] = {"task": _tasks, "artifact": _artifacts}
    for tasks in TASKS:
        measures[tasks] = partial(_iterations, store, tasks, run_ids)

    async def body() -> None:
        for _ in range(FLOW_REPEATS):
            for name, measure in measures.items():
                found[name].append(await measure())

    await flow(name="overhead", persist_result=False)(body)()
    return {name: 1e3 * statistics.median(values) for name, values in found.items()}


async def _tasks() -> float:
    from prefect import task
    from prefect.cache_policies import NO_CACHE

    async def nothing() -> None: ...

    bare = task(name="bare", cache_policy=NO_CACHE, persist_result=False)(nothing)
    started = time.perf_counter()
    for _ in range(3 * FLOW_ITERATIONS):
        await bare()
    return (time.perf_counter() - started) / (3 * FLOW_ITERATIONS)


async def _artifacts() -> float:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import ArtifactCreate
    from prefect.context import get_run_context

    context: Any = get_run_context()  # of a flow, which the declared type does not say
    artifact = ArtifactCreate(
        key="overhead", type="bare", data="x" * 600, flow_run_id=context.flow_run.id
    )
    async with get_client() as client:
        started = time.perf_counter()
        for _ in range(FLOW_ITERATIONS):
            await client.create_artifact(artifact)
        return (time.perf_counter() - started) / FLOW_ITERATIONS


async def _iterations(store: Store, tasks: Granularity, run_ids: count[int]) -> float:
    from qcsc_loop.flows import run_in_flow

    ticks = Ticks()
    await run_in_flow(
        Idle(),
        tasks=tasks,
        store=store,
        run_id=f"overhead-{next(run_ids)}",
        stop=MaxIterations(WARM_UP + FLOW_ITERATIONS),
        observers=[ticks],
    )
    return ticks.per_iteration(WARM_UP, WARM_UP + FLOW_ITERATIONS)


if __name__ == "__main__":
    show("Overhead per iteration", [*without_server(), *in_flow()])

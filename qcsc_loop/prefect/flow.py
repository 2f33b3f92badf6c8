"""The same loop inside a Prefect flow: hooks as tasks, commits as artifacts."""

from __future__ import annotations

import contextvars
import re
from collections.abc import Awaitable, Mapping
from functools import partial
from typing import Any, TypeVar, Unpack

import anyio
from anyio import to_thread
from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.context import FlowRunContext

from qcsc_loop.algorithm import IterativeAlgorithm
from qcsc_loop.concurrency.own_exits import exits_as_errors
from qcsc_loop.errors import InputError
from qcsc_loop.events import Event, Observer, Trouble, tell
from qcsc_loop.loop.driver import run_loop
from qcsc_loop.loop.hooks import E, M, S
from qcsc_loop.loop.options import Call, RunOptions
from qcsc_loop.loop.outcome import Outcome
from qcsc_loop.loop.warnings import log_warnings
from qcsc_loop.parameters.environment import environment
from qcsc_loop.prefect.artifacts import RunArtifacts
from qcsc_loop.prefect.driver_facts import FLOW_RUN, Granularity
from qcsc_loop.prefect.emitting import emitting
from qcsc_loop.prefect.mirror import Mirror, mirroring
from qcsc_loop.prefect.restore import Wanted, restore
from qcsc_loop.prefect.run_ids import run_id_of
from qcsc_loop.prefect.run_log import RunLog
from qcsc_loop.prefect.signing import NOT_SIGNED
from qcsc_loop.prefect.variables import with_variables
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.journal import Journal

T = TypeVar("T")

_AS_TASKS: dict[Granularity, frozenset[str]] = {
    "step": frozenset({"initialize", "sample", "evaluate", "update"}),
    "iteration": frozenset({"iteration"}),
    "none": frozenset(),
}


async def run_in_flow(
    algorithm: IterativeAlgorithm[S, M, E],
    *,
    tasks: Granularity = "step",
    drain_seconds: float = 10.0,
    variables: Mapping[str, str] | None = None,
    **options: Unpack[RunOptions],
) -> Outcome[S]:
    """`run_loop` in the current flow run.

    Every commit becomes an artifact, behind the loop, at most a few iterations late; when the
    server is away the run goes on and publishes later. The flow run is named after the run, and
    says so when it resumed one; its log has the iterations and what went wrong, its artifacts are a
    report and the run's jobs. A run that the store does not have, or whose newest checkpoint is
    damaged there, is first brought back from its artifacts.

    Args:
        tasks: what becomes a Prefect task: each step, each iteration, or nothing. For hooks that
            take less than about 50 ms take "iteration" or "none": thousands of tasks a minute
            flood a small server.
        variables: parameters, dotted if nested, that a new run takes from the Prefect variables of
            these names; what they were is kept in its provenance. A resumed run has what it had.
        drain_seconds: how long to wait at the end for a server that takes no checkpoints.
        options: as for `run_loop`; `run_id` is by default made from the flow run's time and id, so
            that Prefect's own retry of the flow run resumes the run.

    Raises:
        InputError: not called inside a flow; and all that `run_loop` raises.
        RunLocked, LeaseLost: another driver has the run. `ends_superseded` makes of it a flow run's
            end that is no failure; and so of RunCancelled.
    """
    flow_run, name = current_flow_run()
    flow_run_id = flow_run.id
    store = options.get("store") or DirectoryStore(environment().store)
    run_id = options.get("run_id") or ""
    run_id = run_id or await to_thread.run_sync(run_id_of, flow_run, name, store)
    observers = (RunLog().observe, *options.get("observers", ()))

    before: list[Event] = []
    told = partial(tell, (before.append, log_warnings(run_id), *observers))
    journal = Journal(store, run_id)
    async with get_client() as client:
        artifacts = RunArtifacts(client, run_id, flow_run_id)
        if not artifacts.signer.signs:
            told(Trouble(NOT_SIGNED))
        await restore(
            artifacts,
            journal,
            Wanted(algorithm=type(algorithm), take_over=options.get("take_over", False)),
            lambda text: told(Trouble(text)),
        )
        if variables and not await to_thread.run_sync(journal.exists):
            algorithm, read = await with_variables(algorithm, variables)
            options["facts"] = {**options.get("facts", {}), "variables": read}
        options["facts"] = {FLOW_RUN: str(flow_run_id), **options.get("facts", {})}
        async with (
            mirroring(artifacts, client, journal, told) as mirror,
            emitting(journal) as emitter,
        ):
            options |= {
                "store": store,
                "run_id": run_id,
                "told_before": before,
                "observers": (*observers, mirror.observe, emitter.observe),
                "around": Around(mirror, tasks),
            }
            outcome = await run_loop(algorithm, **options)
            if await mirror.drain(drain_seconds):
                await show_tables(artifacts, algorithm, outcome, told)
                await mirror.shown()
    return outcome


def current_flow_run() -> tuple[FlowRun, str]:
    """The flow run that this is called in, and its flow's name as run ids have it.

    Raises:
        InputError: it is called in none.
    """
    context = FlowRunContext.get()
    if context is None or context.flow_run is None or context.flow is None:
        raise InputError(
            "run_in_flow works inside a Prefect flow only; elsewhere use algorithm.run()"
        )
    name = re.sub(r"[^a-z0-9]+", "-", context.flow.name.lower()).strip("-")
    return context.flow_run, name or "run"


class Around:
    """Puts a Prefect task around the chosen steps, and waits for a server that is behind.

    Args:
        joins: there is no flow run yet: until `join` the steps are called without tasks.
    """

    def __init__(self, mirror: Mirror, tasks: Granularity, *, joins: bool = False) -> None:
        self._mirror = mirror
        self._granularity: Granularity = tasks
        self._joined: contextvars.Context | None = None
        self._tasks: dict[str, _StepTask] = {}
        if not joins:
            self._begin_tasks()

    def join(self, context: contextvars.Context) -> None:
        """From the next iteration on the run is in the flow run that has this context."""
        self._joined = context

    def _begin_tasks(self) -> None:
        self._tasks = {step: _StepTask(step) for step in _AS_TASKS[self._granularity]}

    def _enter_flow(self, context: contextvars.Context) -> None:
        """What a hook finds in a flow: these stay set for the task that drives the run."""
        here = contextvars.copy_context()
        for variable, value in context.items():
            if variable not in here or here[variable] is not value:
                variable.set(value)
        self._begin_tasks()

    # hands on what is awaited, and does not wait itself: fewer frames in a hook's traceback
    def __call__(self, step: str, iteration: int, call: Call[T]) -> Awaitable[T]:
        if step in ("initialize", "iteration"):
            return self._begin(step, iteration, call)
        as_task = self._tasks.get(step)
        return call() if as_task is None else as_task(step, iteration, call)

    async def _begin(self, step: str, iteration: int, call: Call[T]) -> T:
        if self._joined is not None:
            context, self._joined = self._joined, None
            self._enter_flow(context)
        await self._mirror.keep_up(iteration)
        as_task = self._tasks.get(step)
        return await (call() if as_task is None else as_task(step, iteration, call))


class _StepTask:
    """One task for all calls of a step, which come one after the other.

    It takes no arguments: Prefect would walk, hash and store them, seconds for a large dictionary.
    """

    def __init__(self, step: str) -> None:
        self._call: Call[Any] | None = None
        self._name = step
        self._task = task(
            name=step,
            task_run_name=lambda: self._name,
            cache_policy=NO_CACHE,
            persist_result=False,
        )(self._body)

    def __call__(self, step: str, iteration: int, call: Call[T]) -> Awaitable[T]:
        self._call, self._name = call, f"{step}[{iteration}]"
        return self._task()

    async def _body(self) -> Any:  # whatever the step returns
        assert self._call is not None
        return await self._call()


async def show_tables(
    artifacts: RunArtifacts,
    algorithm: IterativeAlgorithm[S, Any, Any],
    outcome: Outcome[S],
    told: Observer,
) -> None:
    """The algorithm's tables for people; that they cannot be shown never fails a run."""
    try:
        with anyio.fail_after(30):
            with exits_as_errors():
                tables = algorithm.tables(outcome.state)
            for name, rows in tables.items():
                await artifacts.publish_table(name, [dict(row) for row in rows])
    except Exception as error:  # whatever a server or a user's table does
        told(Trouble(f"the run's tables are not on the server: {type(error).__name__}: {error}"))

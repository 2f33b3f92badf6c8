"""Driving a run as a Prefect flow from the command line."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from qcsc_loop.cli.driving import Driving
from qcsc_loop.cli.quiet_prefect import quiet_prefect
from qcsc_loop.cli.run_request import RunRequest
from qcsc_loop.cli.signals import Signals
from qcsc_loop.cli.way import choose_way
from qcsc_loop.errors import LeaseLost, RunLocked
from qcsc_loop.events import Observer, Trouble, tell
from qcsc_loop.loop.events import Preparing
from qcsc_loop.loop.options import RunOptions
from qcsc_loop.loop.outcome import Outcome
from qcsc_loop.parameters.compare import to_plain
from qcsc_loop.store.journal import Journal

if TYPE_CHECKING:
    from prefect.client.schemas import State

END_SECONDS = 5  # for Prefect to say that a flow run has ended, to a server that may be gone


@contextmanager
def open_api(told: Observer) -> Iterator[None]:
    """The configured Prefect API or a temporary one, for as long as the block lasts.

    Raises:
        PrefectUnreachable, PrefectRefused: there is none for us.
    """
    quiet_prefect()
    from qcsc_loop.prefect.server import prefect_api

    logging.raiseExceptions = False  # a log line that an absent server did not take is no news
    with prefect_api(lambda doing: told(Preparing(doing))):
        yield


async def drive_in_flow(
    request: RunRequest, driving: Driving, journal: Journal, options: RunOptions, signals: Signals
) -> tuple[Outcome[Any], bool]:
    """Drives the run in a flow, on the API that is open.

    Returns:
        The outcome, and whether the server was told that the flow run has ended.
    """
    from prefect import flow
    from prefect.client.orchestration import get_client

    from qcsc_loop.prefect.artifacts import RunArtifacts
    from qcsc_loop.prefect.ends import completed, superseded
    from qcsc_loop.prefect.flow import run_in_flow
    from qcsc_loop.prefect.restore import Wanted, restore
    from qcsc_loop.prefect.server_limits import shown_parameters

    observers = options.get("observers", ())
    async with get_client() as client:
        # which algorithm a run is, and how it was driven, may be known to the API alone
        await restore(
            RunArtifacts(client, journal.run_id),
            journal,
            Wanted(algorithm=request.named, uid=request.uid, take_over=driving.take_over),
            lambda text: tell(observers, Trouble(text)),
        )
    chosen, way = request.algorithm(journal), choose_way(driving, journal)
    options["facts"] = way.facts()
    ended: asyncio.Future[Outcome[Any]] = asyncio.get_running_loop().create_future()

    async def body(algorithm: dict[str, Any], run_id: str) -> State[Any]:
        signals.hold()  # Prefect has just installed a handler of its own
        driven = run_in_flow(chosen, tasks=way.tasks, variables=request.variables, **options)
        try:
            outcome = await driven
        except (RunLocked, LeaseLost) as error:
            ended.set_exception(error)
            return superseded(error)
        ended.set_result(outcome)
        return completed(outcome)

    shown = shown_parameters(to_plain(chosen))
    run = flow(name=type(chosen).__name__.lower(), validate_parameters=False, persist_result=False)
    flow_run = asyncio.ensure_future(run(body)(shown, journal.run_id))
    try:
        both: list[asyncio.Future[Any]] = [flow_run, ended]
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.wait([flow_run], timeout=END_SECONDS)
    finally:
        if not flow_run.done():
            flow_run.cancel()
            await asyncio.wait([flow_run], timeout=END_SECONDS)
    if not ended.done():
        await flow_run
    told = flow_run.done() and not flow_run.cancelled() and flow_run.exception() is None
    if not told:  # the run is done and kept: this is no failure of it
        unsaid = Trouble("that the flow run has ended is not on the Prefect server")
        tell(options.get("observers", ()), unsaid)
    return ended.result(), told

"""Driving a run as a Prefect flow from the command line."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from anyio import to_thread

from qcsc_loop.algorithm import AnyAlgorithm
from qcsc_loop.cli.driving import Driving
from qcsc_loop.cli.quiet_prefect import quiet_prefect
from qcsc_loop.cli.run_request import RunRequest
from qcsc_loop.cli.signals import Signals
from qcsc_loop.cli.way import choose_way
from qcsc_loop.errors import DamagedDocument, LeaseLost, QcscLoopError, RunCancelled, RunLocked
from qcsc_loop.events import Trouble, tell
from qcsc_loop.loop.opening import refuse_other_results
from qcsc_loop.loop.options import RunOptions
from qcsc_loop.loop.outcome import Outcome
from qcsc_loop.parameters.compare import to_plain
from qcsc_loop.parameters.saved_blocks import resolve_blocks
from qcsc_loop.store.journal import Journal

if TYPE_CHECKING:
    from prefect.client.schemas import State

    from qcsc_loop.prefect.server import Api

END_SECONDS = 5  # for Prefect to say that a flow run has ended, to a server that may be gone

Say = Callable[[str], None]
Driven = Callable[[], Awaitable[Outcome[Any]]]


@contextmanager
def open_api(say: Say) -> Iterator[Api]:
    """The Prefect API for as long as the block lasts: a temporary one may still be starting.

    Raises:
        PrefectUnreachable, PrefectRefused: there is none for us.
    """
    quiet_prefect()
    from qcsc_loop.prefect.server import opened_api

    logging.raiseExceptions = False  # a log line that an absent server did not take is no news
    with opened_api(say) as api:
        yield api


@contextmanager
def _answering(api: Api) -> Iterator[None]:
    """What Prefect's client says of a server that does not do its part is said in a sentence."""
    import httpx

    from qcsc_loop.errors import PrefectUnreachable

    try:
        yield
    except httpx.HTTPStatusError as error:
        said = f"{error.response.status_code} {error.response.reason_phrase}"
        why = f"it went on answering {said} to {error.request.method} {error.request.url.path}"
        raise PrefectUnreachable(api.url, why) from error
    except httpx.HTTPError as error:
        raise PrefectUnreachable(api.url, str(error) or type(error).__name__) from error


async def drive_in_flow(
    request: RunRequest,
    driving: Driving,
    journal: Journal,
    options: RunOptions,
    signals: Signals,
    api: Api,
    say: Say,
) -> tuple[Outcome[Any], bool]:
    """Drives the run in a flow, on the API that is open; a new run need not wait for it.

    Returns:
        The outcome, and whether the server was told that the flow run has ended.
    """
    flow = _Flow(journal, signals, api, say)
    if _may_begin_before(request, journal, api):
        return await _drive_ahead(request, driving, flow, options)
    await _wait_for(api)
    with _answering(api):
        await _restore(request, driving, journal, options)
    from qcsc_loop.prefect.flow import run_in_flow

    way = choose_way(driving, journal)
    options["facts"] = way.facts()
    chosen = await _ready(request, journal, options)
    driven = partial(run_in_flow, chosen, tasks=way.tasks, **options)
    run = asyncio.ensure_future(flow.run(chosen, driven))
    try:
        await flow.until_ended(run)
    finally:
        await flow.end(run)
    return await flow.result(run, options)


def _may_begin_before(request: RunRequest, journal: Journal, api: Api) -> bool:
    """Whether nothing of the run's beginning is the server's to say: see decision 21."""
    if api.kind != "temporary" or not request.is_new or request.variables:
        return False
    from qcsc_loop.prefect.ahead import needs_its_flow

    return not needs_its_flow(request.algorithm(journal))


async def _ready(request: RunRequest, journal: Journal, options: RunOptions) -> AnyAlgorithm:
    """The algorithm, once what the server alone knows of it is known: no flow run is made for less.

    Raises:
        InputError: the run cannot be as asked for.
    """
    from qcsc_loop.prefect.variables import with_variables

    chosen, exists = request.algorithm(journal), await to_thread.run_sync(journal.exists)
    if request.variables and not exists:
        chosen, read = await with_variables(chosen, request.variables)
        options["facts"] = {**options.get("facts", {}), "variables": read}
    ready = await resolve_blocks(chosen)
    if exists:
        with suppress(DamagedDocument):  # the loop's to report
            refuse_other_results(ready, journal.record(), options)
    return chosen


async def _drive_ahead(
    request: RunRequest, driving: Driving, flow: _Flow, options: RunOptions
) -> tuple[Outcome[Any], bool]:
    from qcsc_loop.prefect.ahead import RunAhead

    chosen, way = request.algorithm(flow.journal), choose_way(driving, flow.journal)
    options["facts"] = way.facts()
    ahead = RunAhead(chosen, flow.journal, tasks=way.tasks, **options)
    driven = ahead.begin()
    run = asyncio.ensure_future(_join_later(chosen, ahead.join, flow, options))
    try:
        await asyncio.wait([driven])
        if ahead.is_begun:  # or it was refused: there is nothing to be shown of it
            await flow.until_ended(run)
    finally:
        driven.cancel()
        await asyncio.wait([driven])
        # its flow run hears of that by itself, and has last words
        await flow.end(run, patience=END_SECONDS if flow.is_begun else 0)
        await ahead.close(joined=flow.is_begun)
    outcome = driven.result()
    return outcome, flow.is_told(run, options)


async def _join_later(chosen: AnyAlgorithm, join: Driven, flow: _Flow, options: RunOptions) -> None:
    try:
        await _wait_for(flow.api)
    except QcscLoopError as error:
        text = f"{error} The run goes on; `qcsc-loop resume` sends the server what is missing"
        tell(options.get("observers", ()), Trouble(text))
        return
    await flow.run(chosen, join)


async def _wait_for(api: Api) -> None:
    await to_thread.run_sync(api.wait, abandon_on_cancel=True)


async def _restore(
    request: RunRequest, driving: Driving, journal: Journal, options: RunOptions
) -> None:
    """Which algorithm a run is, and how it was driven, may be known to the API alone."""
    from prefect.client.orchestration import get_client

    from qcsc_loop.prefect.artifacts import RunArtifacts
    from qcsc_loop.prefect.restore import Wanted, restore

    observers = options.get("observers", ())
    async with get_client() as client:
        await restore(
            RunArtifacts(client, journal.run_id),
            journal,
            Wanted(algorithm=request.named, uid=request.uid, take_over=driving.take_over),
            lambda text: tell(observers, Trouble(text)),
        )


class _Flow:
    """The one flow run of this command."""

    def __init__(self, journal: Journal, signals: Signals, api: Api, say: Say) -> None:
        self.journal, self.api = journal, api
        self._signals, self._say = signals, say
        self._ended: asyncio.Future[Outcome[Any]] = asyncio.get_running_loop().create_future()
        self.is_begun = False

    # hands on what is awaited, and does not wait itself: fewer frames in a hook's traceback
    def run(self, chosen: AnyAlgorithm, driven: Driven) -> Coroutine[Any, Any, object]:
        """A flow run with what the run does in it."""
        from prefect import flow

        from qcsc_loop.prefect.ends import completed, kept_away
        from qcsc_loop.prefect.server_limits import shown_parameters

        async def body(algorithm: dict[str, Any], run_id: str) -> State[Any]:
            self.is_begun = True
            self._signals.hold()  # Prefect has just installed a handler of its own
            await self._say_where()
            try:
                outcome = await driven()
            except (RunLocked, LeaseLost, RunCancelled) as error:
                self._ended.set_exception(error)
                return kept_away(error)
            self._ended.set_result(outcome)
            return completed(outcome)

        shown = shown_parameters(to_plain(chosen))
        name = type(chosen).__name__.lower()
        run = flow(name=name, validate_parameters=False, persist_result=False)
        return run(body)(shown, self.journal.run_id)

    async def _say_where(self) -> None:
        """Which server it is, and where its pages show this flow run."""
        from qcsc_loop.prefect.flow import current_flow_run
        from qcsc_loop.prefect.server import pages_of

        if self.api.kind == "temporary":
            return  # it was said, and has no pages
        flow_run, _ = current_flow_run()
        pages = await to_thread.run_sync(pages_of, self.api.url)
        where = f": {pages}/runs/flow-run/{flow_run.id}" if pages else ", without pages"
        self._say(f"on {self.api.words}{where}")

    async def until_ended(self, run: asyncio.Future[Any]) -> None:
        """Until the run is published, or the flow run is over; the server may be slow to hear of it."""
        both: list[asyncio.Future[Any]] = [run, self._ended]
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.wait([run], timeout=END_SECONDS)

    async def end(self, run: asyncio.Future[Any], patience: float = 0) -> None:
        """Once nothing of it is waited for any more."""
        if patience:
            await asyncio.wait([run], timeout=patience)
        if not run.done():
            run.cancel()
            await asyncio.wait([run], timeout=END_SECONDS)
        for each in (run, self._ended):  # what nobody asks for is no complaint of asyncio's
            if each.done() and not each.cancelled():
                each.exception()

    async def result(
        self, run: asyncio.Future[Any], options: RunOptions
    ) -> tuple[Outcome[Any], bool]:
        """The outcome, and whether the server was told."""
        if not self._ended.done():
            with _answering(self.api):
                await run
        told = self.is_told(run, options)
        return self._ended.result(), told

    def is_told(self, run: asyncio.Future[Any], options: RunOptions) -> bool:
        """Whether the server knows that the flow run has ended; if not, it is said."""
        told = self.is_begun and run.done() and not run.cancelled() and run.exception() is None
        if not told:  # the run is done and kept: this is no failure of it
            unsaid = Trouble("that the flow run has ended is not on the Prefect server")
            tell(options.get("observers", ()), unsaid)
        return told

"""The body of a deployed flow: `return await drive(algorithm, run)`.

A flow that is deployed stands in a module, under a name, with these two typed parameters, so that
the API checks them and shows them as a form:

    @flow(persist_result=False)
    async def bitcount(algorithm: BitCount = BitCount(), run: RunSettings = RunSettings()) -> ...:
        return await drive(algorithm, run)
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import anyio
import httpx
from anyio import to_thread
from prefect.client.orchestration import get_client
from prefect.client.schemas import State
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.exceptions import PrefectHTTPStatusError, TerminationSignal
from prefect.logging import get_run_logger
from prefect.states import Cancelled, Completed

from qcsc_loop.algorithm import AnyAlgorithm
from qcsc_loop.catalog import recorded_algorithm
from qcsc_loop.deployments.attempts import start
from qcsc_loop.deployments.lateness import WORTH_A_WORD, is_skipped, late_by, words
from qcsc_loop.deployments.pausing import Changes, answer, wait_for_a_person
from qcsc_loop.deployments.run_settings import RunSettings
from qcsc_loop.deployments.sigterm import ended_by_sigterm
from qcsc_loop.errors import InputError, LeaseLost, RunCancelled, RunLocked
from qcsc_loop.loop.options import RunOptions
from qcsc_loop.plain import Json
from qcsc_loop.prefect.artifacts import RunArtifacts
from qcsc_loop.prefect.driver_facts import DEPLOYMENT, DEPLOYMENT_NAME, FLOW_RUN, SETTINGS
from qcsc_loop.prefect.ends import completed, kept_away
from qcsc_loop.prefect.flow import current_flow_run, run_in_flow
from qcsc_loop.prefect.restore import Wanted, restore
from qcsc_loop.prefect.run_ids import run_id_of
from qcsc_loop.rules.reason import Reason
from qcsc_loop.store.journal import Journal

Driven = Json | State[Any]

ANSWER_SECONDS = 5.0  # for a server to say what a SIGTERM was meant to be


async def drive(algorithm: AnyAlgorithm, run: RunSettings) -> Driven:
    """Drives a run as its settings say; in a chain, starts the next flow run.

    Returns:
        A completed state whose name says what came of the run, with the outcome as plain JSON, which
        is what a caller of the flow gets; one that says so where another driver has the run, or
        where a schedule's run comes too late.

    Raises:
        InputError: not in a flow, or not as asked for; nothing was started.
        Exception: all that `run_in_flow` raises.
    """
    flow_run, name = current_flow_run()
    run_id = run.run_id or await to_thread.run_sync(run_id_of, flow_run, name, run.place())
    run = run.model_copy(update={"run_id": run_id})
    if run.drive == "chain" and flow_run.deployment_id is None:
        raise InputError(
            "drive: a chain starts flow runs of a deployment, and this flow run has none; deploy "
            'the flow (qcsc-loop deploy), or take drive = "loop"'
        )
    journal = Journal(run.place(), str(run.run_id))
    if (unwanted := await _is_unwanted(flow_run, run, journal)) is not None:
        return unwanted
    try:
        async with get_client() as client:
            await restore(
                RunArtifacts(client, journal.run_id, flow_run.id),
                journal,
                Wanted(algorithm=type(algorithm)),  # the deployment's flow names it
                get_run_logger().warning,
            )
        changes = await answer(journal)
        chosen, options = await to_thread.run_sync(_to_drive, algorithm, run, journal, changes)
        options["facts"] = {
            FLOW_RUN: str(flow_run.id),
            DEPLOYMENT: str(flow_run.deployment_id or ""),
            DEPLOYMENT_NAME: await _deployment_name(flow_run),
            SETTINGS: run.model_dump(mode="json"),
        }
        async with ended_by_sigterm() as sigterm:
            # a worker that ends is no reason to lose a job; of a cancelled run a supervisor ends them
            options["leave_jobs"] = sigterm.is_set
            options["ended_by"] = lambda: "SIGTERM" if sigterm.is_set() else ""
            outcome = await run_in_flow(chosen, tasks=run.tasks, **options)
    except (RunLocked, LeaseLost, RunCancelled) as error:  # two flow runs for the same iterations
        return kept_away(error)
    except TerminationSignal:
        if await _is_being_cancelled(flow_run):
            # a supervisor would take a crash for one
            return Cancelled(message="it was cancelled; finished steps are kept")
        raise
    except Exception:
        if run.pause:
            await wait_for_a_person(journal)
        raise
    if outcome.reason is Reason.HANDED_OVER:
        await _hand_over(flow_run, run, journal, outcome.iteration)
    elif outcome.reason is Reason.BUDGET and run.pause:
        await wait_for_a_person(journal)
    return completed(outcome, outcome.summary())


async def _is_unwanted(flow_run: FlowRun, run: RunSettings, journal: Journal) -> State[Any] | None:
    """The end of a flow run that nobody wants any more; None if its run is to be driven."""
    if run.after is not None and (by := await to_thread.run_sync(_cancelled_by, journal)):
        return kept_away(RunCancelled(journal.run_id, by))
    return await _too_late(flow_run, run, journal)


async def _too_late(flow_run: FlowRun, run: RunSettings, journal: Journal) -> State[Any] | None:
    """The end of a run that its schedule missed by too much; None if it is to be done."""
    late = late_by(flow_run)
    if late < WORTH_A_WORD and not is_skipped(late, run.skip_if_late):
        return None
    if await to_thread.run_sync(journal.exists):  # it is resumed, whenever that is
        return None
    skipped = is_skipped(late, run.skip_if_late)
    said = words(flow_run, late, skipped=skipped)
    if skipped:
        return Completed(name="Skipped", message=said)
    get_run_logger().warning(said)
    return None


def _cancelled_by(journal: Journal) -> str:
    """Who does not want the run to go on since this flow run was scheduled; empty: nobody."""
    newest = journal.newest_epoch()
    end = journal.end(newest) if newest else None
    if end is None or end.reason is not Reason.CANCELLED:
        return ""
    return end.because.removeprefix("by ")


def _to_drive(
    algorithm: AnyAlgorithm, run: RunSettings, journal: Journal, changes: Changes | None
) -> tuple[AnyAlgorithm, RunOptions]:
    """The algorithm and how to drive it: as given; or as the run has it, with a person's changes."""
    options = run.options()
    begun = journal.exists()
    if run.after is not None or (changes is not None and begun):
        algorithm = recorded_algorithm(journal, changed=changes.algorithm if changes else None)
        options = RunOptions(store=journal.store)
        if changes is not None and (rule := changes.stop_rule()) is not None:
            options["stop"] = rule
    options["run_id"] = journal.run_id
    if run.drive == "chain":
        after = run.after if run.after is not None else 0
        options["hand_over_at"] = max(after, 0) + run.iterations
    return algorithm, options


async def _is_being_cancelled(flow_run: FlowRun) -> bool:
    with suppress(httpx.HTTPError, PrefectHTTPStatusError), anyio.move_on_after(ANSWER_SECONDS):
        async with get_client() as client:
            return (await client.read_flow_run(flow_run.id)).state_type is StateType.CANCELLING
    return False


async def _deployment_name(flow_run: FlowRun) -> str:
    """`flow/deployment`, as events say it; empty if there is none."""
    if flow_run.deployment_id is None:
        return ""
    async with get_client() as client:
        deployment = await client.read_deployment(flow_run.deployment_id)
        flow = await client.read_flow(deployment.flow_id)
    return f"{flow.name}/{deployment.name}"


async def _hand_over(flow_run: FlowRun, run: RunSettings, journal: Journal, after: int) -> None:
    assert flow_run.deployment_id is not None  # a chain has one
    try:
        async with get_client() as client:
            await start(client, flow_run.deployment_id, journal, run, after)
    except (httpx.HTTPError, PrefectHTTPStatusError) as error:  # a supervisor does it
        get_run_logger().warning(
            "the flow run after iteration %d could not be started (%s: %s); qcsc-loop supervise "
            "does it",
            after,
            type(error).__name__,
            error,
        )

"""A run that cannot go on without a person: its flow run is suspended, and holds no process."""

from __future__ import annotations

from prefect.context import FlowRunContext
from prefect.flow_runs import asuspend_flow_run
from prefect.input import RunInput
from pydantic import ConfigDict, Field

from qcsc_loop.plain import Json
from qcsc_loop.reports.view import RunReader
from qcsc_loop.rules.limits import Limits, limits
from qcsc_loop.rules.reason import Reason, stop_sentence
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.journal import Journal


def _unlike_a_new_run(schema: Json) -> None:
    """Takes away what the limits of a new run are if they are empty: here they stay."""
    for name, _ in limits():
        schema["properties"][name].pop("description")


class Changes(Limits, RunInput):
    """What may be changed before a run goes on; empty: as it was."""

    model_config = ConfigDict(json_schema_extra=_unlike_a_new_run)

    algorithm: Json = Field(
        default={}, description="parameters that change no result, such as machine"
    )


async def wait_for_a_person(journal: Journal) -> None:
    """Suspends the flow run if its run has stopped; the flow is not returned to.

    Resumed, in the UI or by `prefect flow-run resume`, the flow run begins anew, and `answer` has
    what the person said. `qcsc-loop resume` goes on with the run too, and leaves the flow run.
    """
    if (context := FlowRunContext.get()) is None or context.flow_run is None:
        return
    if context.flow_run.deployment_id is None:
        return  # nothing could start it again
    epoch = journal.newest_epoch()
    end = journal.end(epoch) if epoch else None
    if end is None or end.reason not in (Reason.FAILED, Reason.BUDGET):
        return
    what = stop_sentence(end.reason, end.iteration, end.error or end.because)
    text = (
        f"Run **{journal.run_id}**: {what}\n\nResume this flow run to go on, with changes if "
        f"need be; or on a command line: `{_command(journal)}`"
    )
    await asuspend_flow_run(
        wait_for_input=Changes.with_initial_data(description=text), key=_key(epoch)
    )


def _command(journal: Journal) -> str:
    """What a person would type instead."""
    store = journal.store
    known = RunReader(store, journal.run_id).glance() if isinstance(store, DirectoryStore) else None
    return known.next_command if known is not None else f"qcsc-loop resume {journal.run_id}"


async def answer(journal: Journal) -> Changes | None:
    """What a person said when this flow run was resumed; None if it was never suspended."""
    context = FlowRunContext.get()
    assert context is not None and context.flow_run is not None
    asked = context.flow_run.empirical_policy.pause_keys or set()
    keys = [key for key in map(_key, range(journal.newest_epoch(), 0, -1)) if key in asked]
    if not keys:
        return None
    return await asuspend_flow_run(wait_for_input=Changes, key=keys[0])


def _key(epoch: int) -> str:
    return f"epoch-{epoch}"

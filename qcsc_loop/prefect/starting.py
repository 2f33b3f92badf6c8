"""Flow runs that go on with a run: each attempt at an iteration is created once, by whomever."""

from __future__ import annotations

from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterIdempotencyKey
from prefect.client.schemas.objects import FlowRun

from qcsc_loop.driving import RunSettings
from qcsc_loop.store.journal import Journal

# names in the provenance of a driver
FLOW_RUN, SETTINGS = "flow_run", "run_settings"
DEPLOYMENT, DEPLOYMENT_NAME = "deployment", "deployment_name"


async def start(
    client: PrefectClient,
    deployment: UUID,
    journal: Journal,
    run: RunSettings,
    after: int,
    attempt: int = 0,
) -> FlowRun:
    """The flow run of an attempt to go on after an iteration: made, or found if there is one."""
    going_on = RunSettings(
        run_id=journal.run_id,
        after=after,
        store=run.store,
        tasks=run.tasks,
        drive=run.drive,
        iterations=run.iterations,
        resume=run.resume,
        pause=run.pause,
    )
    return await client.create_flow_run_from_deployment(
        deployment,
        parameters={"run": going_on.model_dump(mode="json")},
        name=f"{journal.run_id} after {after}" + (f", attempt {attempt + 1}" if attempt else ""),
        idempotency_key=_key(journal, after, attempt),
    )


async def attempts(
    client: PrefectClient, deployment: UUID, journal: Journal, after: int, most: int
) -> list[FlowRun]:
    """The flow runs that `start` made for an iteration, the first attempt first."""
    keys = [_key(journal, after, attempt) for attempt in range(most + 1)]
    found = await client.read_flow_runs(
        flow_run_filter=FlowRunFilter(
            idempotency_key=FlowRunFilterIdempotencyKey(any_=keys)  # pyright: ignore
        ),
    )
    return sorted(
        (each for each in found if each.deployment_id == deployment),
        key=lambda each: keys.index(str(each.idempotency_key)),
    )


def _key(journal: Journal, after: int, attempt: int) -> str:
    created = journal.record().created.isoformat()  # ids of runs come again, in other stores
    return f"qcsc-loop/{journal.run_id}/{created}/{after}/{attempt}"

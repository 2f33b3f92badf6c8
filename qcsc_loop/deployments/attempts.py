"""Flow runs that go on with a run: each attempt at an iteration is created once, by whomever."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun

from qcsc_loop.deployments.run_settings import RunSettings
from qcsc_loop.store.journal import Journal

_PAGE = 200  # rows, the most that the API gives at a time


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
    found = await flow_runs(
        client,
        flow_runs={"idempotency_key": {"any_": keys}},
        deployments={"id": {"any_": [str(deployment)]}},
    )
    return sorted(found, key=lambda each: keys.index(str(each.idempotency_key)))


async def flow_runs(client: PrefectClient, **filters: Any) -> list[FlowRun]:
    """The flow runs that filters of the API let through.

    By hand: the client sends a null for every filter that is not given, and a server with FastAPI
    0.151 or newer refuses them.
    """
    found: list[FlowRun] = []
    while True:
        page = {"limit": _PAGE, "offset": len(found), "sort": "ID_DESC"}
        answer = await client.request("POST", "/flow_runs/filter", json={**filters, **page})
        answer.raise_for_status()
        rows = [FlowRun.model_validate(row) for row in answer.json()]
        found += rows
        if len(rows) < _PAGE:
            return found


def _key(journal: Journal, after: int, attempt: int) -> str:
    return f"qcsc-loop/{journal.run_id}/{journal.record().uid}/{after}/{attempt}"

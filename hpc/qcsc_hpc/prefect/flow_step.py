"""Jobs outside any loop: they belong to the flow run, whose retry finds them again."""

from __future__ import annotations

import json
import secrets
from collections import Counter
from functools import partial
from pathlib import Path

import anyio
from anyio import to_thread
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactCreate
from prefect.client.schemas.objects import FlowRun
from prefect.context import FlowRunContext

from qcsc_loop.jobs.entries import JobRecord
from qcsc_loop.jobs.ledger import Ledger
from qcsc_loop.reports.job import metrics_rows
from qcsc_loop.steps.step import Step, current_step
from qcsc_loop.store.directory import DirectoryStore

KEPT = ".qcsc-loop"  # in the work folder: the ledger, and a folder for each job
ARTIFACT_SECONDS = 10.0


def flow_run() -> FlowRun | None:
    """The flow run that this is called in, if it is."""
    context = FlowRunContext.get()
    return context.flow_run if context is not None else None


async def own_step(folder: Path, *, label: str = "", apart: bool = False) -> Step:
    """A step for jobs outside any loop; its ledger lies in the work folder.

    Args:
        apart: the folder is for many flow runs at the same time, and each has a ledger of its own.
    """
    current = flow_run()
    uid = str(current.id) if current is not None else secrets.token_hex(16)
    store = DirectoryStore(folder / KEPT / uid if apart else folder / KEPT)
    place = store.root / label if apart else store.root / uid[:8]
    await to_thread.run_sync(partial(place.mkdir, parents=True, exist_ok=True))
    ledger = Ledger(run_id="jobs", run_uid=uid, store=store)
    await to_thread.run_sync(ledger.load)
    return Step(run_id="jobs", name="job", label=label, make_folder=lambda: place, ledger=ledger)


_calls: Counter[tuple[str, int, str]] = Counter()


def repeated(name: str) -> str:
    """Which call of the same job this is, in this attempt of the flow run."""
    current = flow_run()
    if current is None:
        return ""
    call = (str(current.id), current.run_count, name)
    _calls[call] += 1
    return f"-{_calls[call]}" if _calls[call] > 1 else ""


async def publish(key: str, record: JobRecord) -> None:
    """The job's metrics as a table; that it cannot be shown is no fault of the job."""
    try:
        with anyio.fail_after(ARTIFACT_SECONDS):
            async with get_client() as client:
                current = flow_run()
                await client.create_artifact(
                    ArtifactCreate(
                        key=key,
                        type="table",
                        description=f"Job {record.job_id}: {record.key.name}",
                        data=json.dumps(metrics_rows(record)),
                        flow_run_id=current.id if current is not None else None,
                    )
                )
    except Exception as error:  # reporting never fails a job
        current_step().logger.warning("the job's metrics are not on the server: %r", error)

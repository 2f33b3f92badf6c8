"""The id of a run that nobody named."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import anyio
import pytest
from prefect.client.schemas.objects import FlowRun

from loop.toys import Counting
from qcsc_loop.prefect.driver_facts import FLOW_RUN
from qcsc_loop.prefect.run_ids import endings, run_id_of
from qcsc_loop.rules.stop import MaxIterations
from qcsc_loop.store.directory import DirectoryStore

MADE = datetime(2026, 11, 30, 23, 59, 58, tzinfo=UTC)


def flow_run(number: UUID | None = None, **facts: object) -> FlowRun:
    """One that was made at MADE."""
    fields = {"id": number or uuid4(), "flow_id": uuid4(), "name": "x", "created": MADE, **facts}
    return FlowRun.model_validate(fields)


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path / "store")


def begin(store: DirectoryStore, run_id: str, flow_run: UUID) -> None:
    """A run that this flow run began."""
    options = {"store": store, "run_id": run_id, "stop": MaxIterations(1)}
    facts = {FLOW_RUN: str(flow_run)}
    anyio.run(lambda: Counting().run(**options, facts=facts))  # type: ignore[arg-type]


def test_it_says_when_the_flow_run_was_made(store: DirectoryStore) -> None:
    assert re.fullmatch(r"sqd-1130-2359-[0-9a-z]{4}", run_id_of(flow_run(), "sqd", store))


def test_of_a_schedule_it_says_when_the_flow_run_was_due(store: DirectoryStore) -> None:
    due = MADE + timedelta(days=2)
    scheduled = flow_run(expected_start_time=due, auto_scheduled=True)
    assert run_id_of(scheduled, "sqd", store).startswith("sqd-1202-2359-")
    # of one that nobody scheduled the server notes later when it has started
    started = flow_run(expected_start_time=due)
    assert run_id_of(started, "sqd", store).startswith("sqd-1130-2359-")


def test_flow_runs_of_one_instant_differ() -> None:
    # Prefect's ids begin with the time
    first = 0x019AD6F0_0000_7000_8000_000000000000
    names = {endings(flow_run(UUID(int=first + k)))[0] for k in range(40)}
    assert len(names) == 40


def test_whoever_drives_the_flow_run_again_finds_its_run(store: DirectoryStore) -> None:
    one = flow_run()
    run_id = run_id_of(one, "toy", store)
    begin(store, run_id, one.id)
    assert run_id_of(one, "toy", store) == run_id


def test_a_run_of_another_flow_run_is_left_alone(store: DirectoryStore) -> None:
    one = flow_run()
    run_id = run_id_of(one, "toy", store)
    begin(store, run_id, uuid4())
    assert run_id_of(one, "toy", store) == f"{run_id}-{one.id.hex[-8:]}"


def test_a_run_that_an_earlier_version_named_is_gone_on_with(store: DirectoryStore) -> None:
    one = flow_run()
    begin(store, f"toy-{one.id.hex[:12]}", one.id)
    assert run_id_of(one, "toy", store) == f"toy-{one.id.hex[:12]}"

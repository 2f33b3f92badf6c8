"""Runs that a schedule starts late."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from prefect.client.schemas.objects import FlowRun

from qcsc_loop.deployments.description import read_description
from qcsc_loop.deployments.lateness import is_skipped, late_by, words

DUE = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def flow_run(**facts: Any) -> FlowRun:
    given = {"flow_id": uuid4(), "expected_start_time": DUE, "auto_scheduled": True, "run_count": 1}
    return FlowRun.model_validate(given | facts)


def test_it_is_as_late_as_its_schedule_is_past() -> None:
    assert late_by(flow_run(), DUE + HOUR) == HOUR
    assert late_by(flow_run(), DUE - HOUR) == timedelta()


@pytest.mark.parametrize(
    "facts", [{"auto_scheduled": False}, {"run_count": 2}, {"expected_start_time": None}]
)
def test_what_no_schedule_starts_now_is_never_late(facts: dict[str, Any]) -> None:
    assert late_by(flow_run(**facts), DUE + HOUR) == timedelta()


def test_missed_runs_are_caught_up_unless_a_bound_is_set() -> None:
    assert not is_skipped(HOUR, None)
    assert not is_skipped(HOUR, 3600)
    assert is_skipped(HOUR, 3599)


def test_a_person_is_told_either_way() -> None:
    caught_up = words(flow_run(), HOUR, skipped=False)
    assert caught_up.startswith("this run was due at 2026-03-01 12:00:00 UTC, 3600 s ago")
    assert "is caught up; [run] skip_if_late = SECONDS" in caught_up
    assert "is skipped ([run] skip_if_late): nothing was done" in words(
        flow_run(), HOUR, skipped=True
    )


def test_it_is_a_setting_of_the_file_and_of_a_schedule() -> None:
    content = {
        "name": "n",
        "flow": "bitcount",
        "run": {"skip_if_late": 600},
        "schedules": [{"interval": 60, "run": {"skip_if_late": 30}}],
    }
    read = read_description(content, "file.toml")
    assert read.run.skip_if_late == 600
    assert read.schedules[0].run == {"skip_if_late": 30}

"""What calls have cost in a warm job or in jobs of their own, and what they would have elsewhere."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from qcsc_loop.jobs.entries import Intent, JobRecord
from qcsc_loop.jobs.key import JobKey
from qcsc_loop.jobs.outcome import JobMetrics
from qcsc_loop.reports.placement_cost import CallCost, placement_cost

BEGUN = datetime(2026, 1, 1, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return BEGUN + timedelta(seconds=seconds)


def record(
    iteration: int, times: tuple[float, float, float], *, nodes: int | None = None, **more: Any
) -> JobRecord:
    """A job by when it was submitted, began and ended."""
    submitted, began, ended = times
    step, site = more.get("step", "evaluate"), more.get("site", "batch")
    key = JobKey(run_id="r", run_uid="u", iteration=iteration, step=step, name=f"j{began}")
    intent = Intent(key=key, epoch=1, site={"type": site}, folder="", input_sha256="")
    metrics = JobMetrics(submitted=at(submitted), started=at(began), ended=at(ended), nodes=nodes)
    return JobRecord(intent, metrics=metrics)


def test_a_warm_run_is_told_by_queue_start_compute_and_idle_time() -> None:
    records = [
        record(0, (0, 10, 40), nodes=2, step="warm"),
        record(1, (0, 12, 15), site="warm"),
        record(2, (20, 20.5, 23.5), site="warm"),
    ]
    cost = placement_cost(records)
    assert cost is not None
    assert cost.iterations == [
        CallCost(1, queue_seconds=10, start_seconds=2, compute_seconds=3, idle_node_seconds=4),
        CallCost(2, queue_seconds=0.5, start_seconds=0, compute_seconds=3, idle_node_seconds=11),
    ]
    assert cost.node_seconds == pytest.approx(60)
    assert cost.wait_seconds == 12.5
    # each call with a start of its own, and a queue
    assert cost.elsewhere == (2 * (6 + 2 * 2), 2 * (10 + 2))
    assert cost.words() == (
        "2 calls in 1 warm jobs: 60.0 node seconds (15.0 idle), 12.5 s of waiting; a job per call, "
        "by the same times: about 20.0 and 24.0 s"
    )


def test_a_successor_has_a_start_of_its_own() -> None:
    records = [
        record(0, (0, 1, 10), nodes=1, step="warm"),
        record(0, (9, 11, 20), nodes=1, step="warm"),
        record(1, (0, 2, 3), site="warm"),
        record(2, (11, 13, 14), site="warm"),
    ]
    cost = placement_cost(records)
    assert cost is not None and cost.jobs == 2
    assert [call.start_seconds for call in cost.iterations] == [1, 2]


def test_a_run_in_jobs_of_their_own_is_told_beside_one_warm_job() -> None:
    records = [record(k, (10 * k, 10 * k + 4, 10 * k + 6), nodes=2) for k in (1, 2, 3)]
    cost = placement_cost(records)
    assert cost is not None
    assert cost.node_seconds == pytest.approx(12)
    assert cost.wait_seconds == 12
    assert cost.elsewhere == (2 * 22, 4)
    assert "3 calls in 3 jobs: 12.0 node seconds, 12.0 s of waiting; one warm job" in cost.words()


def test_several_calls_of_an_iteration_are_added_up() -> None:
    records = [record(1, (0, 1, 2), nodes=1), record(1, (0, 2, 4), nodes=1)]
    cost = placement_cost(records)
    assert cost is not None
    assert cost.iterations == [CallCost(1, 3, 0, 3, 0)]


def test_where_nothing_ran_in_a_queue_there_is_nothing_to_say() -> None:
    assert placement_cost([]) is None
    assert placement_cost([record(1, (0, 1, 2))]) is None

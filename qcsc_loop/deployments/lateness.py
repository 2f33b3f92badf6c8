"""Runs that a schedule starts late: after an outage there may be many, all at once."""

from __future__ import annotations

from datetime import datetime, timedelta

from prefect.client.schemas.objects import FlowRun

from qcsc_loop.store.records import now

WORTH_A_WORD = timedelta(minutes=2)  # a busy worker is often a minute behind


def late_by(flow_run: FlowRun, at: datetime | None = None) -> timedelta:
    """How much later than its schedule said a flow run begins; zero if no schedule made it."""
    if (
        not flow_run.auto_scheduled
        or flow_run.expected_start_time is None
        or flow_run.run_count > 1
    ):
        return timedelta()
    return max(timedelta(), (at or now()) - flow_run.expected_start_time)


def is_skipped(late: timedelta, skip_if_late: float | None) -> bool:
    """Whether it is too late for it."""
    return skip_if_late is not None and late.total_seconds() > skip_if_late


def words(flow_run: FlowRun, late: timedelta, *, skipped: bool) -> str:
    """What a person should know of it."""
    due = f"{flow_run.expected_start_time:%Y-%m-%d %H:%M:%S %Z}"
    fact = f"this run was due at {due}, {late.total_seconds():.0f} s ago"
    if skipped:
        return f"{fact}, and is skipped ([run] skip_if_late): nothing was done here"
    return f"{fact}, and is caught up; [run] skip_if_late = SECONDS skips what is later than that"

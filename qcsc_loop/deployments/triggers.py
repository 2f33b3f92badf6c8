"""Event triggers and schedules of a deployment, as Prefect has them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.schedules import (
    SCHEDULE_TYPES,
    CronSchedule,
    IntervalSchedule,
    RRuleSchedule,
)
from prefect.events import DeploymentEventTrigger
from prefect.events.schemas.automations import Posture

from qcsc_loop.deployments.description import ScheduleTable, TriggerTable
from qcsc_loop.parameters.build import merge
from qcsc_loop.plain import Json

Parameters = dict[str, Json]  # `algorithm` and `run`
_TEMPLATE = re.compile(r"\{\{(?P<what>[^{}]*)\}\}")


def schedule(table: ScheduleTable, base: Parameters) -> DeploymentScheduleCreate:
    """A schedule.

    Raises:
        ValueError: cron or rrule say nothing that can be understood.
    """
    rule: SCHEDULE_TYPES
    if table.cron is not None:
        rule = CronSchedule(cron=table.cron, timezone=table.timezone)
    elif table.rrule is not None:
        rule = RRuleSchedule(rrule=table.rrule, timezone=table.timezone)
    else:
        rule = IntervalSchedule(
            interval=table.every, anchor_date=table.first, timezone=table.timezone
        )
    return DeploymentScheduleCreate(
        schedule=rule,
        active=table.active,
        parameters=change_parameters(base, table.algorithm, table.run),
    )


def trigger(table: TriggerTable, name: str, base: Parameters) -> DeploymentEventTrigger:
    """A trigger; its parameters are whole, since those of a flow run replace a deployment's."""
    match = {} if table.about is None else {"prefect.resource.id": table.about}
    changed = change_parameters(base, table.algorithm, table.run)
    parameters: Json = {key: _templates(value) for key, value in changed.items()}
    if table.payload:
        under = _expression(merge(base["algorithm"], table.algorithm))
        parameters["algorithm"] = _json(f"dict({under}, **event.payload)")
    return DeploymentEventTrigger(
        name=name,
        description=describe(table),
        enabled=table.active,
        expect={table.event},
        match=match | table.labels,  # pyright: ignore[reportArgumentType]  # validated
        posture=Posture.Reactive,
        threshold=table.times,
        within=table.within,  # pyright: ignore[reportArgumentType]  # seconds
        parameters=parameters,
    )


def describe(table: TriggerTable) -> str:
    """What starts a run, in a sentence: 'Starts a run at each lab.calibrated of backend.x.'"""
    of = f" of {table.about}" if table.about is not None else ""
    labels = " and ".join(f"{name} = {value}" for name, value in table.labels.items())
    where = f" where {labels}" if labels else ""
    times = f"every {table.times}" if table.times > 1 else "each"
    within = f" within {table.within:g} s" if table.times > 1 else ""
    return f"Starts a run of qcsc-loop at {times} {table.event}{of}{where}{within}."


def change_parameters(
    base: Parameters, algorithm: Mapping[str, Any], run: Mapping[str, Any]
) -> Parameters:
    """The parameters that are not as the deployment has them."""
    changed: Parameters = {}
    if algorithm:
        changed["algorithm"] = merge(base["algorithm"], algorithm)
    if run:
        changed["run"] = merge(base["run"], run)
    return changed


def _templates(value: Any) -> Any:
    """Texts with `{{ }}` as Prefect's actions take them."""
    if isinstance(value, dict):
        inner: Json = value
        return {key: _templates(each) for key, each in inner.items()}
    if isinstance(value, list):
        each_of: list[Any] = value
        return [_templates(each) for each in each_of]
    if not isinstance(value, str) or not _TEMPLATE.search(value):
        return value
    if whole := _TEMPLATE.fullmatch(value.strip()):
        return _json(whole["what"].strip())  # as a number stays a number
    return {"__prefect_kind": "jinja", "template": value}


def _expression(value: Any) -> str:
    """Plain JSON as Jinja has it, which knows none, true and false."""
    if isinstance(value, dict):
        inner: Json = value
        pairs = (f"{json.dumps(name)}: {_expression(each)}" for name, each in inner.items())
        return f"{{{', '.join(pairs)}}}"
    if isinstance(value, list):
        each_of: list[Any] = value
        return f"[{', '.join(map(_expression, each_of))}]"
    return "none" if value is None else json.dumps(value)


def _json(expression: str) -> Json:
    template = f"{{{{ ({expression}) | tojson }}}}"
    return {
        "__prefect_kind": "json",
        "value": {"__prefect_kind": "jinja", "template": template},
    }

"""Deployments on the Prefect API as their files describe them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from typing import Any, Literal

from prefect import Flow
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.objects import (
    ConcurrencyLimitStrategy,
    ConcurrencyOptions,
)
from prefect.client.schemas.responses import DeploymentResponse
from prefect.deployments.runner import RunnerDeployment
from prefect.exceptions import ObjectNotFound
from prefect.types.entrypoint import EntrypointType
from prefect.utilities.callables import parameter_schema
from pydantic import BaseModel, ValidationError

from qcsc_loop.algorithm import AnyAlgorithm
from qcsc_loop.concurrency.loading import load_module
from qcsc_loop.deployments.description import Deployment, ScheduleTable, TriggerTable
from qcsc_loop.deployments.run_settings import RunSettings
from qcsc_loop.deployments.supervising import TAG
from qcsc_loop.deployments.triggers import Parameters, change_parameters, schedule, trigger
from qcsc_loop.errors import InvalidParameters
from qcsc_loop.parameters.build import build
from qcsc_loop.parameters.compare import to_plain
from qcsc_loop.plain import Json
from qcsc_loop.plugins import distribution, offered
from qcsc_loop.prefect.server_limits import parameter_problems

GROUP = "qcsc_loop.flows"
_FORM = "form"
_DEFAULT_QUEUE = "default"  # of every pool, for deployments that name none


@dataclass(frozen=True)
class Change:
    """One thing about a deployment that becomes another.

    Attributes:
        what: its name, dotted if nested.
        was, now: as JSON; empty: there is none.
    """

    what: str
    was: str = ""
    now: str = ""

    @property
    def words(self) -> str:
        """For people."""
        if self.what == _FORM:
            return "form: as the flow has it now"
        return f"{self.what}: {self.was or 'none'} -> {self.now or 'none'}"


@dataclass(frozen=True)
class Difference:
    """What becomes of one deployment."""

    deployment: str
    action: Literal["create", "update", "keep"]
    changes: tuple[Change, ...] = ()


def build_deployment(wanted: Deployment, file: str) -> RunnerDeployment:
    """The deployment as Prefect has it, with every parameter checked.

    Raises:
        InvalidParameters: a flow that cannot be deployed, or a parameter that it does not take.
    """
    entrypoint, flow = find_flow(wanted.flow, file)
    kind = _algorithm_type(flow, wanted.flow, file)
    base: Parameters = {
        "algorithm": to_plain(build(kind, wanted.algorithm)),
        "run": wanted.run.model_dump(mode="json"),
    }
    _check_parts(wanted, kind, file)
    _check_sizes(wanted, base, file)
    own = f"{flow.name}/{wanted.name}"
    try:
        schedules = [schedule(table, base) for table in wanted.schedules]
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
        raise InvalidParameters(file, [f"schedules: {problem}"], []) from error
    for table in wanted.triggers:
        if table.labels.get("qcsc-loop.deployment") == own:
            problem = f"triggers: {own} would be started by its own runs"
            raise InvalidParameters(file, [problem], [])
    deployment = RunnerDeployment(
        name=wanted.name,
        flow_name=flow.name,
        description=wanted.description or (flow.description or ""),
        tags=sorted({TAG, *wanted.tags}),
        parameters=dict(base),
        entrypoint=entrypoint,
        schedules=schedules,  # pyright: ignore[reportArgumentType]  # a list is invariant
        paused=wanted.paused,
        concurrency_limit=wanted.concurrency,
        concurrency_options=_options(wanted),
        work_pool_name=wanted.work_pool,
        work_queue_name=wanted.work_queue,
        job_variables=wanted.job_variables,
        triggers=[
            trigger(table, f"{own}: {table.event} ({number})", base)
            for number, table in enumerate(wanted.triggers, 1)
        ],
    )
    deployment._entrypoint_type = EntrypointType.MODULE_PATH
    deployment._parameter_openapi_schema = parameter_schema(flow)
    return deployment


def _options(wanted: Deployment) -> ConcurrencyOptions | None:
    if wanted.concurrency is None:
        return None
    strategies = {
        "wait": ConcurrencyLimitStrategy.ENQUEUE,
        "cancel": ConcurrencyLimitStrategy.CANCEL_NEW,
    }
    return ConcurrencyOptions(collision_strategy=strategies[wanted.collisions])


def find_flow(name: str, file: str) -> tuple[str, Flow[..., Any]]:
    """A flow, and as what a worker imports it.

    Raises:
        InvalidParameters: there is none.
    """
    known = offered(GROUP)
    place = known[name].value if name in known else name
    module_name, colon, attribute = place.partition(":")
    if not colon:
        raise InvalidParameters(file, [f"flow: there is no flow {name!r}"], _names(known))
    try:
        found = getattr(load_module(module_name), attribute, None)
    except (Exception, SystemExit) as error:  # whatever the user's module does when imported
        problem = f"flow: importing {module_name} raised {type(error).__name__}: {error}"
        if name in known:
            problem += f" (it is offered by distribution {distribution(known[name])})"
        raise InvalidParameters(file, [problem], _names(known)) from error
    if not isinstance(found, Flow):
        problem = f"flow: {attribute} in {module_name} is no Prefect flow"
        raise InvalidParameters(file, [problem], _names(known))
    flow: Flow[..., Any] = found
    return f"{module_name}.{attribute}", flow


def _names(known: dict[str, EntryPoint]) -> list[str]:
    return [*sorted(known), "package.module:function"]


def _algorithm_type(flow: Flow[..., Any], name: str, file: str) -> type[AnyAlgorithm]:
    hints = flow.fn.__annotations__
    resolved = _resolve(flow)
    if set(hints) - {"return"} != {"algorithm", "run"} or resolved.get("run") is not RunSettings:
        problem = f"flow: {name} must take (algorithm: YourAlgorithm, run: RunSettings)"
        raise InvalidParameters(file, [problem], [])
    kind: type[AnyAlgorithm] = resolved["algorithm"]
    return kind


def _resolve(flow: Flow[..., Any]) -> dict[str, Any]:
    from typing import get_type_hints

    return get_type_hints(flow.fn)


def _check_parts(wanted: Deployment, kind: type[AnyAlgorithm], file: str) -> None:
    """That what a schedule or a trigger changes is a parameter."""
    problems: list[str] = []
    tables = [("schedules", table) for table in wanted.schedules]
    tables += [("triggers", table) for table in wanted.triggers]  # type: ignore[misc]
    for where, table in tables:
        models: dict[str, type[BaseModel]] = {"algorithm": kind, "run": RunSettings}
        for part, model in models.items():
            problems += [
                f"{where}: there is no {part}.{name}"
                for name in getattr(table, part)
                if name not in model.model_fields
            ]
    if problems:
        raise InvalidParameters(file, problems, [f"algorithm.{n}" for n in kind.model_fields])


def _check_sizes(wanted: Deployment, base: Parameters, file: str) -> None:
    """That a server can keep every flow run's parameters."""
    tables: list[ScheduleTable | TriggerTable] = [*wanted.schedules, *wanted.triggers]
    each_of = [base, *(change_parameters(base, each.algorithm, each.run) for each in tables)]
    problems = [problem for each in each_of for problem in parameter_problems(each)]
    if problems:
        raise InvalidParameters(file, list(dict.fromkeys(problems)), [])


async def deploy(deployment: RunnerDeployment, file: str, *, dry_run: bool) -> Difference:
    """Makes a deployment on the API this one; with `dry_run` only says what would change.

    Raises:
        InvalidParameters: it has a work pool that is not there; nothing was changed.
    """
    async with get_client() as client:
        if deployment.work_pool_name is not None:
            await _require_pool(client, deployment.work_pool_name, file)
        difference = await _difference(client, deployment)
        if difference.action != "keep" and not dry_run:
            await _apply(client, deployment)
    return difference


async def _require_pool(client: PrefectClient, name: str, file: str) -> None:
    try:
        await client.read_work_pool(name)
    except ObjectNotFound:
        # the client's own call sends a null that the server refuses
        answer = await client.request("POST", "/work_pools/filter", json={})
        pools = [str(pool["name"]) for pool in answer.json()]
        problem = f"work_pool: there is no work pool {name!r}; prefect work-pool create makes one"
        raise InvalidParameters(file, [problem], pools) from None


async def _apply(client: PrefectClient, deployment: RunnerDeployment) -> None:
    deployment_id = await deployment.aapply()
    if not deployment.schedules:  # an update without any leaves those that are there
        for old in await client.read_deployment_schedules(deployment_id):
            await client.delete_deployment_schedule(deployment_id, old.id)


async def _difference(client: PrefectClient, deployment: RunnerDeployment) -> Difference:
    name = deployment.full_name
    try:
        there = await client.read_deployment_by_name(name)
    except ObjectNotFound:
        return Difference(name, "create")
    wanted, saved = _facts(deployment), _saved(there)
    automations = await client.read_resource_related_automations(f"prefect.deployment.{there.id}")
    saved["triggers"] = sorted(_trigger(each) for each in automations)
    for each in deployment.triggers:
        each.set_deployment_id(there.id)
    wanted["triggers"] = sorted(_trigger(each.as_automation()) for each in deployment.triggers)
    changes = tuple(_changes(saved, wanted))
    return Difference(name, "update" if changes else "keep", changes)


def _changes(was: Json, now: Json, place: str = "") -> Iterator[Change]:
    for name in dict.fromkeys([*now, *was]):
        before, after, what = was.get(name), now.get(name), f"{place}{name}"
        if before == after:
            continue
        if what == _FORM:
            yield Change(what)
        elif isinstance(before, dict) and isinstance(after, dict):
            yield from _changes(before, after, f"{what}.")
        elif isinstance(before, list) and isinstance(after, list):  # of texts
            yield from (Change(what, was=each) for each in before if each not in after)
            yield from (Change(what, now=each) for each in after if each not in before)
        else:
            yield Change(what, _text(before), _text(after))


def _text(value: Any) -> str:
    return "" if value is None else json.dumps(value)


def _facts(wanted: RunnerDeployment) -> Json:
    """What a file decides, as plain JSON."""
    return {
        "flow": wanted.entrypoint,
        "description": wanted.description or "",
        "tags": sorted(wanted.tags),
        "parameters": wanted.parameters,
        _FORM: wanted._parameter_openapi_schema.model_dump(mode="json", exclude_unset=True),
        "work_pool": wanted.work_pool_name,
        "work_queue": wanted.work_queue_name,
        "job_variables": wanted.job_variables,
        "concurrency": wanted.concurrency_limit,
        "collisions": _collisions(wanted.concurrency_options),
        "paused": bool(wanted.paused),
        "schedules": sorted(map(_schedule, wanted.schedules or [])),
    }


def _saved(there: DeploymentResponse) -> Json:
    limit = there.global_concurrency_limit
    return {
        "flow": there.entrypoint,
        "description": there.description or "",
        "tags": sorted(there.tags),
        "parameters": there.parameters,
        _FORM: there.parameter_openapi_schema,
        "work_pool": there.work_pool_name,
        "work_queue": None if there.work_queue_name == _DEFAULT_QUEUE else there.work_queue_name,
        "job_variables": there.job_variables,
        "concurrency": limit.limit if limit else None,
        "collisions": _collisions(there.concurrency_options),
        "paused": there.paused,
        "schedules": sorted(map(_schedule, there.schedules)),
    }


def _collisions(options: ConcurrencyOptions | None) -> str | None:
    return None if options is None else str(options.collision_strategy)


def _schedule(each: Any) -> str:
    kept = {"schedule", "active", "parameters"}
    return _plain(each, kept)


def _trigger(automation: Any) -> str:
    parts = _plain(automation.trigger), _plain(automation.actions[0])
    return f"{' '.join(parts)} {json.dumps(automation.description or '')}"


def _plain(model: BaseModel, fields: set[str] | None = None) -> str:
    found = model.model_dump(mode="json", include=fields)
    return json.dumps(_without_ids(found), sort_keys=True)


def _without_ids(value: Any) -> Any:
    """Without what the server adds."""
    if isinstance(value, dict):
        inner: Json = value
        return {k: _without_ids(v) for k, v in inner.items() if k != "id" and v is not None}
    if isinstance(value, list):
        each_of: list[Any] = value
        return [_without_ids(each) for each in each_of]
    return value

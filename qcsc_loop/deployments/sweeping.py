"""Members of a sweep as flow runs of a deployment: workers drive them, their runs' records say how."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import anyio
import httpx
from anyio import to_thread
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError

from qcsc_loop.deployments.attempts import flow_runs
from qcsc_loop.errors import InputError, QcscLoopError
from qcsc_loop.parameters.compare import to_plain
from qcsc_loop.plain import Json
from qcsc_loop.reports.view import limits_of, says_all
from qcsc_loop.rules.reason import Reason
from qcsc_loop.rules.stop import StopRule
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.journal import Journal
from qcsc_loop.sweeping.here import Came
from qcsc_loop.sweeping.plan import Member

T = TypeVar("T")

LOOK_EVERY = 2.0  # seconds
ATTEMPTS = 3  # at a member whose flow runs end without its run having ended
NO_LIMIT = 10**9  # iterations, of a rule that has none of its own
TAG = "qcsc-loop-sweep"
_LIMITS = {
    "iterations": ("max_iterations", 1.0),
    "shots": ("max_shots", 1.0),
    "qpu_seconds": ("max_qpu_seconds", 1.0),
    "node_hours": ("max_node_hours", 1.0),
    "seconds": ("max_hours", 1 / 3600),
}


@dataclass(frozen=True)
class Deployed:
    """Drives members by flow runs.

    Attributes:
        deployment: FLOW/NAME.
        store: as workers see it, too.
    """

    deployment: str
    sweep: str
    store: DirectoryStore

    async def drive(self, member: Member, rule: StopRule) -> Came:
        """Has workers drive a member to a stop rule. Cancelled, it leaves the flow run to them.

        Raises:
            InputError: there is no such deployment.
            QcscLoopError: the member failed, or flow runs ended again and again without it.
        """
        journal = Journal(self.store, member.run_id)
        for flow_run in await self._alive(member):  # of a sweep's process that is gone
            await self._until_over(flow_run)
        for _ in range(ATTEMPTS):
            before = await to_thread.run_sync(journal.newest_epoch)
            flow_run = await self._create(member, rule)
            await self._until_over(flow_run)
            if (came := await self._until_ended(journal, before)) is not None:
                return came
        raise QcscLoopError(
            f"{ATTEMPTS} flow runs of {self.deployment} ended, and {member.run_id} did not; the last "
            f"is {flow_run.name!r}. Look at it on the server, and type the sweep's command again"
        )

    async def _until_ended(self, journal: Journal, before: int) -> Came | None:
        """What came of a run once no chain goes on with it; None: its driver is gone.

        Raises:
            QcscLoopError: it failed.
        """
        while True:
            newest = await to_thread.run_sync(journal.newest_epoch)
            if newest <= before:
                return None
            end = await to_thread.run_sync(journal.end, newest)
            if end is None and await to_thread.run_sync(self._is_free, journal, newest):
                return None
            if end is not None and end.reason is Reason.FAILED:
                raise QcscLoopError(f"{end.error}: {end.because}" if end.because else end.error)
            if end is not None and end.reason is Reason.INTERRUPTED:
                return None
            if end is not None and end.reason is not Reason.HANDED_OVER:
                return Came(end.reason, end.iteration, end.because)
            await anyio.sleep(LOOK_EVERY)

    def _is_free(self, journal: Journal, epoch: int) -> bool:
        return journal.hold(journal.epoch(epoch)).is_free

    async def _create(self, member: Member, rule: StopRule) -> FlowRun:
        key = secrets.token_hex(16)  # so that an answer that was lost makes no second one

        async def create(client: PrefectClient) -> FlowRun:
            try:
                found = await client.read_deployment_by_name(self.deployment)
            except ObjectNotFound as error:
                raise InputError(
                    f"there is no deployment {self.deployment!r} on this server; make it with: "
                    "qcsc-loop deploy FILE.toml"
                ) from error
            base: Any = found.parameters.get("run") or {}
            run = {**base, **_limits(rule), **self._which(member)}
            return await client.create_flow_run_from_deployment(
                found.id,
                parameters={"algorithm": member.parameters, "run": run},
                name=member.run_id,
                tags=[TAG, self._tag(member)],
                idempotency_key=key,
            )

        return await _patiently(create)

    def _which(self, member: Member) -> Json:
        return {"run_id": member.run_id, "seed": member.seed, "store": str(self.store.root)}

    def _tag(self, member: Member) -> str:
        return f"{TAG}/{self.sweep}/{member.run_id}"

    async def _alive(self, member: Member) -> list[FlowRun]:
        async def read(client: PrefectClient) -> list[FlowRun]:
            return await flow_runs(client, flow_runs={"tags": {"all_": [self._tag(member)]}})

        return [each for each in await _patiently(read) if not _is_over(each)]

    async def _until_over(self, flow_run: FlowRun) -> None:
        async def read(client: PrefectClient) -> FlowRun:
            return await client.read_flow_run(flow_run.id)

        while True:
            if _is_over(await _patiently(read)):
                return
            await anyio.sleep(LOOK_EVERY)


def _is_over(flow_run: FlowRun) -> bool:
    return flow_run.state is not None and flow_run.state.is_final()


def _limits(rule: StopRule) -> Json:
    """A stop rule as a flow run's settings have it."""
    plain = to_plain(rule)
    bounds = limits_of(plain)
    found: Json = {name: None for name, _ in _LIMITS.values()}
    if not says_all(plain):
        return {**found, "max_iterations": bounds.get("iterations", NO_LIMIT), "stop": [plain]}
    for what, value in bounds.items():
        name, factor = _LIMITS[what]
        found[name] = int(value) if name == "max_iterations" else value * factor
    return {**found, "stop": []}


async def _patiently(ask: Callable[[PrefectClient], Awaitable[T]]) -> T:
    """Asks the server, again and again while it is away: flow runs go on without it."""
    while True:
        try:
            async with get_client() as client:
                return await ask(client)
        except PrefectHTTPStatusError as error:
            if error.response.status_code < 500:
                raise
        except (httpx.HTTPError, RuntimeError):  # Prefect's own word for a server that is away
            pass
        await anyio.sleep(LOOK_EVERY)

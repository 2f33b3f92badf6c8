"""Members of a sweep as flow runs of a deployment: workers drive them, their runs' records say how."""

from __future__ import annotations

import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import anyio
import httpx
from anyio import to_thread
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.states import Cancelled

from qcsc_loop.deployments.attempts import flow_runs
from qcsc_loop.errors import InputError, QcscLoopError
from qcsc_loop.parameters.compare import to_plain
from qcsc_loop.plain import Json
from qcsc_loop.rules.going_on import limits_of, says_all
from qcsc_loop.rules.reason import Reason
from qcsc_loop.rules.stop import StopRule
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.journal import Journal
from qcsc_loop.sweeping.here import Came
from qcsc_loop.sweeping.plan import Member

T = TypeVar("T")

LOOK_EVERY = 2.0  # seconds
START_SECONDS = 900.0  # from a worker's claim to the driver: fifty such processes share two cores
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
            await self._take_over(flow_run, journal)
        if (came := await to_thread.run_sync(done_before, journal, rule)) is not None:
            return came
        last = ""
        for _ in range(ATTEMPTS):
            before = await to_thread.run_sync(journal.newest_epoch)
            flow_run = await self._create(member, rule)
            last = flow_run.name
            await self._until_over(flow_run, journal, before)
            if (came := await self._until_ended(journal, before)) is not None:
                return came
        raise QcscLoopError(
            f"{ATTEMPTS} flow runs of {self.deployment} ended, and {member.run_id} did not; the last "
            f"is {last!r}. Look at it on the server, and type the sweep's command again"
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

    def _is_over(self, journal: Journal, before: int) -> bool:
        """Whether there was a driver after that one, and it drives no more, whatever a server says."""
        newest = journal.newest_epoch()
        return newest > before and (
            journal.end(newest) is not None or self._is_free(journal, newest)
        )

    async def _take_over(self, flow_run: FlowRun, journal: Journal) -> None:
        """Ends one that nobody has begun; waits for the end of one that goes on."""
        if flow_run.state is not None and not flow_run.state.is_running():
            await _cancel(flow_run)
            return
        newest = await to_thread.run_sync(journal.newest_epoch)
        goes_on = newest and not await to_thread.run_sync(self._is_over, journal, newest - 1)
        await self._until_over(flow_run, journal, newest - 1 if goes_on else newest)

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

        return [each for each in await _patiently(read) if not _is_final(each)]

    async def _until_over(self, flow_run: FlowRun, journal: Journal, before: int) -> None:
        """Until the flow run has ended, or its driver has, or nobody begins it who took it.

        A worker or a process that is killed tells no server: it stays pending, or running, for ever.
        """

        async def read(client: PrefectClient) -> FlowRun:
            return await client.read_flow_run(flow_run.id)

        begun = time.monotonic()
        while True:
            found = await _patiently(read)
            if _is_final(found) or await to_thread.run_sync(self._is_over, journal, before):
                return
            has_driver = await to_thread.run_sync(journal.newest_epoch) > before
            if has_driver or found.state is None or found.state.is_scheduled():
                begun = time.monotonic()  # it goes on, or waits for a worker
            elif time.monotonic() - begun > START_SECONDS:
                await _cancel(found)
                return
            await anyio.sleep(LOOK_EVERY)


async def _cancel(flow_run: FlowRun) -> None:
    async def cancel(client: PrefectClient) -> None:
        words = "its sweep has begun another one for this member"
        await client.set_flow_run_state(flow_run.id, Cancelled(message=words), force=True)

    await _patiently(cancel)


def _is_final(flow_run: FlowRun) -> bool:
    return flow_run.state is not None and flow_run.state.is_final()


def done_before(journal: Journal, rule: StopRule) -> Came | None:
    """What came of a run that these limits would end where it is; None: it goes on by them.

    A flow run for it would start a process that finds nothing to do.
    """
    newest, plain = journal.newest_epoch(), to_plain(rule)
    end = journal.end(newest) if newest else None
    if end is None or not end.reason.finished or not says_all(plain):
        return None
    was, now = limits_of(journal.settings().stop), limits_of(plain)
    is_at_end = end.reason is Reason.MAX_ITERATIONS and was.get("iterations") == now.get(
        "iterations"
    )
    if was != now and not is_at_end:  # what it was granted of a budget is no end of its own
        return None
    return Came(end.reason, end.iteration, end.because)


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

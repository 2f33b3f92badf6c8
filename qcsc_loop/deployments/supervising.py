"""Bringing runs back whose driver is gone: from leases and checkpoints, never from events.

A flow run that was killed stays Running on the server for ever, and events are lost; a run's lease
and its last commit tell the truth. Every attempt at an iteration has a flow run of its own, whose
idempotency key says which attempt it is, so that two supervisors start it once; and whatever is
started twice finds the lease taken.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

import httpx
from anyio import to_thread
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.states import Crashed, Scheduled

from qcsc_loop.deployments.attempts import attempts, flow_runs, start
from qcsc_loop.deployments.run_settings import RunSettings
from qcsc_loop.errors import QcscLoopError
from qcsc_loop.exactly_once.reap import reap
from qcsc_loop.jobs.ledger import job_records
from qcsc_loop.prefect.clocks import read_clocks
from qcsc_loop.prefect.driver_facts import DEPLOYMENT, FLOW_RUN, SETTINGS
from qcsc_loop.prefect.reporter import show_what_is_left
from qcsc_loop.prefect.run_ids import endings
from qcsc_loop.rules.reason import Reason
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.journal import Journal, journals, run_ids
from qcsc_loop.store.records import EndRecord, EpochRecord

TAG = "qcsc-loop"
_OVER = {StateType.COMPLETED, StateType.FAILED, StateType.CRASHED, StateType.CANCELLED}
_BEGUN = {StateType.PENDING, StateType.RUNNING}
_REFUSALS = {httpx.codes.NOT_FOUND, httpx.codes.CONFLICT, httpx.codes.UNPROCESSABLE_ENTITY}
_LOOK_BACK = timedelta(days=2)  # for flow runs that never began
_CANCELLED = {StateType.CANCELLED, StateType.CANCELLING}


class Did(StrEnum):
    """What a supervisor did about a run."""

    STARTED = "started"
    WAITING = "waiting"
    GAVE_UP = "gave up"
    ENDED = "ended"


@dataclass(frozen=True)
class Action:
    """What was done about a run, and why."""

    run_id: str
    did: Did
    why: str


@dataclass(frozen=True)
class _Gone:
    """A run that nobody drives, and that has not come to its end.

    Attributes:
        after: its last committed iteration; -1 before there is one.
        handed_over: whether a driver ended there on purpose, for the next flow run to go on.
        settings: without its stop rules, which are the next driver's to read.
    """

    journal: Journal
    epoch: EpochRecord
    end: EndRecord | None
    after: int
    handed_over: bool
    settings: RunSettings

    @property
    def deployment(self) -> UUID:
        return UUID(self.epoch.provenance[DEPLOYMENT])

    @property
    def driver(self) -> UUID:
        """The last driver's flow run."""
        return UUID(self.epoch.provenance[FLOW_RUN])

    @property
    def why(self) -> str:
        if self.end is not None and self.end.reason is Reason.HANDED_OVER:
            return f"nobody went on after iteration {self.after}"
        how = "was interrupted" if self.end else "is gone without a word"
        return f"its driver {self.epoch.epoch} {how} after iteration {self.after}"


async def supervise(client: PrefectClient, store: DirectoryStore) -> AsyncIterator[Action]:
    """Looks at every deployed run of a store once, and starts what has to go on.

    Raises:
        httpx.HTTPError, PrefectHTTPStatusError: the server does not answer; nothing is lost.
        StoreNotPrivate: others may have written which deployments its runs have.
    """
    await to_thread.run_sync(store.require_own, "")
    # states of flow runs are timed by that clock; this machine's may be hours off
    at = (await read_clocks(client)).api
    for gone in await to_thread.run_sync(_gone_runs, store):
        if (action := await _bring_back(client, gone, at)) is not None:
            yield action
    async for action in _begin_again(client, store, at):
        yield action


def _gone_runs(store: DirectoryStore) -> list[_Gone]:
    return [gone for journal in journals(store) if (gone := _look(journal)) is not None]


def _look(journal: Journal) -> _Gone | None:
    """The run, if it has to go on; None if it is driven, at its end, or nobody's to resume."""
    try:
        newest = journal.newest_epoch()
        if not newest:
            return None
        journal.store.require_own(journal.run_id)
        epoch, end = journal.epoch(newest), journal.end(newest)
        if not epoch.provenance.get(DEPLOYMENT):
            return None
        if end is None and not journal.hold(epoch).is_free:
            return None
        if end is not None and end.reason not in (Reason.HANDED_OVER, Reason.INTERRUPTED):
            return None
        last = journal.last_iteration()
        after = -1 if last is None else last
        settings = RunSettings.without_rules(epoch.provenance[SETTINGS])
        return _Gone(journal, epoch, end, after, _handed_over(journal, after), settings)
    except (QcscLoopError, ValueError):  # a damaged or newer record is for a person
        return None


def _handed_over(journal: Journal, after: int) -> bool:
    for number in range(journal.newest_epoch(), 0, -1):
        end = journal.end(number)
        if end is not None and end.iteration < after:
            return False
        if end is not None and end.reason is Reason.HANDED_OVER and end.iteration == after:
            return True
    return False


async def _bring_back(client: PrefectClient, gone: _Gone, at: datetime) -> Action | None:
    journal, run = gone.journal, gone.settings
    driver = await _read(client, gone.driver)
    if driver is not None and driver.state_type in _CANCELLED:  # a person wanted it so
        return await _end_jobs(journal)
    if gone.end is None:
        await _report_crash(client, driver, gone)
    most = run.resume.times + gone.handed_over  # the first one is no resume then
    made = await attempts(client, gone.deployment, journal, gone.after, most)
    if made and (made[-1].state_type in _CANCELLED or not _used_up(made[-1], gone, run, at)):
        return None
    if len(made) >= most:
        if most == 0:
            return None
        why = f"{len(made)} flow runs after iteration {gone.after} came to nothing"
        return _given_up(journal.run_id, why)
    attempt = len(made) + 1 - gone.handed_over
    if made and (left := _wait(made[-1], run, attempt, at)) > 0:
        return Action(journal.run_id, Did.WAITING, f"{gone.why}; next attempt in {left:.0f} s")
    try:
        await start(client, gone.deployment, journal, run, gone.after, len(made))
    except PrefectHTTPStatusError as error:
        if error.response.status_code not in _REFUSALS:
            raise
        why = f"its deployment is gone or takes it no more ({error.response.status_code})"
        return _given_up(journal.run_id, why)
    return Action(journal.run_id, Did.STARTED, gone.why)


def _given_up(run_id: str, why: str) -> Action:
    return Action(run_id, Did.GAVE_UP, f"{why}; to go on: qcsc-loop resume {run_id}")


async def _end_jobs(journal: Journal) -> Action | None:
    jobs = await to_thread.run_sync(job_records, journal.store, journal.run_id)
    if all(job.over for job in jobs):
        return None
    left = await reap(journal, lambda _job, _trouble: None)
    more = f", {len(left)} of them may still be alive" if left else ""
    return Action(journal.run_id, Did.ENDED, f"it was cancelled, and its jobs are ended{more}")


def _used_up(flow_run: FlowRun, gone: _Gone, run: RunSettings, at: datetime) -> bool:
    """Whether an attempt will not come to anything any more."""
    if flow_run.id == gone.driver or flow_run.state_type in _OVER:
        return True  # it was the driver that is gone; or it ended without becoming one
    if flow_run.state_type not in _BEGUN:
        return False  # it waits for a worker
    return _silent_for(flow_run, at) > run.resume.start_within


def _wait(flow_run: FlowRun, run: RunSettings, attempt: int, at: datetime) -> float:
    """Seconds until the next attempt, from when the one before was over on the server."""
    return run.resume.wait(attempt) - _silent_for(flow_run, at)


async def _begin_again(
    client: PrefectClient, store: DirectoryStore, at: datetime
) -> AsyncIterator[Action]:
    """Flow runs of deployments whose process was killed before it had made its run."""
    found = await flow_runs(
        client,
        flow_runs={
            "state": {"type": {"any_": [StateType.CRASHED, *_BEGUN]}},
            "expected_start_time": {"after_": (at - _LOOK_BACK).isoformat()},
        },
        deployments={"tags": {"all_": [TAG]}},
    )
    for flow_run in found:
        run = _settings_of(flow_run)
        if run is None or run.after is not None or run.resume.times == 0:
            continue
        if run.place().place != store.place or await _has_driven(flow_run, run, store):
            continue
        if flow_run.state_type is not StateType.CRASHED:
            if _silent_for(flow_run, at) <= run.resume.start_within:
                continue
        elif flow_run.run_count > run.resume.times:
            continue
        await client.set_flow_run_state(flow_run.id, Scheduled(message="begun again"), force=True)
        yield Action(flow_run.name, Did.STARTED, "its flow run was killed before it began")


def _settings_of(flow_run: FlowRun) -> RunSettings | None:
    try:
        return RunSettings.without_rules(flow_run.parameters.get("run") or {})
    except ValueError:
        return None


async def _has_driven(flow_run: FlowRun, run: RunSettings, store: DirectoryStore) -> bool:
    """Whether it made a run, or worked on one that was there."""

    def look() -> bool:
        if run.run_id is None:
            return any(run_id.endswith(endings(flow_run)) for run_id in run_ids(store))
        epochs = Journal(store, run.run_id).epochs()
        return any(epoch.provenance.get(FLOW_RUN) == str(flow_run.id) for epoch in epochs)

    return await to_thread.run_sync(look)


async def _report_crash(client: PrefectClient, flow_run: FlowRun | None, gone: _Gone) -> None:
    """Frees the place that a killed flow run has on the server, where it would run for ever."""
    if flow_run is not None and flow_run.state_type in _BEGUN:
        await show_what_is_left(client, gone.journal, flow_run.id, gone.epoch)
        await client.set_flow_run_state(flow_run.id, Crashed(message=gone.why), force=True)


async def _read(client: PrefectClient, flow_run: UUID) -> FlowRun | None:
    try:
        return await client.read_flow_run(flow_run)
    except ObjectNotFound:
        return None


def _silent_for(flow_run: FlowRun, at: datetime) -> float:
    """Seconds since its state has changed; 0 if that was after this look had begun."""
    state: Any = flow_run.state
    changed: datetime = state.timestamp if state is not None else flow_run.created or at
    return max(0.0, (at - changed).total_seconds())

"""What a run tells the Prefect server as it happens, so that automations can act on it.

    qcsc-loop.run.started           a new run begins                      RunEvent
    qcsc-loop.run.resumed           another driver goes on with it        RunEvent
    qcsc-loop.iteration.committed   an iteration is durable               IterationEvent
    qcsc-loop.run.converged         the run's own criterion is met        StopEvent
    qcsc-loop.run.stopped           another stop rule, or an interruption StopEvent
    qcsc-loop.run.handed-over       another flow run of its chain goes on StopEvent
    qcsc-loop.run.failed            it raised                             StopEvent
    qcsc-loop.job.submitted         a job is in a queue                   JobEvent
    qcsc-loop.job.reattached        a driver goes on with a job it found  JobEvent
    qcsc-loop.job.finished          a job ended, well or not              JobEvent

Every event is about the resource `qcsc-loop.run.RUN`, whose labels say what a trigger can match:
`qcsc-loop.algorithm`, `qcsc-loop.deployment` (`flow/name`), `qcsc-loop.state` of a job, and
`qcsc-loop.reason` of an end. It has an id that depends on nothing but
what happened: one that is sent twice starts nothing twice. Events are best effort. They are lost in
an outage; the truth is in the checkpoints. What was handed to the client stands in the run's
`events.jsonl`.
"""

from __future__ import annotations

import contextvars
import json
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from fnmatch import fnmatch
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

import httpx
from anyio import CancelScope, to_thread
from prefect.client.orchestration import PrefectClient, get_client
from prefect.events import Event as ClientEvent
from prefect.events import Resource, emit_event
from prefect.exceptions import PrefectHTTPStatusError
from pydantic import BaseModel, ConfigDict

from qcsc_loop.errors import InvalidParameters, PrefectRefused, PrefectUnreachable, StoreError
from qcsc_loop.events import Event
from qcsc_loop.jobs.events import JobChange, JobChanged
from qcsc_loop.loop.events import IterationCommitted, RunStarted, RunStopped
from qcsc_loop.plain import Json
from qcsc_loop.prefect.driver_facts import DEPLOYMENT_NAME
from qcsc_loop.prefect.server import REFUSING, lasting_api
from qcsc_loop.prefect.server_limits import event_problems, fitting_payload
from qcsc_loop.rules.reason import Reason
from qcsc_loop.store.journal import Journal
from qcsc_loop.store.records import Commit

PREFIX = "qcsc-loop"
LOG = "events.jsonl"
_ENDS = {
    Reason.CONVERGED: "run.converged",
    Reason.FAILED: "run.failed",
    Reason.HANDED_OVER: "run.handed-over",
}


class RunEvent(BaseModel):
    """Payload of an event about a run.

    Attributes:
        run_id: the run.
        algorithm: how its class is found, `module:Class`.
        epoch: which of its drivers speaks.
        iteration: the last committed one; of a job, its own.
    """

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="strings")

    run_id: str
    algorithm: str
    epoch: int
    iteration: int

    def labels(self) -> dict[str, str]:
        """What a trigger may match, beside the algorithm."""
        return {}


class IterationEvent(RunEvent):
    """Payload of `qcsc-loop.iteration.committed`.

    Attributes:
        scalars: of the state; NaN and infinities as text.
        state_sha256: of the committed state.
    """

    scalars: dict[str, float]
    state_sha256: str


class StopEvent(RunEvent):
    """Payload of the event that ends a driver's work.

    Attributes:
        reason: as in `qcsc_loop.Reason`.
        because: the same in words; the error, if it raised.
        scalars: of the last committed state.
    """

    reason: str
    because: str
    scalars: dict[str, float]

    def labels(self) -> dict[str, str]:
        return {f"{PREFIX}.reason": self.reason}


class JobEvent(RunEvent):
    """Payload of an event about a job.

    Attributes:
        job: its key.
        job_id: the id that its site gave it; empty before there is one.
        site: where it is.
        state: as in `JobState`.
        because: why it ended so.
    """

    job: str
    job_id: str
    site: str
    state: str
    because: str

    def labels(self) -> dict[str, str]:
        return {f"{PREFIX}.state": self.state}


def event_id(run_uid: str, *what: object) -> UUID:
    """The id of an event; the same for the same happening, whoever sends it."""
    return uuid5(NAMESPACE_URL, "/".join([PREFIX, run_uid, *map(str, what)]))


class Emitter:
    """An observer of a run that tells the server, from a thread of its own."""

    def __init__(self, journal: Journal, *, held: bool = False) -> None:
        self._journal = journal
        self._released, self._wanted = threading.Event(), True
        self._started: RunStarted | None = None
        self._last: Commit | None = None
        # the log is synced, and the first event starts a client
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="qcsc-loop-events")
        if held:
            self._thread.submit(self._released.wait)

    def observe(self, event: Event) -> None:
        """An observer of the run."""
        if isinstance(event, RunStarted):
            self._started = event
            new = event.resumed_from is None
            self._send("run.started" if new else "run.resumed", RunEvent)
        elif isinstance(event, IterationCommitted):
            self._last = event.commit
            self._send(
                "iteration.committed",
                IterationEvent,
                scalars=event.commit.scalars,
                state_sha256=event.commit.state_sha256,
            )
        elif isinstance(event, JobChanged):
            self._job(event)
        elif isinstance(event, RunStopped):
            self._stopped(event)

    def release(self, *, wanted: bool = True) -> None:
        """Sends what was held back until there is a server; or nothing, where none came."""
        self._wanted = wanted
        self._released.set()

    def close(self) -> None:
        """Waits until everything is handed over and in the log."""
        self._thread.shutdown()

    def _job(self, event: JobChanged) -> None:
        if not event.remote or event.change is JobChange.MOVED:
            return
        key = event.record.key
        self._send(
            f"job.{event.change}",
            JobEvent,
            about=key,
            iteration=key.iteration,
            job=str(key),
            job_id=event.record.job_id or "",
            site=event.site,
            state=event.state.value,
            because=event.reason,
        )

    def _stopped(self, event: RunStopped) -> None:
        reason = event.end.reason
        self._send(
            _ENDS.get(reason, "run.stopped"),
            StopEvent,
            reason=reason.value,
            because=event.end.error or event.end.because,
            scalars=self._last.scalars if self._last else {},
        )

    def _send(self, name: str, kind: type[RunEvent], about: object = "", **facts: Any) -> None:
        started, last = self._started, self._last
        if started is None:  # it never came to be driven
            return
        record, epoch = started.record, started.epoch.epoch
        done = last.iteration if last else started.resumed_from or 0
        payload = kind.model_validate(
            {
                "run_id": record.run_id,
                "algorithm": record.settings.algorithm,
                "epoch": epoch,
                "iteration": done,
                **facts,
            }
        )
        sent = event_id(record.uid, name, payload.iteration, epoch, about)
        context = contextvars.copy_context()  # in which the server's address is set
        self._thread.submit(context.run, self._hand_over, f"{PREFIX}.{name}", payload, sent)

    def _hand_over(self, name: str, payload: RunEvent, sent: UUID) -> None:
        if not self._wanted:
            return
        # mode="json" leaves NaN as it is
        content = fitting_payload(json.loads(payload.model_dump_json()))
        run = {
            "prefect.resource.id": f"{PREFIX}.run.{payload.run_id}",
            "prefect.resource.name": payload.run_id,
            f"{PREFIX}.algorithm": payload.algorithm,
            **payload.labels(),
        }
        if self._started is not None and (
            of := self._started.epoch.provenance.get(DEPLOYMENT_NAME)
        ):
            run[f"{PREFIX}.deployment"] = of
        with suppress(Exception):  # best effort: a run does not fail for its events
            emit_event(name, resource=run, payload=content, id=sent)
        line = json.dumps({"event": name, "id": str(sent), "payload": content})
        with suppress(StoreError):
            self._journal.store.append(f"{payload.run_id}/{LOG}", [line.encode()])


@asynccontextmanager
async def emitting(journal: Journal) -> AsyncIterator[Emitter]:
    """An emitter that has handed everything over when the block ends."""
    async with closing(Emitter(journal)) as emitter:
        yield emitter


@asynccontextmanager
async def closing(emitter: Emitter) -> AsyncIterator[Emitter]:
    """Waits at the block's end until all is handed over."""
    try:
        yield emitter
    finally:
        with CancelScope(shield=True):
            await to_thread.run_sync(emitter.close)


def external_id(name: str, once: str) -> UUID:
    """The id of an event that came from outside, told from others by a key of its sender's."""
    return uuid5(NAMESPACE_URL, "/".join([PREFIX, "external", name, once]))


async def post_event(name: str, about: str, payload: Json, sent: UUID) -> bool:
    """Sends one event; it is on the server when this returns.

    Returns:
        Whether anything there may act on it; True where that cannot be told.

    Raises:
        InvalidParameters: the server would drop it; nothing was sent.
        PrefectUnreachable: no server is configured, or it does not answer.
        PrefectRefused: it asks for a password or a key.
    """
    if problems := event_problems(payload):
        raise InvalidParameters(name, problems, [])
    event = ClientEvent(
        event=name,
        resource=Resource({"prefect.resource.id": about}),
        payload=payload,
        id=sent,
    )
    with lasting_api() as url:
        return await _post(event, url)


async def _post(event: ClientEvent, url: str) -> bool:
    try:
        async with get_client() as client:
            answer = await client.request("POST", "/events", json=[event.model_dump(mode="json")])
            answer.raise_for_status()
            return await _is_waited_for(client, event.event)
    except (httpx.HTTPError, PrefectHTTPStatusError) as error:
        if isinstance(error, httpx.HTTPStatusError) and error.response.status_code in REFUSING:
            raise PrefectRefused(url) from error
        raise PrefectUnreachable(url, str(error) or type(error).__name__) from error


async def _is_waited_for(client: PrefectClient, name: str) -> bool:
    with suppress(Exception):  # the event is there: this is only worth a word
        automations = await client.read_automations()
        waiting = [each.trigger for each in automations if each.enabled]
        return any(_may_match(trigger.model_dump(mode="json"), name) for trigger in waiting)
    return True


def _may_match(trigger: dict[str, Any], name: str) -> bool:
    """Whether events of this name belong to what a trigger, or one within it, waits for."""
    inner = trigger.get("triggers") or []
    expected = trigger.get("expect")
    matched = expected is not None and (not expected or any(fnmatch(name, e) for e in expected))
    return matched or any(_may_match(each, name) for each in inner)

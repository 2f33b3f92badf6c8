"""Follows a run and publishes what it commits: behind the loop, in order, through outages."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import anyio
import httpx
from prefect.client.orchestration import PrefectClient
from prefect.exceptions import PrefectHTTPStatusError
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from qcsc_loop.errors import DamagedDocument
from qcsc_loop.events import Event, Observer, Trouble
from qcsc_loop.jobs.entries import JobRecord
from qcsc_loop.jobs.events import JobMeasured
from qcsc_loop.loop.events import IterationCommitted, RunStarted, RunStopped
from qcsc_loop.prefect.artifacts import Published, RunArtifacts, pack
from qcsc_loop.reports.job import metrics_rows
from qcsc_loop.store.journal import Journal
from qcsc_loop.store.records import Commit, EndRecord
from qcsc_loop.values.encodings import Packed

AHEAD = 4  # commits the loop may be ahead of a server that answers
STRIP_BYTES = 4096  # a smaller state costs the server less than a request to drop it
FAREWELL_SECONDS = 2.0
JOBS_KEPT = 1000  # whose metrics wait for a server that is away; the ledger has them all
LONGEST_PAUSE = 15.0  # seconds between two attempts during an outage

_Outage = (httpx.HTTPError, PrefectHTTPStatusError, OSError)


class Mirror:
    """Publishes one driver's commits; use it through `mirroring`.

    Nothing here can stop the run: an outage is told once and published later.
    """

    def __init__(
        self, artifacts: RunArtifacts, client: PrefectClient, journal: Journal, tell: Observer
    ) -> None:
        self._artifacts, self._client, self._journal, self._tell = artifacts, client, journal, tell
        self._waiting: deque[Published] = deque()
        self._to_strip: deque[tuple[Published, UUID]] = deque()
        self._jobs: deque[JobRecord] = deque(maxlen=JOBS_KEPT)
        self._started: RunStarted | None = None
        self._driver: UUID | None = None
        self._end: EndRecord | None = None
        self._beaten, self._last_published = time.monotonic(), -1
        self._healthy, self._caught_up, self._broken, self._successes = True, False, False, 0
        self._moved = anyio.Event()  # something was added, published, or failed

    # the loop's side

    def observe(self, event: Event) -> None:
        """An observer of the run."""
        if isinstance(event, RunStarted):
            self._started = event
        elif isinstance(event, IterationCommitted):
            self._waiting.append(self._of(event.commit, pack(event.state)))
            self._forget_pruned()
        elif isinstance(event, JobMeasured):
            self._jobs.append(event.record)
        elif isinstance(event, RunStopped):
            self._end = event.end
        else:
            return
        self._signal()

    def _forget_pruned(self) -> None:
        keep = self._started.epoch.settings.keep if self._started else None
        if keep is not None and len(self._waiting) > keep:
            self._waiting[-keep - 1].state = None  # a long outage must not fill the memory

    async def keep_up(self) -> None:
        """Waits while the server answers and is too far behind."""
        while self._healthy and not self._broken and len(self._waiting) > AHEAD:
            await self._moved.wait()

    async def drain(self, seconds: float) -> bool:
        """Publishes what is left, as long as the server takes it, else for `seconds`.

        Returns:
            Whether all is published.
        """
        while self._behind:
            before = self._successes
            with anyio.move_on_after(seconds):
                while self._behind and self._successes == before:
                    await self._moved.wait()
            if self._behind and self._successes == before:
                if not (left := len(self._waiting)):
                    return True  # figures of jobs: the ledger has them
                self._tell(Trouble(
                    f"{left} checkpoint{'' if left == 1 else 's'} not yet on the Prefect server; "
                    f"`qcsc-loop resume {self._journal.run_id}` sends what is missing"
                ))  # fmt: skip
                return False
        return not self._broken

    @property
    def _behind(self) -> bool:
        waiting = self._waiting or self._jobs
        return not self._broken and (not self._caught_up or bool(waiting))

    async def farewell(self) -> None:
        """Says on the server how the driver ended, if that can be said at once."""
        with anyio.move_on_after(FAREWELL_SECONDS):
            while self._end is not None and self._driver is None and not self._broken:
                await self._moved.wait()
            if self._end is not None and self._driver is not None:
                with contextlib.suppress(*_Outage):
                    await self._say(self._end)

    # the server's side

    async def follow(self) -> None:
        """Publishes for as long as it is not cancelled."""
        try:
            await self._follow()
        except Exception as error:  # a mistake of ours must not stop a run that works
            self._broken = True
            self._tell(Trouble(f"nothing more is sent to the Prefect server: {error!r}"))
            self._signal()

    async def _follow(self) -> None:
        # our own patience: the client's would hold one request for a minute
        with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}):
            while self._started is None:
                await self._moved.wait()
            await self._until_done(self._announce)
            await self._until_done(self._catch_up)
            self._caught_up = True
            self._signal()
            while True:
                if self._waiting:
                    await self._until_done(self._publish_first)
                    await self._strip_old()
                elif self._jobs:
                    await self._publish_job()
                else:
                    with anyio.move_on_after(self._beat_in):
                        await self._moved.wait()
                if self._beat_in <= 0:
                    await self._beat()

    async def _publish_first(self) -> None:
        first = self._waiting[0]
        artifact = await self._artifacts.publish(first)
        self._waiting.popleft()
        if first.state is not None and first.state.size > STRIP_BYTES:
            self._to_strip.append((first, artifact))
        self._last_published = first.commit.iteration

    async def _publish_job(self) -> None:
        """A job's metrics, for people: those that the server does not take now stay in the ledger."""
        rows = metrics_rows(self._jobs.popleft())
        with contextlib.suppress(*_Outage):
            await self._artifacts.publish_table(f"{self._journal.run_id}-job-metrics", rows)
        self._signal()

    async def _strip_old(self) -> None:
        """Drops states that left the history; one that cannot be dropped is left."""
        assert self._started is not None
        keep = self._started.epoch.settings.keep
        while keep and self._to_strip:
            published, artifact = self._to_strip[0]
            if published.commit.iteration > self._last_published - keep:
                return
            self._to_strip.popleft()
            with contextlib.suppress(*_Outage):
                await self._artifacts.strip(artifact, published)

    def _of(self, commit: Commit, state: Packed | None) -> Published:
        return Published(commit=commit, state=state, place=self._journal.store.place)

    async def _announce(self) -> None:
        assert self._started is not None
        record, epoch = self._started.record, self._started.epoch
        self._driver = self._driver or await self._artifacts.publish_driver(record, epoch)
        await self._name_flow_run(self._started)
        await self._step_down_if_superseded()

    async def _name_flow_run(self, started: RunStarted) -> None:
        flow_run_id = self._artifacts.flow_run_id
        if flow_run_id is None:
            return
        run_id, k = started.record.run_id, started.resumed_from
        name = run_id if k is None else f"{run_id} resumed at {k}"
        tags = [f"run:{run_id}", *([] if k is None else ["resumed"])]
        await self._client.update_flow_run(flow_run_id, name=name, tags=tags)

    async def _catch_up(self) -> None:
        """Puts what earlier drivers could not publish before what this one has committed."""
        newest = -1
        async for published in self._artifacts.checkpoints():
            newest = max(newest, published.commit.iteration)
            if newest > published.commit.iteration:
                break  # published in order: what is older is there
        queued = {waiting.commit.iteration for waiting in self._waiting}
        missing = [
            commit
            for commit in self._journal.history()
            if commit.iteration > newest and commit.iteration not in queued
        ]
        for commit in reversed(missing):
            newest_one = commit is missing[-1]
            state = self._state_left(commit) if newest_one else None
            self._waiting.appendleft(self._of(commit, state))

    def _state_left(self, commit: Commit) -> Packed | None:
        """The state of the newest unpublished commit: what a resume from the API needs."""
        for name in self._journal.checkpoints():
            try:
                found, document = self._journal.checkpoint(name)
            except (DamagedDocument, KeyError):  # the loop's to report
                continue
            if found.iteration == commit.iteration:
                return pack(document)
        return None

    @property
    def _beat_in(self) -> float:
        assert self._started is not None
        return max(0.0, self._beaten + self._started.epoch.lease_seconds / 3 - time.monotonic())

    async def _beat(self) -> None:
        self._beaten = time.monotonic()  # also after a failure: the next one is soon enough
        with contextlib.suppress(*_Outage):
            await self._say(None)
            await self._step_down_if_superseded()

    async def _say(self, end: EndRecord | None) -> None:
        assert self._started is not None and self._driver is not None
        await self._artifacts.beat(self._driver, self._started.record, self._started.epoch, end)

    async def _step_down_if_superseded(self) -> None:
        """A driver on another disk took the run: written here, it fences this one's commits."""
        assert self._started is not None
        newest = await self._artifacts.newest_driver()
        mine = self._started.epoch
        if newest is None or newest.epoch.holder == mine.holder:
            return  # also an announcement of ours that the client sent twice
        if newest.epoch.epoch > mine.epoch or newest.end is None:
            other = newest.epoch.model_copy(
                update={"epoch": max(newest.epoch.epoch, mine.epoch + 1)}
            )
            self._journal.adopt_driver(other, newest.end)

    async def _until_done(self, act: Callable[[], Any]) -> None:
        pause = 0.5
        while not await self._try(act):
            await anyio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _try(self, act: Callable[[], Any]) -> bool:
        try:
            await act()
        except _Outage as error:
            if self._healthy:
                self._tell(Trouble(
                    "the Prefect server does not take checkpoints at the moment "
                    f"({type(error).__name__}); the run goes on, they are sent later"
                ))  # fmt: skip
            self._healthy = False
        else:
            self._healthy = True
            self._successes += 1
        self._signal()
        return self._healthy

    def _signal(self) -> None:
        self._moved.set()
        self._moved = anyio.Event()


@asynccontextmanager
async def mirroring(
    artifacts: RunArtifacts, client: PrefectClient, journal: Journal, tell: Observer
) -> AsyncIterator[Mirror]:
    """A mirror that follows for as long as the block runs."""
    mirror = Mirror(artifacts, client, journal, tell)
    # no task group: it would wrap what the run raises, and end the run with the mirror
    following = asyncio.create_task(mirror.follow())
    try:
        yield mirror
    finally:
        try:
            with anyio.CancelScope(shield=True):
                await mirror.farewell()
        finally:
            following.cancel()
            await asyncio.wait([following])

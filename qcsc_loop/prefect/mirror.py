"""Follows a run and publishes what it commits: behind the loop, in order, through outages."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from prefect.client.orchestration import PrefectClient
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from qcsc_loop.events import Event, Observer, Trouble
from qcsc_loop.loop.events import (
    WAITING_FOR_SERVER,
    IterationCommitted,
    PhaseStarted,
    RunStarted,
    RunStopped,
)
from qcsc_loop.prefect.artifacts import RunArtifacts, pack
from qcsc_loop.prefect.backlog import Backlog
from qcsc_loop.prefect.outage import OUTAGE, Attempts
from qcsc_loop.prefect.presence import Presence
from qcsc_loop.prefect.reporter import Reporter
from qcsc_loop.store.journal import Journal
from qcsc_loop.store.records import EndRecord

AHEAD = 4  # commits the loop may be ahead of a server that answers
FAREWELL_SECONDS = 2.0
_NEWS = (RunStarted, IterationCommitted, RunStopped)
SHOW_SECONDS = 30.0  # at the end of a run that came to one


class Mirror:
    """Publishes one driver's commits; use it through `mirroring`.

    Nothing here can stop the run: an outage is told once and published later.
    """

    def __init__(
        self, artifacts: RunArtifacts, client: PrefectClient, journal: Journal, tell: Observer
    ) -> None:
        self._artifacts, self._client, self._journal = artifacts, client, journal
        self._tell = tell  # until the run has started, which has more that look on
        self._backlog = Backlog(artifacts, journal)
        self._reporter = Reporter(artifacts, journal)
        self._presence: Presence | None = None  # once the run has started
        self._end: EndRecord | None = None
        self._attempts = Attempts(lambda event: self._tell(event), self._signal)
        self._caught_up, self._broken = False, False
        self._follows = False  # a run may begin before there is a server
        self._moved = anyio.Event()  # something was added, published, or failed

    def _signal(self) -> None:
        self._moved.set()
        self._moved = anyio.Event()

    # the loop's side

    def observe(self, event: Event) -> None:
        """An observer of the run."""
        self._reporter.observe(event)
        if isinstance(event, RunStarted):
            self._tell = event.tell
            self._presence = Presence(self._artifacts, self._client, self._journal, event)
        elif isinstance(event, IterationCommitted):
            keep = self._presence.keep if self._presence else None
            self._backlog.add(event.commit, pack(event.state), keep)
        elif isinstance(event, RunStopped):
            self._end = event.end
        if self._reporter.is_behind or isinstance(event, _NEWS):
            self._signal()

    async def keep_up(self, iteration: int) -> None:
        """Waits while the server answers, and is too far behind or has not heard of this driver.

        A hook may block the event loop from its first line on: announced later is not announced.
        """
        said = False
        while self._follows and self._attempts.healthy and not self._broken:
            if self._is_announced and len(self._backlog) <= AHEAD:
                return
            if not said:
                self._tell(PhaseStarted(iteration, WAITING_FOR_SERVER))
                said = True
            await self._moved.wait()

    async def drain(self, seconds: float) -> bool:
        """Publishes what is left, as long as the server takes it, else for `seconds`.

        Returns:
            Whether all is published.
        """
        while self._is_behind:
            before = self._attempts.successes
            with anyio.move_on_after(seconds):
                while self._is_behind and self._attempts.successes == before:
                    await self._moved.wait()
            if self._is_behind and self._attempts.successes == before:
                if not (left := len(self._backlog)):
                    return True
                self._tell(
                    Trouble(
                        f"{left} checkpoint{'' if left == 1 else 's'} not yet on the Prefect server; "
                        f"`qcsc-loop resume {self._journal.run_id}` sends what is missing"
                    )
                )
                return False
        return not self._broken

    @property
    def _is_behind(self) -> bool:
        return not self._broken and (not self._caught_up or bool(self._backlog))

    async def shown(self) -> None:
        """Waits until the report says how the run ended, if a server takes it in time."""
        with anyio.move_on_after(SHOW_SECONDS):
            while self._reporter.is_behind and self._attempts.healthy and not self._broken:
                await self._moved.wait()

    async def farewell(self) -> None:
        """Says on the server how the driver ended, if that can be said at once."""
        with anyio.move_on_after(FAREWELL_SECONDS):
            while self._end is not None and not self._is_announced and not self._broken:
                await self._moved.wait()
            if self._end is not None and self._presence is not None and self._is_announced:
                await self._presence.say_end(self._end)
            while self._end is not None and self._reporter.is_behind and not self._broken:
                await self._moved.wait()

    @property
    def _is_announced(self) -> bool:
        return self._presence is not None and self._presence.is_announced

    # the server's side

    def begin(self) -> None:
        """From here on there is a server."""
        self._follows = True

    def end(self) -> None:
        """From here on nobody publishes: a run that goes on waits for nothing."""
        self._follows = False
        self._signal()

    async def follow(self) -> None:
        """Publishes for as long as it is not cancelled."""
        try:
            # our own patience: the client's would hold one request for a minute
            with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}):
                await self._publish(await self._announce())
        except Exception as error:  # a mistake of ours must not stop a run that works
            self._broken = True
            self._tell(Trouble(f"nothing more is sent to the Prefect server: {error!r}"))
            self._signal()

    async def _announce(self) -> Presence:
        while (presence := self._presence) is None:
            await self._moved.wait()
        await self._attempts.until_done(presence.announce)
        return presence

    async def _publish(self, presence: Presence) -> None:
        await self._attempts.until_done(self._backlog.catch_up)
        self._caught_up = True
        self._signal()
        while True:
            if self._reporter.due_in <= 0:
                await self._show()
            elif self._backlog:
                await self._attempts.until_done(self._backlog.publish_first)
                await self._backlog.strip_old(presence.keep)
            else:
                with anyio.move_on_after(min(presence.beat_in, self._reporter.due_in)):
                    await self._moved.wait()
            if presence.beat_in <= 0:
                await presence.beat()

    async def _show(self) -> None:
        """The report: one that the server does not take now is made anew later."""
        with contextlib.suppress(*OUTAGE):
            await self._reporter.show()
        self._signal()


@asynccontextmanager
async def mirroring(
    artifacts: RunArtifacts, client: PrefectClient, journal: Journal, tell: Observer
) -> AsyncIterator[Mirror]:
    """A mirror that follows for as long as the block runs."""
    mirror = Mirror(artifacts, client, journal, tell)
    async with followed(mirror):
        yield mirror


@asynccontextmanager
async def followed(mirror: Mirror) -> AsyncIterator[None]:
    """The mirror follows for as long as the block runs, also what it was told before."""
    mirror.begin()
    # no task group: it would wrap what the run raises, and end the run with the mirror
    following = asyncio.create_task(mirror.follow())
    try:
        yield
    finally:
        try:
            with anyio.CancelScope(shield=True):
                await mirror.farewell()
        finally:
            mirror.end()
            following.cancel()
            await asyncio.wait([following])

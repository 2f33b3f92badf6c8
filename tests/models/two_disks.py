"""Drivers of one run on a disk each, which hear of each other by a server's artifacts alone.

All is the product's own but the server, which is a list: what is asked of it is three requests.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import httpx
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import ArtifactCreate

from loop.toys import Counting
from models.protocol import FIRST, State
from models.stepped import CODEC, LEASE_SECONDS, RUN, Made, committed
from models.stores import QuietStore
from qcsc_loop.errors import LeaseLost
from qcsc_loop.loop.events import RunStarted
from qcsc_loop.prefect.artifacts import RunArtifacts, pack
from qcsc_loop.prefect.backlog import Backlog
from qcsc_loop.prefect.presence import Presence
from qcsc_loop.prefect.restore import Wanted, restore
from qcsc_loop.store.journal import Journal, Lease
from qcsc_loop.store.lease import held
from qcsc_loop.store.records import Settings
from qcsc_loop.store.recovery import last_good

TAKEN_OVER = Wanted(algorithm=Counting, take_over=True)
SETTINGS = Settings(algorithm="loop.toys:Counting", keep=None)
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Rows:
    """What a server has of artifacts, and how it answers."""

    rows: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    _now: itertools.count[int] = field(default_factory=itertools.count)

    @property
    def client(self) -> PrefectClient:
        return cast("PrefectClient", self)

    async def create_artifact(self, artifact: ArtifactCreate) -> SimpleNamespace:
        at = (BEGAN + timedelta(seconds=next(self._now))).isoformat()
        number = UUID(int=len(self.rows) + 1)
        row = {"id": str(number), "key": artifact.key, "data": artifact.data}
        self.rows.append({**row, "created": at, "updated": at})
        return SimpleNamespace(id=number)

    async def request(self, method: str, path: str, **more: Any) -> httpx.Response:
        asked, body = httpx.Request(method, f"http://server{path}"), more["json"]
        if method == "PATCH":
            return httpx.Response(204, request=asked)  # a sign of life
        (key,) = body["artifacts"]["key"]["any_"]
        found = [row for row in reversed(self.rows) if row["key"] == key]
        page = found[body["offset"] :][: body["limit"]]
        return httpx.Response(200, text=json.dumps(page), request=asked)


class Disk:
    """One, and the driver that works on it, if there is one."""

    def __init__(self, root: Path, rows: Rows) -> None:
        self.journal = Journal(QuietStore(root), RUN)
        self._rows = rows
        self._artifacts = RunArtifacts(rows.client, RUN)
        self._lease: Lease | None = None
        self._state: State = FIRST
        self._presence: Presence | None = None
        self._backlog = Backlog(self._artifacts, self.journal)

    @property
    def is_driven(self) -> bool:
        return self._lease is not None

    async def begin(self) -> None:
        """A driver takes the run over: it brings what the server has, and goes on from the newest."""
        self.die()
        if not await restore(self._artifacts, self.journal, TAKEN_OVER) and not self._is_there:
            return
        self._lease = self.journal.claim(SETTINGS, {}, LEASE_SECONDS, take_over=True)
        found = last_good(self.journal, CODEC)
        if found is not None:
            self._lease.settle(found.commit)
            self._state = tuple(found.state.by)
        started = RunStarted(self.journal.record(), self._lease.record, len(self._state) - 1)
        self._presence = Presence(self._artifacts, self._rows.client, self.journal, started)
        self._backlog = Backlog(self._artifacts, self.journal)

    @property
    def _is_there(self) -> bool:
        return self.journal.exists()

    async def brings(self) -> None:
        """What the server has, to this disk."""
        await restore(self._artifacts, self.journal, TAKEN_OVER)

    async def announce(self) -> None:
        """It says that it is there, and puts what is missing before what it has made."""
        if self._presence is not None and not self._presence.is_announced:
            await self._presence.announce()
            await self._backlog.catch_up()

    async def beat(self) -> None:
        if self._presence is not None and self._presence.is_announced:
            await self._presence.beat()

    async def commit(self) -> None:
        """An iteration more; a driver that is told that it was superseded publishes on, and ends."""
        if self._lease is None:
            return
        made = (*self._state, self._lease.epoch)
        commit, document = committed(made, self._lease.epoch)
        try:
            self._lease.commit(commit, document)
        except LeaseLost:
            self._let_go()
            return
        self._state = made
        self._backlog.add(commit, pack(document), None)

    async def publish(self) -> None:
        """The oldest that waits, also of a driver that has ended."""
        if self._presence is not None and self._presence.is_announced and self._backlog:
            await self._backlog.publish_first()

    def die(self) -> None:
        self._let_go()
        self._presence = None

    def _let_go(self) -> None:
        if self._lease is not None:
            self._lease.beat.stop()
            held.remove(self._lease.record.holder)
            self._lease = None


def lineage(journal: Journal) -> str:
    """What is wrong with a run: empty if each iteration that counts was made from the one before."""
    if not journal.exists() or (found := last_good(journal, CODEC)) is None:
        return ""
    made = tuple(found.state.by)
    for line in journal.history():
        if line.iteration >= len(made):
            continue
        state = CODEC.encode(Made(by=list(made[: line.iteration + 1])))
        if state.sha256 != line.state_sha256:
            return f"iteration {line.iteration} is not the one that {made} was made from"
    return ""

"""A driver's presence on the server: its announcement, its signs of life, how it ended."""

from __future__ import annotations

import contextlib
import time
from uuid import UUID

from anyio import to_thread
from prefect.client.orchestration import PrefectClient
from prefect.settings import get_current_settings

from qcsc_loop.errors import StoreError
from qcsc_loop.loop.events import RunStarted
from qcsc_loop.prefect.artifacts import RunArtifacts
from qcsc_loop.prefect.outage import OUTAGE
from qcsc_loop.prefect.predecessors import note_flow_run, report_ends
from qcsc_loop.store.heartbeat import Request
from qcsc_loop.store.journal import Journal
from qcsc_loop.store.records import EndRecord


class Presence:
    """Of the driver that started, or goes on with, a run."""

    def __init__(
        self, artifacts: RunArtifacts, client: PrefectClient, journal: Journal, started: RunStarted
    ) -> None:
        self._artifacts, self._client, self._journal = artifacts, client, journal
        self._started = started
        self._artifact: UUID | None = None
        self._beaten = time.monotonic()

    @property
    def is_announced(self) -> bool:
        return self._artifact is not None

    @property
    def keep(self) -> int | None:
        """How many checkpoints the run's history holds; None: all."""
        return self._started.epoch.settings.keep

    async def announce(self) -> None:
        """Says on the server that this driver is there, and sees whether another one is."""
        record, epoch = self._started.record, self._started.epoch
        self._artifact = self._artifact or await self._artifacts.publish_driver(record, epoch)
        await self._name_flow_run()
        await self._beat()
        await self._step_down_if_superseded()
        mine, flow_run = self._started.epoch, self._artifacts.flow_run_id
        if flow_run is not None:
            with contextlib.suppress(StoreError):
                await to_thread.run_sync(note_flow_run, self._journal, mine, flow_run)
        with contextlib.suppress(*OUTAGE):  # it is for people, and nothing waits for it
            await report_ends(self._client, self._journal, mine, flow_run)

    async def _name_flow_run(self) -> None:
        flow_run_id = self._artifacts.flow_run_id
        if flow_run_id is None:
            return
        run_id, k = self._started.record.run_id, self._started.resumed_from
        name = run_id if k is None else f"{run_id} resumed at {k}"
        tags = [f"run:{run_id}", *([] if k is None else ["resumed"])]
        await self._client.update_flow_run(flow_run_id, name=name, tags=tags)

    @property
    def beat_in(self) -> float:
        """Seconds until the next sign of life is due."""
        return max(0.0, self._beaten + self._every - time.monotonic())

    async def beat(self) -> None:
        """A sign of life, if the server takes it."""
        self._beaten = time.monotonic()  # also after a failure: the next one is soon enough
        with contextlib.suppress(*OUTAGE):
            await self._beat()
            await self._step_down_if_superseded()

    async def _beat(self) -> None:
        """One that the heartbeat makes again while the event loop is blocked."""
        assert self._artifact is not None
        request = await self._artifacts.beat(self._artifact, self._started.epoch)
        if self._started.heartbeat is not None:
            api = get_current_settings().api
            self._started.heartbeat.repeat(
                Request(
                    method=request.method,
                    url=str(request.url),
                    headers=dict(request.headers),
                    body=request.content.decode(),
                    after=self._every,
                    verify=not api.tls_insecure_skip_verify,
                    certificates=str(api.ssl_cert_file or ""),
                )
            )

    @property
    def _every(self) -> float:
        return self._started.epoch.lease_seconds / 3

    async def say_end(self, end: EndRecord) -> None:
        """Says how the driver ended, if the server takes it."""
        assert self._artifact is not None
        with contextlib.suppress(*OUTAGE):
            record, epoch = self._started.record, self._started.epoch
            await self._artifacts.say_end(self._artifact, record, epoch, end)

    async def _step_down_if_superseded(self) -> None:
        """A driver on another disk took the run: written here, it fences this one's commits."""
        newest = await self._artifacts.newest_driver(self._started.record.uid)
        mine = self._started.epoch
        if newest is None or newest.epoch.holder == mine.holder:
            return  # also an announcement of ours that the client sent twice
        # of those before this one an artifact is there that was put back, and this one's is not
        later, at_once = newest.epoch.epoch > mine.epoch, newest.epoch.epoch == mine.epoch
        if later or (at_once and newest.end is None):
            other = newest.epoch.model_copy(
                update={"epoch": max(newest.epoch.epoch, mine.epoch + 1)}
            )
            self._journal.adopt_driver(other, newest.end)

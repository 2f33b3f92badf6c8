"""A run's commits as Prefect artifacts: published behind the loop, and read back without the disk.

Keys, all of the run:
    RUN          one artifact per committed iteration, type "qcsc-loop-checkpoint"
    RUN-run      one artifact per driver, type "qcsc-loop-run": record, epoch, end; its `updated`
                 time is the driver's sign of life for machines that do not see its disk
    RUN-report   for people, one per driver: Markdown, with the curve
    RUN-jobs     for people, one per driver: a table with a row a job
    RUN-TABLE    for people: a table of the algorithm's own

The first two belong to no flow run: they are found by their key, and would bury what people look
at among a flow run's artifacts. Older versions' do belong to one, and are found as well.

Runs of one id share them, and whoever may write to the API may add to them: each says of which run
it is, by its uid, and is signed.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property, partial
from typing import TypeVar
from uuid import UUID

import httpx
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import ArtifactCreate, ArtifactUpdate
from prefect.exceptions import EventTooLarge
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from qcsc_loop.plain import Json
from qcsc_loop.prefect.clocks import read_clocks
from qcsc_loop.prefect.signing import Signer
from qcsc_loop.reports.run import scalars_line
from qcsc_loop.store.records import Commit, EndRecord, EpochRecord, Holder, RunRecord
from qcsc_loop.values.document import Document
from qcsc_loop.values.encodings import Packed

T = TypeVar("T")
CHECKPOINT, RUN = "qcsc-loop-checkpoint", "qcsc-loop-run"
INLINE_BYTES = 64 * 1024  # a server on SQLite takes these as easily as the smallest
PAGE = 200  # the API's limit


@dataclass(frozen=True)
class RemoteDriver:
    """A driver as the API knows it.

    Attributes:
        made, heard: when it announced itself, and its last sign of life; see `silent_for`.
        ours: signed by this person.
    """

    artifact_id: UUID
    record: RunRecord
    epoch: EpochRecord
    end: EndRecord | None
    made: datetime
    heard: datetime
    ours: bool = False

    @property
    def words(self) -> str:
        """Which driver, since when, by whom."""
        host, user = self.epoch.holder.host, self.epoch.provenance.get("user")
        by = f"{user} on {host}" if user else f"process {self.epoch.holder.pid} on {host}"
        at = f"{self.epoch.since.astimezone():%Y-%m-%d %H:%M}"
        return f"driver {self.epoch.epoch} by {by}, since {at}"


class Published(BaseModel):
    """What a checkpoint's artifact holds.

    Attributes:
        uid: of which run; empty in those of 0.1.0, which did not say.
        state: None if it is too large for an artifact, or has left the history.
        place: the store it was committed to.
        ours: signed by this person.
    """

    model_config = ConfigDict(ser_json_inf_nan="strings")

    uid: str = ""
    commit: Commit
    state: Packed | None
    place: str
    ours: bool = Field(default=False, exclude=True)

    def is_of(self, uid: str) -> bool:
        """Whether it is of that run; of one from before there were uids it need not say."""
        return self.uid == uid or (not self.uid and ":" in uid)  # a time


class _Driver(BaseModel):
    """What a driver's artifact holds."""

    model_config = ConfigDict(ser_json_inf_nan="strings")

    record: RunRecord
    epoch: EpochRecord
    end: EndRecord | None


def pack(document: Document) -> Packed | None:
    """A small document for an artifact; None if it is too large for one."""
    size = len(document.body) + sum(a.nbytes * 4 // 3 for a in document.arrays.values())
    if size > INLINE_BYTES:
        return None
    return Packed.of(document)


# Many short methods: one for each kind of artifact, whose keys only it knows.
class RunArtifacts:
    """The artifacts of one run, on one API."""

    def __init__(self, client: PrefectClient, run_id: str, flow_run_id: UUID | None = None) -> None:
        self._client, self.run_id, self.flow_run_id = client, run_id, flow_run_id

    @cached_property
    def signer(self) -> Signer:
        """Of this person."""
        return Signer.of_this_person()

    async def publish(self, published: Published) -> UUID:
        """One committed iteration; returns the artifact's id."""
        commit = published.commit
        headline = scalars_line(commit.scalars) or "no scalars"
        return await self._create(
            self.run_id,
            CHECKPOINT,
            f"Iteration {commit.iteration} of `{self.run_id}`: {headline}",
            self.signer.sign(published.model_dump_json()),
            flow_run_id=None,
        )

    async def strip(self, artifact: UUID, published: Published) -> None:
        """Drops the state from an artifact that has left the history; its scalars stay."""
        bare = published.model_copy(update={"state": None})
        data = self.signer.sign(bare.model_dump_json())
        await self._update(artifact, data)

    async def publish_driver(self, record: RunRecord, epoch: EpochRecord) -> UUID:
        """Announces this driver; returns the artifact's id, for `beat` and `say_end`."""
        return await self._create(
            f"{self.run_id}-run",
            RUN,
            _driver_line(self.run_id, epoch),
            _driver_text(self.signer, record, epoch, None),
            flow_run_id=None,
        )

    async def beat(self, artifact: UUID, epoch: EpochRecord) -> httpx.Request:
        """A sign of life; returns the request, so that another process can make it again.

        It changes nothing but the artifact's time: made again after the driver's end, it hides none.
        """
        body = {"description": _driver_line(self.run_id, epoch)}
        answer = await self._client.request(
            "PATCH", "/artifacts/{id}", path_params={"id": artifact}, json=body
        )
        return answer.request

    async def say_end(
        self, artifact: UUID, record: RunRecord, epoch: EpochRecord, end: EndRecord
    ) -> None:
        """How the driver ended."""
        data = _driver_text(self.signer, record, epoch, end)
        await self._update(artifact, data)

    async def publish_table(self, name: str, rows: list[dict[str, object]]) -> None:
        """A table of the algorithm's, for people."""
        data = json.dumps(rows, allow_nan=False)  # the API would make NaN null without a word
        said = f"From run `{self.run_id}`"
        await self._create(f"{self.run_id}-{name}", "table", said, data, self.flow_run_id)

    async def show_jobs(
        self, rows: list[dict[str, object]], count: int, artifact: UUID | None
    ) -> UUID:
        """The table of the run's jobs, made or brought up to date; returns its artifact."""
        jobs = "job" if count == 1 else "jobs"
        rest = f", the last {len(rows)} of them" if len(rows) < count else ""
        said = f"{count} {jobs} of `{self.run_id}`{rest}"
        data = json.dumps(rows, allow_nan=False)
        return await self._show(f"{self.run_id}-jobs", "table", said, data, artifact)

    async def show_report(self, message: str, markdown: str, artifact: UUID | None) -> UUID:
        """The run's report, under how it stands, made or brought up to date; returns its artifact."""
        return await self._show(f"{self.run_id}-report", "markdown", message, markdown, artifact)

    async def shown(self) -> tuple[UUID | None, UUID | None]:
        """The report and the table of jobs that the flow run has."""
        keys = [f"{self.run_id}-report", f"{self.run_id}-jobs"]
        wanted = {"key": {"any_": keys}, "flow_run_id": {"any_": [str(self.flow_run_id)]}}
        answer = await self._client.request(
            "POST", "/artifacts/filter", json={"artifacts": wanted, "limit": PAGE, "offset": 0}
        )
        found = {row["key"]: UUID(row["id"]) for row in answer.json()}
        return found.get(keys[0]), found.get(keys[1])

    async def _show(
        self, key: str, kind: str, description: str, data: str, artifact: UUID | None
    ) -> UUID:
        if artifact is None:
            return await self._create(key, kind, description, data, self.flow_run_id)
        # by hand: the client would tell of each by an event, with all the data
        changed = {"description": description, "data": data}
        await self._client.request(
            "PATCH", "/artifacts/{id}", path_params={"id": artifact}, json=changed
        )
        return artifact

    async def _update(self, artifact: UUID, data: str) -> None:
        # the client tells of it, with all the data, by an event that may be too large for that
        with contextlib.suppress(EventTooLarge):
            await self._client.update_artifact(artifact, ArtifactUpdate(data=data))

    async def _create(
        self, key: str, kind: str, description: str, data: str, flow_run_id: UUID | None
    ) -> UUID:
        artifact = await self._client.create_artifact(
            ArtifactCreate(
                key=key, type=kind, description=description, data=data, flow_run_id=flow_run_id
            )
        )
        return artifact.id

    async def checkpoints(self) -> AsyncIterator[Published]:
        """Published commits of all runs of this id; of each page the highest iteration first.

        The client repeats a request after a lost answer, so that a commit can come twice, and who
        may write to the API may have put an old one back.
        """
        async for rows in _pages(self._client, self.run_id):
            page = _valid(rows, partial(_published, signer=self.signer))
            for published in sorted(page, key=lambda one: one.commit.rank, reverse=True):
                yield published

    async def newest_driver(self, uid: str) -> RemoteDriver | None:
        """That run's driver with the highest epoch, of those that this person has signed."""
        found: list[RemoteDriver] = []
        async for page in self._drivers():
            found += [driver for driver in page if driver.record.uid == uid and driver.ours]
            if len({driver.epoch.epoch for driver in found}) > 1:
                break  # further pages have older ones
        return newest_of(found)

    async def drivers(self) -> list[RemoteDriver]:
        """All drivers of all runs of this id, whoever published them; newest first."""
        return [driver async for page in self._drivers() for driver in page]

    async def silent_for(self, driver: RemoteDriver) -> float:
        """Seconds since a driver's last sign of life, by the clock that timed it.

        A sign from the future is set to now: that clock has stepped back since, and what is dead
        would count as alive until then.
        """
        clocks = await read_clocks(self._client)
        now = clocks.api if driver.heard == driver.made else clocks.database
        if now < driver.heard:
            await self.beat(driver.artifact_id, driver.epoch)
        return max(0.0, (now - driver.heard).total_seconds())

    async def _drivers(self) -> AsyncIterator[list[RemoteDriver]]:
        async for rows in _pages(self._client, f"{self.run_id}-run"):
            drivers = _valid(rows, partial(_driver, signer=self.signer))
            # a signature holds under any key
            yield [driver for driver in drivers if driver.record.run_id == self.run_id]


async def _pages(client: PrefectClient, key: str) -> AsyncIterator[list[Json]]:
    """A key's artifacts, newest first by the server's clock, which may have stepped back.

    Within a page the caller orders them by what they hold.
    """
    offset = 0
    while True:
        # by hand: the client's read_artifacts sends null filters, which the server refuses,
        # and empty ones silently match nothing
        answer = await client.request(
            "POST",
            "/artifacts/filter",
            json={
                "artifacts": {"key": {"any_": [key]}},
                "sort": "CREATED_DESC",
                "limit": PAGE,
                "offset": offset,
            },
        )
        rows = answer.json()
        if not isinstance(rows, list):
            raise httpx.DecodingError("the answer is no list of artifacts")
        yield rows
        if len(rows) < PAGE:
            return
        offset += PAGE


def _driver_line(run_id: str, epoch: EpochRecord) -> str:
    return f"Driver {epoch.epoch} of `{run_id}` on {epoch.holder.host}"


def _valid(rows: list[Json], read: Callable[[Json], T]) -> list[T]:
    """What the rows hold, but for those that are damaged, or someone else's under this key."""
    found: list[T] = []
    for row in rows:
        with contextlib.suppress(ValidationError):
            found.append(read(row))
    return found


def _published(row: Json, signer: Signer) -> Published:
    text = str(row["data"])
    return Published.model_validate_json(text).model_copy(update={"ours": signer.is_ours(text)})


def _driver(row: Json, signer: Signer) -> RemoteDriver:
    text = str(row["data"])
    driver = _Driver.model_validate_json(text)
    return RemoteDriver(
        artifact_id=UUID(row["id"]),
        record=driver.record,
        epoch=driver.epoch,
        end=driver.end,
        made=datetime.fromisoformat(row["created"]),
        heard=datetime.fromisoformat(row["updated"]),
        ours=signer.is_ours(text),
    )


def _driver_text(
    signer: Signer, record: RunRecord, epoch: EpochRecord, end: EndRecord | None
) -> str:
    return signer.sign(_Driver(record=record, epoch=epoch, end=end).model_dump_json())


def newest_of(drivers: Iterable[RemoteDriver]) -> RemoteDriver | None:
    """The one with the highest epoch; of several of an epoch, that which was announced last.

    An artifact that was put back is no news: who has ended has ended, and is as old as ever.
    """
    one_each: dict[Holder, RemoteDriver] = {}
    for driver in drivers:
        known = one_each.setdefault(driver.epoch.holder, driver)
        one_each[driver.epoch.holder] = replace(
            known,
            made=min(known.made, driver.made),
            heard=max(known.heard, driver.heard),
            end=known.end or driver.end,
        )
    return max(one_each.values(), key=lambda one: (one.epoch.epoch, one.made), default=None)

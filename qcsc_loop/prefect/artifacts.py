"""A run's commits as Prefect artifacts: published behind the loop, and read back without the disk.

Keys, both of the run:
    RUN        one artifact per committed iteration, type "qcsc-loop-checkpoint"
    RUN-run    one artifact per driver, type "qcsc-loop-run": record, epoch, end; its `updated`
               time is the driver's sign of life for machines that do not see its disk
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any
from uuid import UUID

import numpy as np
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import ArtifactCreate, ArtifactUpdate
from pydantic import BaseModel, ValidationError

from qcsc_loop.codec import Document, frozen
from qcsc_loop.outcome import json_scalars
from qcsc_loop.store.records import Commit, EndRecord, EpochRecord, RunRecord

CHECKPOINT, RUN = "qcsc-loop-checkpoint", "qcsc-loop-run"
INLINE_BYTES = 64 * 1024  # as fast as 1 kB on a SQLite server; 1 MB takes five times as long
PAGE = 200  # the API's limit


@dataclass(frozen=True)
class RemoteDriver:
    """A driver as the API knows it.

    Attributes:
        silent_for: seconds since its last sign of life, by the server's clock.
    """

    artifact_id: UUID
    record: RunRecord
    epoch: EpochRecord
    end: EndRecord | None
    silent_for: float


def pack(document: Document) -> dict[str, Any] | None:
    """A small document as plain JSON; None if it is too large to stand in an artifact."""
    size = len(document.body) + sum(a.nbytes * 4 // 3 for a in document.arrays.values())
    if size > INLINE_BYTES:
        return None
    return {
        "body": document.body.decode(),
        "arrays": {name: _array_text(array) for name, array in document.arrays.items()},
    }


def unpack(packed: dict[str, Any]) -> Document:
    """The document that `pack` took; its arrays are verified when it is decoded."""
    arrays = {
        name: frozen(np.load(io.BytesIO(base64.b64decode(text)), allow_pickle=False))
        for name, text in packed["arrays"].items()
    }
    return Document(packed["body"].encode(), arrays)


def _array_text(array: Any) -> str:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return base64.b64encode(file.getvalue()).decode("ascii")


class RunArtifacts:
    """The artifacts of one run, on one API."""

    def __init__(self, client: PrefectClient, run_id: str, flow_run_id: UUID | None = None) -> None:
        self._client, self.run_id, self.flow_run_id = client, run_id, flow_run_id

    async def publish(self, commit: Commit, state: dict[str, Any] | None, place: str) -> UUID:
        """One committed iteration; returns the artifact's id."""
        headline = ", ".join(f"{k} = {v}" for k, v in json_scalars(commit.scalars).items())
        return await self._create(
            self.run_id,
            CHECKPOINT,
            f"Iteration {commit.iteration} of `{self.run_id}`: {headline or 'no scalars'}",
            self._checkpoint(commit, state, place),
        )

    async def strip(self, artifact: UUID, commit: Commit, place: str) -> None:
        """Drops the state from an artifact that has left the history; its scalars stay."""
        data = json.dumps(self._checkpoint(commit, None, place), allow_nan=False)
        await self._client.update_artifact(artifact, ArtifactUpdate(data=data))

    @staticmethod
    def _checkpoint(commit: Commit, state: dict[str, Any] | None, place: str) -> dict[str, Any]:
        return {"commit": _plain(commit), "state": state, "place": place}

    async def publish_driver(self, record: RunRecord, epoch: EpochRecord) -> UUID:
        """Announces this driver; returns the artifact's id, for `beat` and `end`."""
        return await self._create(
            f"{self.run_id}-run",
            RUN,
            f"Driver {epoch.epoch} of `{self.run_id}` on {epoch.holder.host}",
            self._driver(record, epoch, None),
        )

    async def beat(
        self, artifact: UUID, record: RunRecord, epoch: EpochRecord, end: EndRecord | None = None
    ) -> None:
        """A sign of life, or how the driver ended."""
        data = json.dumps(self._driver(record, epoch, end), allow_nan=False)
        await self._client.update_artifact(artifact, ArtifactUpdate(data=data))

    @staticmethod
    def _driver(record: RunRecord, epoch: EpochRecord, end: EndRecord | None) -> dict[str, Any]:
        return {
            "record": _plain(record),
            "epoch": _plain(epoch),
            "end": end and _plain(end),
        }

    async def publish_table(self, key: str, rows: list[dict[str, object]]) -> None:
        """A table for people."""
        await self._create(key, "table", f"From run `{self.run_id}`", rows)

    async def publish_report(self, markdown: str) -> None:
        """The run's report for people."""
        await self._create(f"{self.run_id}-report", "markdown", None, markdown)

    async def _create(self, key: str, kind: str, description: str | None, data: Any) -> UUID:
        # strict JSON: the API would turn NaN into null without a word
        text = data if isinstance(data, str) else json.dumps(data, allow_nan=False)
        artifact = await self._client.create_artifact(
            ArtifactCreate(
                key=key, type=kind, description=description, data=text, flow_run_id=self.flow_run_id
            )
        )
        return artifact.id

    async def checkpoints(self) -> AsyncIterator[tuple[Commit, dict[str, Any] | None, str]]:
        """Published commits, last published first: commit, packed state, place of the store.

        The client repeats a request after a lost answer, so that a commit can come twice.
        """
        async for row, _ in self._rows(self.run_id):
            try:
                data = json.loads(row["data"])
                commit = Commit.model_validate(data["commit"])
            except (ValidationError, ValueError, KeyError, TypeError):
                continue  # damaged, or someone else's artifact under this key
            yield commit, data["state"], data["place"]

    async def newest_driver(self) -> RemoteDriver | None:
        """The driver with the highest epoch; of two with the same, the one that came first."""
        newest: RemoteDriver | None = None
        async for row, now in self._rows(f"{self.run_id}-run"):
            try:
                found = _driver_of(row, now)
            except (ValidationError, ValueError, KeyError, TypeError):
                continue
            # rows come newest first, so that the last one of an epoch came first
            if newest is None or found.epoch.epoch >= newest.epoch.epoch:
                newest = found
            if found.epoch.epoch < newest.epoch.epoch:
                break
        return newest

    async def _rows(self, key: str) -> AsyncIterator[tuple[dict[str, Any], datetime]]:
        offset = 0
        while True:
            # by hand: the client's read_artifacts sends null filters, which the server refuses,
            # and empty ones silently match nothing
            answer = await self._client.request(
                "POST",
                "/artifacts/filter",
                json={
                    "artifacts": {"key": {"any_": [key]}},
                    "sort": "CREATED_DESC",
                    "limit": PAGE,
                    "offset": offset,
                },
            )
            now = parsedate_to_datetime(answer.headers["date"])
            rows = answer.json()
            for row in rows:
                yield row, now
            if len(rows) < PAGE:
                return
            offset += PAGE


def _plain(record: BaseModel) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(record.model_dump_json())  # NaN and inf as strings
    return plain


def _driver_of(row: dict[str, Any], now: datetime) -> RemoteDriver:
    data = json.loads(row["data"])
    return RemoteDriver(
        UUID(row["id"]),
        RunRecord.model_validate(data["record"]),
        EpochRecord.model_validate(data["epoch"]),
        EndRecord.model_validate(data["end"]) if data["end"] else None,
        max(0.0, (now - datetime.fromisoformat(row["updated"])).total_seconds()),
    )

"""An API that keeps artifacts and does as it is told, as far as a run's artifacts ask it."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID, uuid4

from httpx import Request
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import ArtifactCreate, ArtifactUpdate


class FakeAPI:
    """Whoever has it reads and writes all of it, as whoever may write to a real one.

    Attributes:
        rows: the artifacts, oldest first.
    """

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    @property
    def client(self) -> PrefectClient:
        """It, as what it stands for."""
        return cast("PrefectClient", self)

    def add(self, key: str, data: str) -> UUID:
        """An artifact of anybody's."""
        artifact = uuid4()
        updated = datetime.now(UTC).isoformat()
        self.rows.append({"id": str(artifact), "key": key, "data": data, "updated": updated})
        return artifact

    def texts(self, key: str) -> list[str]:
        """What a key's artifacts hold, oldest first."""
        return [row["data"] for row in self.rows if row["key"] == key]

    async def create_artifact(self, create: ArtifactCreate) -> SimpleNamespace:
        return SimpleNamespace(id=self.add(str(create.key), str(create.data)))

    async def update_artifact(self, artifact: UUID, update: ArtifactUpdate) -> None:
        (row,) = [row for row in self.rows if row["id"] == str(artifact)]
        row |= {"data": update.data, "updated": datetime.now(UTC).isoformat()}

    async def request(
        self,
        method: str,
        path: str,
        *,
        json: dict[str, Any],
        path_params: dict[str, Any] | None = None,
    ) -> SimpleNamespace:
        if path_params is not None:
            assert (method, path, list(json)) == ("PATCH", "/artifacts/{id}", ["description"])
            (row,) = [row for row in self.rows if row["id"] == str(path_params["id"])]
            row["updated"] = datetime.now(UTC).isoformat()
            return SimpleNamespace(request=Request(method, "http://api/artifacts", json=json))
        assert (method, path) == ("POST", "/artifacts/filter")
        keys, start = json["artifacts"]["key"]["any_"], json["offset"]
        found = [row for row in reversed(self.rows) if row["key"] in keys]
        page = found[start : start + json["limit"]]
        headers = {"date": format_datetime(datetime.now(UTC), usegmt=True)}
        return SimpleNamespace(json=lambda: page, headers=headers)

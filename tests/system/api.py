"""An API that keeps artifacts and does as it is told, as far as a run's artifacts ask it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
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
        ahead: by how much the clock of its database, which times changes, is.
    """

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.ahead = timedelta(0)

    @staticmethod
    def _now(ahead: timedelta = timedelta(0)) -> str:
        return (datetime.now(UTC) + ahead).isoformat()

    @property
    def client(self) -> PrefectClient:
        """It, as what it stands for."""
        return cast("PrefectClient", self)

    def add(self, key: str, data: str) -> UUID:
        """An artifact of anybody's."""
        return self._add(key, data)

    def _add(self, key: str | None, data: str) -> UUID:
        artifact, at = uuid4(), self._now()
        self.rows.append(
            {"id": str(artifact), "key": key, "data": data, "created": at, "updated": at}
        )
        return artifact

    def _row(self, artifact: object) -> dict[str, Any]:
        (row,) = [row for row in self.rows if row["id"] == str(artifact)]
        return row

    def texts(self, key: str) -> list[str]:
        """What a key's artifacts hold, oldest first."""
        return [row["data"] for row in self.rows if row["key"] == key]

    async def create_artifact(self, create: ArtifactCreate) -> SimpleNamespace:
        return SimpleNamespace(id=self.add(str(create.key), str(create.data)))

    async def update_artifact(self, artifact: UUID, update: ArtifactUpdate) -> None:
        self._row(artifact).update(data=update.data, updated=self._now(self.ahead))

    async def request(
        self,
        method: str,
        path: str,
        *,
        json: dict[str, Any] | None = None,
        path_params: dict[str, Any] | None = None,
    ) -> SimpleNamespace:
        asked, told = Request(method, "http://api/artifacts", json=json), json or {}
        match method, path:
            case "POST", "/artifacts/filter":
                keys, start = told["artifacts"]["key"]["any_"], told["offset"]
                found = [row for row in reversed(self.rows) if row["key"] in keys]
                answer: Any = found[start : start + told["limit"]]
            case "POST", "/artifacts/":
                answer = dict(self._row(self._add(None, "")))
            case _, "/artifacts/{id}":
                assert path_params is not None
                answer = self._row(path_params["id"])
                if method == "DELETE":
                    self.rows.remove(answer)
                elif method == "PATCH":
                    answer["updated"] = self._now(self.ahead)
            case _:
                raise AssertionError((method, path))
        return SimpleNamespace(json=lambda: answer, request=asked)

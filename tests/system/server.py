"""A real Prefect server on 127.0.0.1 with a database of its own, that can be killed and restarted."""

from __future__ import annotations

import json
import shutil
import socket
import sqlite3
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from cluster.postgresql import PostgreSQL, binaries
from qcsc_loop.concurrency.child import tie_to_this_process
from system.command_line import environment

START_SECONDS = 240.0  # the first start makes the database, maybe on a machine that does more
QUIET = {
    "PREFECT_SERVER_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_UI_ENABLED": "false",
    "DO_NOT_TRACK": "1",
}
# all is on 127.0.0.1, without TLS; with a context of its own each request reads all certificates
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def take_empty_database(home: Path) -> None:
    """Gives a first start what it takes half its time to make, once a server of this session has."""
    made, own = _empty_database(), home / "prefect.db"
    if made.exists() and not own.exists():
        shutil.copy(made, own)


def keep_empty_database(home: Path) -> None:
    """Of a server that has just started, for others."""
    made, own = _empty_database(), home / "prefect.db"
    if own.exists() and not made.exists():
        made.touch(0o600)
        with closing(sqlite3.connect(own)) as source, closing(sqlite3.connect(made)) as target:
            source.backup(target)


def _empty_database() -> Path:
    return Path(tempfile.gettempdir(), "empty-prefect.db")


PREFECTS = "prefect.server.api.server:create_app"
OURS = "qcsc_loop.prefect.serve_api:application"


class PrefectServer:
    """A server on one port and one database, however often it is started.

    Args:
        auth: user and password, as "user:password"; empty: it lets everybody in.
        application: what it serves; as `prefect server start` does, or as `qcsc-loop server` does.
        settings: more of Prefect's, as environment variables.
    """

    def __init__(
        self, home: Path, *, auth: str = "", application: str = PREFECTS, **settings: str
    ) -> None:
        self._home, self._port = home, free_port()
        self._auth, self._application = auth, application
        self._more = settings
        self.url = f"http://127.0.0.1:{self._port}/api"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def settings(self) -> dict[str, str]:
        """What makes a command use it."""
        there = {"PREFECT_API_URL": self.url}
        return there | ({"PREFECT_API_AUTH_STRING": self._auth} if self._auth else {})

    def start(self) -> None:
        if not self._more:  # another database, or another way to make it
            take_empty_database(self._home)
        command = [
            *(sys.executable, "-m", "uvicorn", "--factory"),
            *(self._application, "--host", "127.0.0.1"),
            *("--port", str(self._port), "--log-level", "critical"),
        ]
        self._process = subprocess.Popen(
            tie_to_this_process(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment(self._home, self._home) | QUIET | self._more | self._secret,
        )
        end = time.monotonic() + START_SECONDS
        while not self._answers():
            assert self._process.poll() is None, "the Prefect server ended"
            assert time.monotonic() < end, "the Prefect server does not answer"
            time.sleep(0.05)
        keep_empty_database(self._home)

    @property
    def _secret(self) -> dict[str, str]:
        return {"PREFECT_SERVER_API_AUTH_STRING": self._auth} if self._auth else {}

    @property
    def _login(self) -> tuple[str, str] | None:
        user, _, password = self._auth.partition(":")
        return (user, password) if self._auth else None

    def _ask(self, method: str, path: str, *, timeout: float = 30, **more: Any) -> httpx.Response:
        return httpx.request(
            method, f"{self.url}{path}", timeout=timeout, auth=self._login, verify=NO_TLS, **more
        )

    def _answers(self) -> bool:
        try:
            return self._ask("GET", "/health", timeout=5).is_success
        except httpx.HTTPError:
            return False

    def kill(self) -> None:
        """As a machine that loses its power."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(30)
            self._process = None

    def stop(self) -> None:
        """In order."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()

    # what it knows

    def artifacts(self, key: str) -> list[dict[str, Any]]:
        """All artifacts of a key, oldest first, page by page.

        Checkpoints and drivers by their number: a machine's clock may step back in a test.
        """
        found: list[dict[str, Any]] = []
        while True:
            page = self.post(
                "/artifacts/filter",
                {
                    "artifacts": {"key": {"any_": [key]}},
                    "sort": "CREATED_DESC",
                    "limit": 200,
                    "offset": len(found),
                },
            )
            found += page
            if len(page) < 200:
                return sorted(found[::-1], key=_number)

    def iterations(self, run_id: str) -> list[int]:
        """The iterations that are published; repeated ones once."""
        rows = (json.loads(row["data"])["commit"] for row in self.artifacts(run_id))
        return list(dict.fromkeys(int(commit["iteration"]) for commit in rows))

    def flow_runs(self, run_id: str) -> list[dict[str, Any]]:
        """The flow runs of a run, oldest first."""
        rows: list[dict[str, Any]] = self.post(
            "/flow_runs/filter",
            {
                "flow_runs": {"tags": {"all_": [f"run:{run_id}"]}},
                "sort": "START_TIME_ASC",
                "limit": 200,
                "offset": 0,
            },
        )
        return rows

    def logged(self, flow_run: str) -> list[str]:
        """What stands in a flow run's log, oldest first."""
        return [text for _, text in self.log(flow_run)]

    def log(self, flow_run: str) -> list[tuple[int, str]]:
        """The same with each line's level, as Python numbers them."""
        rows = self.post(
            "/logs/filter",
            {
                "logs": {"flow_run_id": {"any_": [flow_run]}},
                "sort": "TIMESTAMP_ASC",
                "limit": 200,
                "offset": 0,
            },
        )
        return [(int(row["level"]), str(row["message"])) for row in rows]

    def task_runs(self, flow_run: str) -> list[str]:
        """The names of a flow run's task runs, sorted."""
        rows = self.post(
            "/task_runs/filter",
            {"task_runs": {"flow_run_id": {"any_": [flow_run]}}, "limit": 200, "offset": 0},
        )
        return sorted(str(row["name"]) for row in rows)

    def change(self, artifact: str, data: str) -> None:
        """Overwrites what an artifact holds."""
        self._ask("PATCH", f"/artifacts/{artifact}", json={"data": data}).raise_for_status()

    def has(self, path: str) -> bool:
        """Whether there is something."""
        return bool(self._ask("GET", path).is_success)

    def get(self, path: str) -> Any:
        answer = self._ask("GET", path)
        assert answer.is_success, answer.text
        return answer.json()

    def post(self, path: str, body: dict[str, Any]) -> Any:
        answer = self._ask("POST", path, json=body)
        end = time.monotonic() + START_SECONDS
        while answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:  # SQLite was busy
            assert time.monotonic() < end, answer.text
            answer = self._ask("POST", path, json=body)
        assert answer.is_success, answer.text
        return answer.json()


@contextmanager
def running(server: PrefectServer) -> Iterator[PrefectServer]:
    """One that runs, and is stopped even where it did not come up."""
    try:
        server.start()
        yield server
    finally:
        server.stop()


@contextmanager
def server_on_postgresql(
    home: Path, *, auth: str = "", skew: float = 0.0
) -> Iterator[PrefectServer]:
    """One that runs, on a PostgreSQL of its own; skips where that is not installed.

    Args:
        skew: seconds by which the database's clock is ahead.
    """
    if binaries() is None:
        pytest.skip("PostgreSQL is missing: apt-get install postgresql")
    database = PostgreSQL()
    server = PrefectServer(home, auth=auth, PREFECT_API_DATABASE_CONNECTION_URL=database.url)
    try:
        database.start()
        if skew:
            database.skew(skew)
        with running(server):
            yield server
    finally:
        database.stop()


def _number(artifact: dict[str, Any]) -> int:
    """The iteration of a checkpoint, the epoch of a driver; 0 for a table or a report."""
    try:
        data = json.loads(artifact["data"])
        number = data["commit"]["iteration"] if "commit" in data else data["epoch"]["epoch"]
    except (KeyError, TypeError, ValueError):
        return 0
    return int(number)

"""A server whose database is busy: clients of one that we start ask again, of others it is said."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import anyio
import httpx
import pytest
from prefect.client.base import PrefectHttpxAsyncClient

from qcsc_loop.prefect.serve_api import asks_again
from system.command_line import WANDER, CommandLine

TIMES = 20  # more than a client of Prefect tries by itself


class Busy:
    """An application that is busy so many times, and then has done what was asked."""

    def __init__(self, times: int) -> None:
        self.left = times

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        status = 503 if self.left else 200
        self.left = max(0, self.left - 1)
        await send({"type": "http.response.start", "status": status, "headers": [(b"own", b"1")]})
        await send({"type": "http.response.body", "body": b""})


async def answer(application: Any) -> httpx.Response:
    transport = httpx.ASGITransport(application)
    async with PrefectHttpxAsyncClient(transport=transport, base_url="http://busy") as client:
        return await client.post("/flow_runs/")


@pytest.fixture
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async def no_time(_seconds: float) -> None: ...

    monkeypatch.setattr("prefect.client.base.anyio.sleep", no_time)


@pytest.mark.usefixtures("_at_once")
def test_a_client_of_ours_asks_until_it_is_done() -> None:
    with pytest.raises(httpx.HTTPStatusError, match="503"):  # Prefect's own: it gives up
        anyio.run(answer, Busy(TIMES))
    found = anyio.run(answer, asks_again(Busy(TIMES)))
    assert found.status_code == 200
    assert "prefect-maintenance" not in found.headers and found.headers["own"] == "1"


class Unavailable(BaseHTTPRequestHandler):
    """A server that is there, and does nothing."""

    def do_GET(self) -> None:
        self._say(200 if self.path.endswith(("/health", "/version")) else 503)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._say(503)

    def _say(self, status: int) -> None:
        body = b'"3.9.1"' if status == 200 else b"{}"
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None: ...


def test_one_that_does_not_do_its_part_is_said_in_a_sentence(qcsc_loop: CommandLine) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Unavailable) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        own = {
            "PREFECT_API_URL": f"http://127.0.0.1:{server.server_port}/api",
            "PREFECT_CLIENT_MAX_RETRIES": "0",
        }
        said = qcsc_loop("run", WANDER, "--max-iterations", "1", env=own).refusal
        server.shutdown()
    assert "it went on answering 503 Service Unavailable to GET /api/" in said

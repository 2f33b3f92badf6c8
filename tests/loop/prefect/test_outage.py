"""An answer that is none - a gateway's page with status 200 - is an outage: told once, tried again."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import anyio
import httpx
import pytest
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import Artifact

from qcsc_loop.events import Event, Trouble
from qcsc_loop.prefect.artifacts import RunArtifacts
from qcsc_loop.prefect.outage import Attempts

PAGE = b"<html><body>Please log in</body></html>"


class Gateway(ThreadingHTTPServer):
    """In front of an API: answers the first requests by itself.

    Attributes:
        pages: what it answers, one after the other.
    """

    def __init__(self, pages: list[bytes]) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.pages = pages


class Answer(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Gateway)
        self.rfile.read(int(self.headers["content-length"]))
        if self.server.pages:
            return self.say(self.server.pages.pop(0))
        return self.say(b"[]")

    def do_GET(self) -> None:
        self.send_error(404)  # of a token against forged requests: there is none

    def say(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


@contextmanager
def gateway(*pages: bytes) -> Iterator[Gateway]:
    with Gateway([*pages]) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def artifacts_of(server: Gateway) -> RunArtifacts:
    client = PrefectClient(f"http://127.0.0.1:{server.server_port}/api")
    return RunArtifacts(client, "run")


@pytest.mark.parametrize("page", [PAGE, b"", b"[]"])
def test_a_page_in_place_of_an_answer_does_not_end_the_publishing(
    monkeypatch: pytest.MonkeyPatch, page: bytes
) -> None:
    monkeypatch.setattr("qcsc_loop.prefect.outage.PAUSE", 0.0)
    told: list[Event] = []
    attempts, pages = Attempts(told.append, lambda: None), [page, page]

    async def publish() -> None:
        if pages:  # as the client reads what it gets for a new artifact
            Artifact.model_validate(httpx.Response(200, content=pages.pop()).json())

    anyio.run(attempts.until_done, publish)
    assert (attempts.healthy, attempts.successes, pages) == (True, 1, [])
    assert [type(event) for event in told] == [Trouble]


@pytest.mark.parametrize("page", [PAGE, b"{}", b"null"])
def test_a_page_in_place_of_a_list_does_not_end_the_publishing(
    monkeypatch: pytest.MonkeyPatch, page: bytes
) -> None:
    monkeypatch.setattr("qcsc_loop.prefect.outage.PAUSE", 0.0)
    attempts = Attempts(lambda _: None, lambda: None)

    async def look() -> None:
        artifacts = artifacts_of(server)

        async def act() -> None:
            assert await artifacts.newest_driver("a-run") is None

        with anyio.fail_after(30):
            await attempts.until_done(act)

    with gateway(page) as server:
        anyio.run(look)
    assert attempts.healthy

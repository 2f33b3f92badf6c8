"""A Prefect API for as long as it is needed: the configured one, or a temporary server."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
from prefect.context import FlowRunContext
from prefect.settings import PREFECT_API_URL, get_current_settings, temporary_settings

from qcsc_loop.concurrency.child import tie_to_this_process
from qcsc_loop.errors import PrefectRefused, PrefectUnreachable

START_SECONDS = 180  # the first start on a slow disk migrates the database
ANSWER_SECONDS = 10
FLUSH_SECONDS = 3
REFUSING = (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN)

QUIET = {
    "PREFECT_SERVER_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_UI_ENABLED": "false",
    "DO_NOT_TRACK": "1",
}


@contextmanager
def prefect_api(tell: Callable[[str], None] = lambda _: None) -> Iterator[str]:
    """The URL of an API that answers; Prefect uses it inside the block.

    Without a configured one, a temporary server on 127.0.0.1 with the user's own database. Unlike
    Prefect's own ephemeral server it cannot outlive this process, however that is killed.

    Args:
        tell: told what takes a while.

    Raises:
        PrefectUnreachable: the configured API, or the temporary server, does not answer.
        PrefectRefused: it asks for a password or a key.
    """
    configured = PREFECT_API_URL.value()
    if FlowRunContext.get() is not None:  # Prefect has one already, if need be its own
        yield str(configured or "Prefect's own server")
        return
    if configured:
        _require_answer(str(configured))
        yield str(configured)
        return
    tell("starting a temporary Prefect server")
    with _temporary_server() as url, temporary_settings({PREFECT_API_URL: url}):
        try:
            yield url
        finally:
            flush()


def flush() -> None:
    """Sends what Prefect has queued: once the server is gone it would complain on the console."""
    # from a thread of its own: where an event loop runs Prefect would return a coroutine
    with ThreadPoolExecutor(1) as outside:
        outside.submit(_flush).result()


def _flush() -> None:
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    for worker in (APILogWorker, EventsWorker):
        with contextlib.suppress(Exception):  # never started, or a cancelled run: nothing to send
            worker.drain_all(timeout=FLUSH_SECONDS)


def _require_answer(url: str) -> None:
    try:
        # /health answers anybody
        response = httpx.get(
            f"{url.rstrip('/')}/admin/version",
            timeout=ANSWER_SECONDS,
            auth=_auth(),
            headers=_headers(),
        )
        if response.status_code in REFUSING:
            raise PrefectRefused(url)
        response.raise_for_status()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise PrefectUnreachable(url, str(error) or type(error).__name__) from error


def _auth() -> tuple[str, str] | None:
    secret = get_current_settings().api.auth_string
    if secret is None:
        return None
    user, _, password = secret.get_secret_value().partition(":")
    return user, password


def _headers() -> dict[str, str]:
    key = get_current_settings().api.key
    return {} if key is None else {"Authorization": f"Bearer {key.get_secret_value()}"}


@contextmanager
def _temporary_server() -> Iterator[str]:
    port = _free_port()
    url = f"http://127.0.0.1:{port}/api"
    command = [
        sys.executable,
        "-m",
        "uvicorn",
        "--factory",
        "prefect.server.api.server:create_app",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--log-level",
        "critical",
    ]
    with tempfile.TemporaryFile() as log:
        server = subprocess.Popen(
            tie_to_this_process(command),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, **QUIET},
            start_new_session=True,  # a Ctrl-C is for the driver, which needs the API to say so
        )
        try:
            _wait_for(server, url, log.fileno())
            yield url
        finally:
            server.terminate()
            try:
                server.wait(timeout=3)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _wait_for(server: subprocess.Popen[bytes], url: str, log: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if server.poll() is not None:
            said = Path(f"/proc/self/fd/{log}").read_text(errors="replace").strip().splitlines()
            why = said[-1] if said else f"exit code {server.returncode}"
            raise PrefectUnreachable(url, f"the temporary server did not start: {why}")
        try:
            if httpx.get(f"{url}/health", timeout=2).is_success:
                return
        except httpx.HTTPError:
            time.sleep(0.05)
    raise PrefectUnreachable(url, f"the temporary server did not start within {START_SECONDS} s")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

"""A Prefect API for as long as it is needed: the configured one, or a temporary server."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx
from prefect.context import FlowRunContext
from prefect.settings import (
    PREFECT_API_AUTH_STRING,
    PREFECT_API_URL,
    get_current_settings,
    temporary_settings,
)

from qcsc_loop.errors import PrefectRefused, PrefectUnreachable
from qcsc_loop.prefect.temporary_server import Door, temporary_server

ANSWER_SECONDS = 10
FLUSH_SECONDS = 3
REFUSING = (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN)


@contextmanager
def prefect_api(tell: Callable[[str], None] = lambda _: None) -> Iterator[str]:
    """The URL of an API that answers; Prefect uses it inside the block.

    Without a configured one, a temporary server on 127.0.0.1 with the user's own database. Unlike
    Prefect's own ephemeral server it cannot outlive this process, however that is killed, and lets
    nobody else in.

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
    with temporary_server() as door, temporary_settings(_settings(door)):
        try:
            yield door.url
        finally:
            flush()


def _settings(door: Door) -> dict[Any, str]:  # Any: Prefect does not name its settings' type
    """What makes Prefect use it: in this process, not in its environment, which jobs inherit."""
    return {PREFECT_API_URL: door.url, PREFECT_API_AUTH_STRING: door.auth}


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

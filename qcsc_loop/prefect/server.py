"""A Prefect API for as long as it is needed: the configured one, one's own, or a temporary server."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Literal

import httpx
from prefect.context import FlowRunContext
from prefect.settings import (
    PREFECT_API_AUTH_STRING,
    PREFECT_API_URL,
    get_current_settings,
    temporary_settings,
)

from qcsc_loop.errors import PrefectRefused, PrefectUnreachable, QcscLoopError
from qcsc_loop.plain import Json
from qcsc_loop.prefect import own_server
from qcsc_loop.prefect.own_server import OwnServer
from qcsc_loop.prefect.temporary_server import Door, starting_server

ANSWER_SECONDS = 10
PAGES_SECONDS = 3
OWN_SECONDS = 120.0  # for one's own server to be back: then a run goes on without
FLUSH_SECONDS = 3
REFUSING = (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN)
STARTING = (
    "starting a temporary Prefect server: it ends with this command and has no pages "
    "(qcsc-loop server start: one that stays, and has)"
)

_starting: ContextVar[Callable[[], None] | None] = ContextVar("starting", default=None)
"""What waits for the temporary server of this process, if it has one."""

Tell = Callable[[str], None]
Kind = Literal["configured", "own", "temporary", "given"]


@dataclass(frozen=True)
class Api:
    """A Prefect API that Prefect uses here.

    Attributes:
        kind: `given` where this is called in a flow, which has one.
        wait: returns once it answers; raises PrefectUnreachable where it does not.
    """

    kind: Kind
    url: str
    wait: Callable[[], None] = lambda: None

    @property
    def words(self) -> str:
        """Which one it is, for people."""
        return "your own Prefect server" if self.kind == "own" else f"the Prefect API at {self.url}"


@contextmanager
def prefect_api(tell: Tell = lambda _: None) -> Iterator[str]:
    """The URL of an API that answers; Prefect uses it inside the block.

    Without a configured one it is the server of `qcsc-loop server`, where there is one, or else a
    temporary server on 127.0.0.1 with the user's own database. Unlike Prefect's own ephemeral server
    it cannot outlive this process, however that is killed, and lets nobody else in.

    Args:
        tell: told what takes a while.

    Raises:
        PrefectUnreachable: the configured API, or the temporary server, does not answer.
        PrefectRefused: it asks for a password or a key.
    """
    with opened_api(tell) as api:
        api.wait()
        yield api.url


@contextmanager
def opened_api(tell: Tell) -> Iterator[Api]:
    """The same, but that a temporary server may still be starting: `Api.wait` waits for it."""
    configured = PREFECT_API_URL.value()
    if FlowRunContext.get() is not None:  # Prefect has one already, if need be its own
        yield Api("given", str(configured or "Prefect's own server"))
    elif configured:
        if (wait := _starting.get()) is not None:
            wait()  # a hook that comes before our own server does
        _require_answer(str(configured))
        yield Api("configured", str(configured))
    elif (own := _own(tell)) is not None:
        door = own.door()
        with temporary_settings(_settings(door)):
            try:
                yield Api("own", door.url)
            finally:
                flush()
    else:
        tell(STARTING)
        with starting_server() as (door, wait), temporary_settings(_settings(door)):
            token = _starting.set(wait)
            try:
                yield Api("temporary", door.url, wait)
            finally:
                _starting.reset(token)
                flush()


@contextmanager
def lasting_api(tell: Tell = lambda _: None) -> Iterator[str]:
    """The URL of the configured API, whether it answers or not, or of one's own server.

    Raises:
        PrefectUnreachable: there is neither, and a temporary server starts nothing.
    """
    if configured := PREFECT_API_URL.value():
        yield str(configured)
    elif (own := _own(tell)) is not None:
        door = own.door()
        with temporary_settings(_settings(door)):
            try:
                yield door.url
            finally:
                flush()
    else:
        why = "it is not set, and only a server starts runs; qcsc-loop server start makes one"
        raise PrefectUnreachable("PREFECT_API_URL", why)


def _own(tell: Tell) -> OwnServer | None:
    """One's own server, started again if it was killed; None: there is none to be used here."""
    folder = own_server.server_folder()
    found = own_server.look(folder)
    if found.state is own_server.State.NONE:
        return None
    if found.state is own_server.State.ELSEWHERE:
        tell(f"your own Prefect server runs on {found.host}, and is not reached from here")
        return None
    if found.state is not own_server.State.RUNNING:
        try:
            return own_server.start(folder, tell=tell, seconds=OWN_SECONDS)
        except QcscLoopError as error:  # a run needs none of it
            tell(f"your own Prefect server is not used: {error}")
            return None
    return found


def pages_of(url: str) -> str:
    """Where the pages of an API's server are; empty: it has none, or does not say."""
    found = _pages(url)
    version = found.get("default_ui", "v1")
    below = str(found.get(f"{version}_base_url") or "").rstrip("/")
    return f"{_base(url)}{below}" if found else ""


def asked_by_pages(url: str) -> str | None:
    """The API that the pages of an API's server ask; None: it has none, or does not say."""
    asked = _pages(url).get("api_url")
    return asked if isinstance(asked, str) else None


def _pages(url: str) -> Json:
    """What a server says of its pages; empty: it has none."""
    try:
        with httpx.Client(timeout=PAGES_SECONDS) as client:
            answer = client.get(f"{_base(url)}/ui-settings")
            found = answer.json() if answer.is_success else {}
    except (httpx.HTTPError, httpx.InvalidURL, ValueError):
        return {}
    there = isinstance(found, dict) and found.get("available_uis", ["v1"])  # older ones do not say
    return found if there else {}


def _base(url: str) -> str:
    return url.rstrip("/").removesuffix("/api")


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

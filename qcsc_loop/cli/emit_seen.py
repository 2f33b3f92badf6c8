"""`emit files` and `emit backend`: events for files that appear and backends that are calibrated."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

from qcsc_loop.cli.deploy import require_server
from qcsc_loop.cli.emit import require_name
from qcsc_loop.errors import InvalidParameters
from qcsc_loop.parameters.environment import environment
from qcsc_loop.plain import Json
from qcsc_loop.printing import say, say_json
from qcsc_loop.store.directory import DirectoryStore

if TYPE_CHECKING:
    from qcsc_loop.deployments.watching import Sighting, Watcher


@dataclass(frozen=True)
class Watch:
    """How it is watched, and what is said of it.

    Attributes:
        every: seconds between looks.
        once: whether one round of looks is all.
    """

    event: str
    store: Path | None
    every: float
    once: bool
    as_json: bool


@dataclass(frozen=True)
class Seen:
    """An event that was sent because something was seen.

    Attributes:
        about: the id of the resource it is about.
    """

    event: str
    about: str
    payload: Json


def emit_files(folder: Path, pattern: str, watch: Watch) -> None:
    """Tells of every file's content that appears, until ended.

    Raises:
        InvalidParameters: not a name for an event, or no pattern of names.
        PrefectUnreachable: no server is configured.
    """
    if "/" in pattern or not pattern:
        problem = f"--pattern: {pattern!r} is no pattern of names, such as '*.h5'"
        raise InvalidParameters("emit", [problem], [])
    _require(watch)
    from qcsc_loop.deployments.watching import Files

    # a file counts once it has stayed the same from one look to the next
    anyio.run(_tell, Files(folder, pattern), watch, 2 if watch.once else None, False)


def emit_backend(backend: str, credentials: str, watch: Watch) -> None:
    """Tells of every calibration of a backend after the one that it has at first, until ended.

    Raises:
        InvalidParameters: not a name for an event, or for credentials.
        PrefectUnreachable: no server is configured.
    """
    from pydantic import ValidationError

    from qcsc_loop.deployments.watching import Calibrations
    from qcsc_loop.sampling.ibm.account import IBMAccount

    try:
        account = IBMAccount(credentials=credentials)
    except ValidationError:
        problem = f"--credentials: {credentials!r} is not of the form ibm-credentials/NAME"
        raise InvalidParameters("emit", [problem], []) from None
    _require(watch)
    anyio.run(_tell, Calibrations(account, backend), watch, 1 if watch.once else None, True)


def _require(watch: Watch) -> None:
    require_name(watch.event)
    require_server()


async def _tell(watcher: Watcher, watch: Watch, looks: int | None, first: bool) -> None:
    """Posts and prints what is seen; see `watching.watch`."""
    from qcsc_loop.deployments import watching
    from qcsc_loop.prefect.emitting import external_id, post_event

    event = watch.event

    async def post(seen: Sighting) -> None:
        await post_event(event, seen.about, seen.payload, external_id(event, seen.once))

    kept = DirectoryStore(watch.store or environment().store)
    say = _Sayer(event, watch.as_json)
    async for what in watching.watch(
        watcher, kept, event, post, every=watch.every, looks=looks, first=first
    ):
        say(what)
        if looks is not None and isinstance(what, Exception):
            raise what


class _Sayer:
    """Prints events, and troubles when they begin."""

    def __init__(self, event: str, as_json: bool) -> None:
        self._event, self._as_json, self._trouble = event, as_json, ""

    def __call__(self, what: Sighting | Exception) -> None:
        if isinstance(what, Exception):
            if str(what) != self._trouble:
                say(f"{_now()}  {what}", to_stderr=True)
            self._trouble = str(what)
            return
        self._trouble = ""
        if self._as_json:
            say_json(asdict(Seen(self._event, what.about, what.payload)))
        else:
            say(f"{_now()}  {self._event}: {what.about}")


def _now() -> str:
    return f"{datetime.now():%Y-%m-%d %H:%M:%S}"

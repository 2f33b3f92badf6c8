"""`watch`: events for files that appear and backends that are calibrated."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

from qcsc_loop.cli.deploy import require_server
from qcsc_loop.cli.emit import require_name
from qcsc_loop.errors import InvalidParameters
from qcsc_loop.parameters.environment import environment
from qcsc_loop.store.directory import DirectoryStore

if TYPE_CHECKING:
    from qcsc_loop.deployments.watching import Sighting, Watcher


def watch_files(
    *, folder: Path, event: str, pattern: str, store: Path | None, every: float, once: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Tells of every file's content that appears, until ended.

    Raises:
        InvalidParameters: not a name for an event, or no pattern of names.
        PrefectUnreachable: no server is configured.
    """
    if "/" in pattern or not pattern:
        problem = f"--pattern: {pattern!r} is no pattern of names, such as '*.h5'"
        raise InvalidParameters("watch", [problem], [])
    from qcsc_loop.deployments.watching import Files

    _watch(Files(folder, pattern), event, store, every, 2 if once else None, False, as_json)


def watch_backend(
    *, backend: str, event: str, credentials: str, store: Path | None, every: float, once: bool,
    as_json: bool,
) -> None:  # fmt: skip
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
        raise InvalidParameters("watch", [problem], []) from None
    looks = 1 if once else None
    _watch(Calibrations(account, backend), event, store, every, looks, True, as_json)


def _watch(
    watcher: Watcher,
    event: str,
    store: Path | None,
    every: float,
    looks: int | None,
    first: bool,
    as_json: bool,
) -> None:
    require_name(event)
    require_server()
    from qcsc_loop.deployments.watching import watch
    from qcsc_loop.prefect.emitting import external_id, post_event

    async def post(seen: Sighting) -> None:
        await post_event(event, seen.about, seen.payload, external_id(event, seen.once))

    async def main() -> None:
        kept = DirectoryStore(store or environment().store)
        say = _Sayer(event, as_json)
        async for what in watch(watcher, kept, event, post, every=every, looks=looks, first=first):
            say(what)
            if looks is not None and isinstance(what, Exception):
                raise what

    anyio.run(main)


class _Sayer:
    """Prints events, and troubles when they begin."""

    def __init__(self, event: str, as_json: bool) -> None:
        self._event, self._as_json, self._trouble = event, as_json, ""

    def __call__(self, what: Sighting | Exception) -> None:
        if isinstance(what, Exception):
            if str(what) != self._trouble:
                print(f"{_now()}  {what}", file=sys.stderr, flush=True)
            self._trouble = str(what)
            return
        self._trouble = ""
        if self._as_json:
            facts = {"event": self._event, "about": what.about, "payload": what.payload}
            print(json.dumps(facts), flush=True)
        else:
            print(f"{_now()}  {self._event}: {what.about}", flush=True)


def _now() -> str:
    return f"{datetime.now():%Y-%m-%d %H:%M:%S}"

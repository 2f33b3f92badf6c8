"""Views of runs that have ended, remembered from one list to the next: of 2,000 runs few have changed.

What a list is sorted by stands beside each view, which is made of its records where it is asked for.
The file is this person's own cache: nothing but a list reads it, and whatever is wrong with it costs
the time that it would have saved.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from pydantic import ValidationError

from qcsc_loop.concurrency.whole_file import write_whole
from qcsc_loop.parameters.environment import cache_folder
from qcsc_loop.plain import Json
from qcsc_loop.reports.columns import Columns
from qcsc_loop.reports.status import RunStatus
from qcsc_loop.reports.view import RunReader, View
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.live import ChartRecord, LiveRecord
from qcsc_loop.store.records import EndRecord, EpochRecord, RunRecord
from qcsc_loop.store.versions import this_version

FORMAT = 2
FEW = 50  # runs are read as quickly as remembered
SETTLED_SECONDS = 2.0  # of a file's time: what is younger may be written again in the same tick
_PLACES = ("", "/run.json", "/epochs", "/checkpoints", "/history.jsonl", "/jobs.jsonl")
"""What changes whenever a run does that has ended."""


@dataclass(frozen=True)
class Entry:
    """A run in a list: what lists are made by, and its view.

    Attributes:
        last_seen: as `View.last_seen`.
        read: makes the view.
    """

    run_id: str
    status: RunStatus
    algorithm: str
    last_seen: datetime | None
    read: Callable[[], View]

    @cached_property
    def view(self) -> View:
        """The run's view.

        Raises:
            RunNotFound, QcscLoopError, OSError: as `RunReader.skim`, of one that is remembered wrongly.
        """
        return self.read()

    @classmethod
    def of(cls, view: View) -> Entry:
        """A run that was read."""
        return cls(view.run_id, view.status, view.algorithm, view.last_seen, lambda: view)


class Remembered:
    """What is remembered of one store."""

    def __init__(self, store: DirectoryStore) -> None:
        self._store, self._root = store, str(store.root)
        name = hashlib.sha256(os.fsencode(self._root)).hexdigest()[:32]
        self._file = cache_folder() / "qcsc-loop" / f"list-{name}.json"
        self._version = f"{FORMAT} {this_version()}"
        self._before = self._read()
        self._now: dict[str, Json] = {}
        self._changed = False

    def entry(self, run_id: str) -> Entry | None:
        """A run's entry, if nothing of the run has changed since; None: it is to be read."""
        known = self._before.get(run_id)
        if known is None:
            return None
        try:
            if known["signature"] != self._signature(run_id):
                return None
            found = self._entry(run_id, known)
        except (ValueError, KeyError, TypeError):
            return None
        self._now[run_id] = known
        return found

    def _entry(self, run_id: str, known: Json) -> Entry:
        seen: float | None = known["seen"]
        text: str = known["view"]

        def read() -> View:
            try:
                return _view(run_id, f"{self._root}/{run_id}", json.loads(text))
            except (ValidationError, ValueError, KeyError, TypeError):
                return RunReader(self._store, run_id).skim()

        return Entry(
            run_id,
            RunStatus(known["status"]),
            str(known["algorithm"]),
            None if seen is None else datetime.fromtimestamp(seen, UTC),
            read,
        )

    def keep(self, view: View) -> None:
        """Remembers a run that has ended, unless it was a moment ago."""
        signature = self._signature(view.run_id)
        latest = max((times[0] for times in signature if times), default=0) / 1e9
        if _is_settled(view) and time.time() - latest > SETTLED_SECONDS:
            seen = view.last_seen
            self._now[view.run_id] = {
                "signature": signature,
                "status": str(view.status),
                "algorithm": view.algorithm,
                "seen": None if seen is None else seen.timestamp(),
                "view": json.dumps(_facts(view)),
            }
            self._changed = True

    def save(self) -> None:
        """Keeps what is known now for the next list, where that can be kept."""
        same = not self._changed and len(self._now) == len(self._before)
        if same or len(self._now) < FEW:
            return
        with suppress(OSError):
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with write_whole(self._file, sync="nothing", mode=0o600) as file:
                file.write(json.dumps({"version": self._version, "runs": self._now}).encode())

    def _read(self) -> dict[str, Json]:
        try:
            found = json.loads(self._file.read_bytes())
            return dict(found["runs"]) if found["version"] == self._version else {}
        except (OSError, ValueError, KeyError, TypeError):
            return {}

    def _signature(self, run_id: str) -> list[list[int]]:
        found: list[list[int]] = []
        for place in _PLACES:
            try:
                status = os.stat(f"{self._root}/{run_id}{place}")
                found.append([status.st_mtime_ns, status.st_size, status.st_ino])
            except OSError:
                found.append([])
        return found


def _is_settled(view: View) -> bool:
    """Whether it stays as it is until one of its files changes."""
    readable = view.record is not None and view.driver is not None and not view.trouble
    ended = view.end is not None and view.status is not RunStatus.HANDED_OVER
    return readable and ended and not view.jobs


def _facts(view: View) -> Json:
    assert view.record is not None and view.driver is not None and view.end is not None
    return {
        "status": str(view.status),
        "record": view.record.model_dump_json(),
        "driver": view.driver.model_dump_json(),
        "end": view.end.model_dump_json(),
        "live": None if view.live is None else view.live.model_dump_json(),
        "chart": view.chart.model_dump_json(),
        "history": vars(view.history),
        "drivers": view.drivers,
    }


def _view(run_id: str, folder: str, facts: Json) -> View:
    driver = EpochRecord.model_validate_json(facts["driver"])
    live: Any = facts["live"]
    return View(
        run_id=run_id,
        folder=folder,
        status=RunStatus(facts["status"]),
        record=RunRecord.model_validate_json(facts["record"]),
        settings=driver.settings,
        driver=driver,
        end=EndRecord.model_validate_json(facts["end"]),
        live=None if live is None else LiveRecord.model_validate_json(live),
        chart=ChartRecord.model_validate_json(facts["chart"]),
        history=Columns(**facts["history"]),
        drivers=int(facts["drivers"]),
    )

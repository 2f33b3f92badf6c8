"""All runs of a store as rows of a list, kept up to date at the cost of what has changed."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from qcsc_loop.errors import QcscLoopError, RunNotFound
from qcsc_loop.plain import Json
from qcsc_loop.reports.columns import HistoryReader, Numbers
from qcsc_loop.reports.listing import note_of, plain_number
from qcsc_loop.reports.status import RunStatus
from qcsc_loop.reports.view import RunReader, View
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.journal import run_ids

POINTS = 48  # of a curve
LONGEST_BYTES = 4_000_000  # of a history whose curve is drawn
SIGNS = ("run.json", "epochs", "history.jsonl", "jobs.jsonl", "live.json", "chart.json")
"""What changes whenever anything of a run does that a row tells."""

Signature = tuple[int, ...]


@dataclass
class _Known:
    signature: Signature
    row: Json
    version: int
    status: RunStatus
    curve_of: int = -1  # the size of the history that its curve was made of


@dataclass
class RunList:
    """The rows; `refresh` looks again, and `after` gives what has changed since a version.

    A run that is driven is looked at every time: what ends it may be that nothing is written any more.
    """

    store: DirectoryStore
    version: int = 0
    is_whole: bool = False
    _known: dict[str, _Known] = field(default_factory=dict[str, _Known])
    _gone: dict[str, int] = field(default_factory=dict[str, int])
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def refresh(self) -> None:
        """Looks at what has changed; runs first, and then the curves of those that have none yet."""
        ids = run_ids(self.store)
        for run_id in ids:
            self._look(run_id)
        with self._lock:
            for run_id in self._known.keys() - set(ids):
                self.version += 1
                del self._known[run_id]
                self._gone[run_id] = self.version
            self.is_whole = True
        for run_id in ids:
            self._draw(run_id)

    def after(self, version: int) -> Json:
        """The rows that are newer than a version, and the runs that are no more."""
        with self._lock:
            return {
                "version": self.version,
                "whole": self.is_whole,
                "store": self.store.place,
                "rows": [known.row for known in self._known.values() if known.version > version],
                "gone": [run_id for run_id, at in self._gone.items() if at > version],
            }

    def _look(self, run_id: str) -> None:
        known, signature = self._known.get(run_id), self._signature(run_id)
        unchanged = known is not None and known.signature == signature
        if known is not None and unchanged and known.status is not RunStatus.RUNNING:
            return
        try:
            view = RunReader(self.store, run_id).skim()
        except RunNotFound:
            return
        except (QcscLoopError, OSError, ArithmeticError, ValueError) as error:
            folder = f"{self.store.place}/{run_id}"
            view = View(run_id, folder, RunStatus.DAMAGED, str(error))
        row = row_of(view)
        row["curve"] = known.row["curve"] if known is not None else []
        self._put(run_id, _Known(signature, row, 0, view.status, known.curve_of if known else -1))

    def _draw(self, run_id: str) -> None:
        known = self._known.get(run_id)
        path = self.store.root / run_id / "history.jsonl"
        with suppress(OSError):
            size = path.stat().st_size
            if known is None or known.curve_of == size or size > LONGEST_BYTES:
                return
            values = HistoryReader(path).read().scalars.get(str(known.row["headline"]), ())
            row = {**known.row, "curve": thinned(values)}
            self._put(run_id, _Known(known.signature, row, 0, known.status, size))

    def _put(self, run_id: str, new: _Known) -> None:
        with self._lock:
            known = self._known.get(run_id)
            new.version = known.version if known is not None else 0
            if known is None or known.row != new.row:
                self.version += 1
                new.version = self.version
            self._known[run_id] = new
            self._gone.pop(run_id, None)

    def _signature(self, run_id: str) -> Signature:
        found: list[int] = []
        for name in SIGNS:
            try:
                status = os.stat(f"{self.store.root}/{run_id}/{name}")
                found += [status.st_mtime_ns, status.st_size, status.st_ino]
            except OSError:
                found.append(-1)
        return tuple(found)


def row_of(view: View) -> Json:
    """What the list says of a run, as JSON; times in seconds since 1970."""
    seen, limit = view.last_seen, view.limits.get("iterations")
    record = view.record
    return {
        "run": view.run_id,
        "algorithm": view.algorithm,
        "status": str(view.status),
        "rank": view.status.rank,
        "trouble": view.status.is_trouble,
        "note": note_of(view),
        "iteration": view.iteration if record is not None else None,
        "limit": limit,
        "headline": view.chart.headline,
        "value": plain_number(view.headline) if len(view.history) else None,
        "spent": {name: plain_number(value) for name, value in view.history.spent.items()},
        "began": record.created.timestamp() if record is not None else None,
        "seen": seen.timestamp() if seen is not None else None,
        "next": view.next_command,
    }


def thinned(values: Numbers) -> list[float | None]:
    """A curve in few points, the last one among them; None is a gap."""
    every = max(1, math.ceil(len(values) / POINTS))
    kept: Sequence[float] = list(values)[::-1][::every][::-1]
    return [float(f"{value:.9g}") if math.isfinite(value) else None for value in kept]

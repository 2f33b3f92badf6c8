"""Looking at a run again and again: each look is of a moment, and says what nobody tells by himself."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from qcsc_loop.errors import StoreError
from qcsc_loop.reports.columns import Columns
from qcsc_loop.reports.status import RunStatus
from qcsc_loop.reports.view import RunReader, View
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.live import LogLine
from qcsc_loop.store.records import NO_DRIVER

PACE_FROM = 20  # iterations
LOG_LINES = 200
LONG_BYTES = 4_000_000  # of a history, which take a tenth of a second


@dataclass(frozen=True)
class Look:
    """A run, and when it was looked at.

    Attributes:
        at: by this process's monotonic clock.
        silent: seconds from its driver's last sign of life to this look; NaN: nobody knows.
        log: the last lines of its log, where they were asked for.
        trouble: why this is an older look than it should be; empty: it is none.
        is_first: of its history only the last iteration was read; the next look has all.
    """

    view: View
    at: float
    silent: float = math.nan
    log: Sequence[LogLine] = ()
    trouble: str = ""
    is_first: bool = False


class Looker:
    """Looks at one run."""

    def __init__(self, store: DirectoryStore, run_id: str) -> None:
        self._reader, self._store, self.run_id = RunReader(store, run_id), store, run_id
        self._last: Look | None = None

    def first_look(self) -> Look:
        """The first one, which is soon there: the whole history of a long run comes with the next.

        Raises:
            RunNotFound: the store has no such run.
            StoreError: it cannot be read.
        """
        with suppress(OSError):
            history = self._store.root / self.run_id / "history.jsonl"
            if history.stat().st_size > LONG_BYTES:
                view = self._reader.glance()
                chart = view.chart.model_copy(
                    update={"better": ""}
                )  # what is best is not known yet
                view = replace(view, chart=chart)
                return Look(view, time.monotonic(), self._silent(view), is_first=True)
        return self.look()

    def look(self, *, log: bool = False) -> Look:
        """The run as it stands; as it stood, where the store cannot be read just now.

        Raises:
            RunNotFound: the store has no such run.
            StoreError: it could not be read the first time.
        """
        try:
            view = self._reader.look()
            lines = self._reader.log(LOG_LINES) if log else ()
            self._last = Look(view, time.monotonic(), self._silent(view), lines)
        except (StoreError, OSError) as error:
            if self._last is None and isinstance(error, OSError):
                why = error.strerror or str(error)
                raise StoreError("read", f"{self._store.place}/{self.run_id}", why) from error
            if self._last is None:
                raise
            last = self._last
            self._last = Look(last.view, last.at, last.silent, last.log, str(error))
        return self._last

    def _silent(self, view: View) -> float:
        """Of a driver that is gone."""
        if view.status is not RunStatus.GONE or not view.drivers:
            return math.nan
        try:
            age = self._store.age(f"{self.run_id}/epochs/{view.drivers:04d}.beat")
        except StoreError:
            return math.nan
        return math.nan if age is None else age


def phase_seconds(look: Look, now: float) -> float:
    """How long the driver has been at what it does; no two hosts' clocks are compared."""
    live = look.view.live
    if live is None:
        return math.nan
    before = (live.at - live.since).total_seconds()
    return max(0.0, before + look.view.seen + now - look.at)


@dataclass(frozen=True)
class Pace:
    """What one of the last iterations took, in seconds.

    Attributes:
        whole: the median.
        phases: means by hook, less what its jobs waited; then "queue", and "rest" for all that is
            in no hook, such as commits and the server.
    """

    whole: float
    phases: dict[str, float]


def pace(view: View) -> Pace:
    """That of the last iterations of the run; NaN and nothing where none has one."""
    last = view.history.tail(PACE_FROM + 1)
    took = list(last.took)
    rows = [row for row, seconds in enumerate(took) if math.isfinite(seconds)]
    if not rows:  # a chain, where each iteration has a driver of its own
        rows = [row for row in range(1, len(last)) if last.epochs[row] != NO_DRIVER]
        took = [_in_hooks(last, row) for row in range(len(last))]
    if not rows:
        return Pace(math.nan, {})
    waited = _waited(view, {last.iterations[row] for row in rows})
    phases: dict[str, float] = {}
    queue = 0.0
    for step, seconds in last.seconds.items():
        values = [0.0 if math.isnan(seconds[row]) else seconds[row] for row in rows]
        waits = [
            min(value, waited.get((last.iterations[row], step), 0.0))
            for row, value in zip(rows, values, strict=True)
        ]
        phases[step] = (sum(values) - sum(waits)) / len(rows)
        queue += sum(waits) / len(rows)
    whole = sum(took[row] for row in rows) / len(rows)
    phases["queue"] = queue
    phases["rest"] = max(0.0, whole - sum(phases.values()))
    return Pace(sorted(took[row] for row in rows)[len(rows) // 2], phases)


def _in_hooks(columns: Columns, row: int) -> float:
    return sum(v[row] for v in columns.seconds.values() if math.isfinite(v[row]))


def _waited(view: View, iterations: set[int]) -> dict[tuple[int, str], float]:
    """How long each step's jobs waited, of those that waited at once the longest."""
    found: dict[tuple[int, str], float] = {}
    for job in view.jobs:
        if job.key.iteration in iterations and (waited := job.metrics.queue_seconds) is not None:
            place = job.key.iteration, job.key.step
            found[place] = max(found.get(place, 0.0), waited)
    return found


def usual_seconds(history: Columns, step: str) -> float:
    """What a hook took of late, the median; NaN: nobody knows."""
    values = history.tail(PACE_FROM).seconds.get(step, ())
    known = sorted(v for v in values if math.isfinite(v))
    return known[len(known) // 2] if known else math.nan

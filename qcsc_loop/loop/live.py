"""Writes what a driver is doing, and what happened to it, for whoever looks on or comes later.

Written by a thread: a disk that hangs holds up no iteration. What cannot be written is lost; the run
relies on none of it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from qcsc_loop.errors import StoreError
from qcsc_loop.events import Event, Trouble
from qcsc_loop.jobs.events import JobChanged
from qcsc_loop.loop.events import (
    ChartRead,
    IterationCommitted,
    PhaseStarted,
    StepRetried,
    StepStarted,
)
from qcsc_loop.loop.warnings import warning_of
from qcsc_loop.steps.events import PartsMoved
from qcsc_loop.store.journal import Journal
from qcsc_loop.store.live import (
    COMMITTING,
    ChartRecord,
    Level,
    LiveJob,
    LiveParts,
    LiveRecord,
    LogLine,
    SideFiles,
)
from qcsc_loop.store.records import now

EVERY_SECONDS = 1.0
WRITING_SHARE, SELDOMEST_SECONDS = 20, 10.0  # of as many seconds, writing what is done takes one
LAST_WORDS_SECONDS = 2.0  # for a disk that hangs
WARNINGS = 5
LINES_AHEAD = 1000  # a hook that logs faster than the disk takes it loses the oldest

_hooks = logging.getLogger("qcsc_loop.hooks")


class Doing:
    """What a driver is doing, by the events that it tells.

    Attributes:
        chart: how the run is looked at; None: not said yet.
    """

    def __init__(self, epoch: int) -> None:
        self._epoch = epoch
        self._phase = LiveRecord(epoch=epoch)
        self._jobs: dict[str, LiveJob] = {}
        self._parts: dict[str, LiveParts] = {}
        self._warnings: deque[str] = deque(maxlen=WARNINGS)
        self._warned = 0
        self.chart: ChartRecord | None = None

    def record(self) -> LiveRecord:
        """As it is now."""
        return self._phase.model_copy(
            update={
                "jobs": tuple(self._jobs.values()),
                "parts": tuple(self._parts.values()),
                "warnings": tuple(self._warnings),
                "warned": self._warned,
                "at": now(),
            }
        )

    def take(self, event: Event) -> LogLine | None:
        """Takes an event in; the line that it is worth, if any."""
        match event:
            case StepStarted():
                self._begin(event.iteration, event.step, event.attempt)
            case PhaseStarted():
                self._begin(event.iteration, event.doing)
            case PartsMoved():
                parts = LiveParts(label=event.label, done=event.done, total=event.total)
                self._parts[event.label] = parts
            case ChartRead(chart=chart):
                self.chart = chart
            case IterationCommitted():
                self.chart = event.chart
                self._begin(event.commit.iteration, COMMITTING)
            case JobChanged(remote=True):
                return self._job(event)
            case StepRetried():
                return self._warn("retry", warning_of(event), event.iteration, event.step)
            case Trouble():
                return self._warn("trouble", warning_of(event))
            case _:
                pass
        return None

    def _begin(self, iteration: int, phase: str, attempt: int = 0) -> None:
        self._parts.clear()
        self._phase = LiveRecord(
            epoch=self._epoch, iteration=iteration, phase=phase, attempt=attempt
        )

    def _job(self, event: JobChanged) -> LogLine:
        key, at = event.record.key, now()
        before = self._jobs.pop(str(key), None)
        same = before is not None and before.state == event.state
        what = "/".join(part for part in (key.label, key.name) if part)
        job = LiveJob(
            key=str(key),
            what=what,
            site=event.site,
            job_id=event.record.job_id or "",
            state=event.state,
            reason=event.reason,
            since=before.since if before is not None and same else at,
            submitted=event.record.intent.at if before is None else before.submitted,
            nodes=event.record.metrics.nodes,
        )
        if not event.state.final:
            self._jobs[str(key)] = job
        why = f" ({event.reason})" if event.reason else ""
        text = f"{what}, {event.site} job {job.job_id or '?'}: {event.change}, {event.state}{why}"
        return LogLine(
            epoch=self._epoch, kind="job", iteration=key.iteration, step=key.step, text=text
        )

    def _warn(self, kind: str, text: str, iteration: int | None = None, step: str = "") -> LogLine:
        self._warnings.append(text)
        self._warned += 1
        return LogLine.model_validate(
            {
                "epoch": self._epoch,
                "level": "warning",
                "kind": kind,
                "iteration": iteration,
                "step": step,
                "text": text,
            }
        )


class Live:
    """An observer of one driver; use it through `shown_live`."""

    def __init__(self, journal: Journal, epoch: int) -> None:
        self._files, self._doing = SideFiles(journal.store, journal.run_id), Doing(epoch)
        self._epoch = epoch
        self._chart_written: ChartRecord | None = None
        self._lines: deque[LogLine] = deque(maxlen=LINES_AHEAD)
        self._changed, self._wake, self._done = True, threading.Event(), threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._write, name="qcsc-loop-live", daemon=True)

    # the driver's side

    def __call__(self, event: Event) -> None:
        with self._lock:
            line = self._doing.take(event)
            first, self._changed = not self._changed, True
        if line is not None:
            self.add(line)
        elif first:  # else the thread knows already, and waits for its time
            self._wake.set()

    def add(self, line: LogLine) -> None:
        """Logs a line."""
        self._lines.append(line)
        self._wake.set()

    # the thread's side

    def start(self) -> None:
        """Begins to write."""
        self._wake.set()
        self._thread.start()

    def stop(self) -> None:
        """Writes what is left."""
        self._done.set()
        self._wake.set()
        self._thread.join(LAST_WORDS_SECONDS)

    def _write(self) -> None:
        next_time = -1.0
        while True:
            done = self._done.is_set()
            self._wake.clear()
            self._write_lines()
            began = time.monotonic()
            if self._changed and (done or began >= next_time):
                self._write_record()
                took = time.monotonic() - began
                pause = min(max(EVERY_SECONDS, WRITING_SHARE * took), SELDOMEST_SECONDS)
                next_time = time.monotonic() + pause
            if done:
                return
            self._wake.wait(max(0.0, next_time - time.monotonic()) if self._changed else None)

    def _write_lines(self) -> None:
        lines: list[LogLine] = []
        while self._lines:
            lines.append(self._lines.popleft())
        with suppress(StoreError):
            if lines and not self._is_superseded():
                self._files.add_to_log(lines)

    def _is_superseded(self) -> bool:
        """Whether the run is another driver's, who says here what is being done."""
        live = self._files.live()
        return live is not None and live.epoch > self._epoch

    def _write_record(self) -> None:
        with self._lock:
            self._changed = False
            live, chart = self._doing.record(), self._doing.chart
        with suppress(StoreError):
            if self._is_superseded():
                return
            if chart is not None and chart != self._chart_written:
                self._files.write_chart(chart)
                self._chart_written = chart
        with suppress(StoreError):
            self._files.write_live(live)


class _HookLog(logging.Handler):
    """Takes what one run's hooks say through `current_step().logger`."""

    def __init__(self, live: Live, run_id: str, epoch: int) -> None:
        super().__init__(logging.INFO)
        self._live, self._run_id, self._epoch = live, run_id, epoch

    def emit(self, record: logging.LogRecord) -> None:
        if getattr(record, "run_id", None) != self._run_id:
            return
        self._live.add(
            LogLine(
                epoch=self._epoch,
                level=_level(record.levelno),
                kind="hook",
                iteration=getattr(record, "iteration", None),
                step=getattr(record, "step", ""),
                text=record.getMessage(),
            )
        )


def _level(number: int) -> Level:
    if number < logging.WARNING:
        return "info"
    return "warning" if number < logging.ERROR else "error"


@contextmanager
def shown_live(journal: Journal, epoch: int) -> Iterator[Live]:
    """An observer that writes for as long as the block lasts."""
    live = Live(journal, epoch)
    handler = _HookLog(live, journal.run_id, epoch)
    _hooks.addHandler(handler)
    if _hooks.level == logging.NOTSET:
        _hooks.setLevel(logging.INFO)
    live.start()
    try:
        yield live
    finally:
        _hooks.removeHandler(handler)
        live.stop()

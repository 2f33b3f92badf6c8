"""What a run is doing, for the person at the terminal: live on a terminal, plain lines elsewhere."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import Protocol

from rich.text import Text

from qcsc_loop.cli.captured import Captured, captured_output, open_terminal, overwritten
from qcsc_loop.cli.screen import Screen
from qcsc_loop.errors import QcscLoopError
from qcsc_loop.events import Event, Trouble
from qcsc_loop.jobs.events import JobChanged
from qcsc_loop.jobs.outcome import JobState
from qcsc_loop.loop.events import (
    IterationCommitted,
    Preparing,
    RunStarted,
    RunStopped,
    StepRetried,
)
from qcsc_loop.loop.live import Doing
from qcsc_loop.loop.warnings import warning_of
from qcsc_loop.printing import as_typed, printable
from qcsc_loop.reports.frame import Frames, Space
from qcsc_loop.reports.looking import Look, Looker
from qcsc_loop.reports.phrases import elapsed
from qcsc_loop.reports.run import scalars_line
from qcsc_loop.reports.tables import PlainConsole
from qcsc_loop.store.records import Commit

LINES_A_SECOND = 10  # plain lines: a fast run must not write a log of megabytes
FRAMES_A_SECOND = 4
LOOK_EVERY = 1.0  # seconds
LAST_WORDS = 3  # lines, for how it ended
ABOVE = 5  # lines, for what hooks print
LEAST_ROWS = 12  # of the view, unless the terminal has fewer
_QUIET = (JobState.ENDING, JobState.COMPLETED)  # the iteration's own line says so


class Progress(Protocol):
    """An observer that shows."""

    def __call__(self, event: Event) -> None: ...

    def say(self, text: str) -> None:
        """Shows a line."""


@contextmanager
def progress(console: PlainConsole, looker: Looker) -> Iterator[Progress]:
    """The observer that fits the console, for as long as the run lasts."""
    if not console.file.isatty() or console.is_dumb_terminal:
        yield PlainProgress(console)
        return
    screen = Screen(open_terminal(console.file.fileno()))
    with captured_output(screen.put) as captured:
        view = LiveProgress(screen, looker, captured)
        with view.kept_fresh():
            yield view


@contextmanager
def show_hook_logs(shown: Progress) -> Iterator[None]:
    """Shows what hooks say through `current_step().logger`; warnings of ours are shown already."""
    ours, hooks = logging.getLogger("qcsc_loop"), logging.getLogger("qcsc_loop.hooks")
    handler, nowhere = _HookLog(shown), logging.NullHandler()
    hooks.addHandler(handler)
    hooks.setLevel(logging.INFO)
    ours.addHandler(nowhere)
    ours.propagate = False
    try:
        yield
    finally:
        hooks.removeHandler(handler)
        ours.removeHandler(nowhere)
        ours.propagate = True


class _HookLog(logging.Handler):
    def __init__(self, shown: Progress) -> None:
        super().__init__(logging.INFO)
        self._shown = shown

    def emit(self, record: logging.LogRecord) -> None:
        where = f"{getattr(record, 'step', '')}[{getattr(record, 'iteration', '')}]"
        self._shown.say(f"{where} {record.levelname.lower()}: {record.getMessage()}")


class PlainProgress:
    """A line for each event worth one."""

    def __init__(self, console: PlainConsole) -> None:
        self._console, self._last_line, self._last = console, -math.inf, time.monotonic()
        self._held_back: str | None = None

    def __call__(self, event: Event) -> None:
        match event:
            case Preparing(doing=doing):
                self._line(doing)
            case RunStarted():
                self._last = time.monotonic()
                self._line(_started(event))
            case IterationCommitted(commit=commit) if commit.iteration:
                self._iteration(commit)
            case JobChanged(remote=True, state=state) if state not in _QUIET:
                self._line(f"iteration {event.record.key.iteration}: {_job(event)}")
            case StepRetried() | Trouble():
                self._line(_warning(event))
            case RunStopped() if self._held_back is not None:
                self._line(self._held_back)
            case _:
                pass

    def _iteration(self, commit: Commit) -> None:
        now = time.monotonic()
        took = f"({now - self._last:.2f} s)"
        line = f"iteration {commit.iteration}: {scalars_line(commit.scalars)} {took}"
        self._last = now
        if now - self._last_line < 1 / LINES_A_SECOND:
            self._held_back = line
            return
        self._last_line = now
        self._line(line)

    def say(self, text: str) -> None:
        self._console.say(text)

    def _line(self, text: str) -> None:
        self._held_back = None
        self._console.say(text)


class LiveProgress:
    """The view that `watch` has, of this process's own run, and above it what is said."""

    def __init__(self, screen: Screen, looker: Looker, captured: Captured) -> None:
        self._screen, self._looker, self._captured = screen, looker, captured
        self._preparing, self._since = "starting", time.monotonic()
        self._doing: Doing | None = None
        self._frames = Frames()
        self._look: Look | None = None
        self._changed, self._over = threading.Event(), False
        self._lock = threading.Lock()

    @contextmanager
    def kept_fresh(self) -> Iterator[None]:
        """Draws again and again while the block lasts, and leaves how the run stands."""
        done = threading.Event()

        def draw() -> None:
            while not done.wait(1 / FRAMES_A_SECOND):
                with suppress(Exception):  # no picture is worth a run
                    self._draw()

        thread = threading.Thread(target=draw, name="qcsc-loop-progress", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()
            self._changed.set()
            self._over = True
            with suppress(Exception):
                self._draw_last()

    def say(self, text: str) -> None:
        self._say(Text(printable(as_typed(text))))

    def _say(self, text: Text) -> None:
        """Shows a line after what hooks have printed so far."""
        self._captured.then(partial(self._screen.say, text))

    def __call__(self, event: Event) -> None:
        with self._lock:
            self._take(event)
        match event:
            case RunStarted():
                self.say(_started(event))
            case StepRetried() | Trouble():
                self._say(Text(printable(as_typed(_warning(event))), style="yellow"))
            case _:
                pass

    def _take(self, event: Event) -> None:
        match event:
            case Preparing(doing=doing):
                self._preparing, self._since = printable(doing), time.monotonic()
            case RunStarted(epoch=epoch):
                self._doing = Doing(epoch.epoch)
                self._changed.set()
            case IterationCommitted() | RunStopped():
                self._changed.set()
            case _:
                pass
        if self._doing is not None:
            self._doing.take(event)

    def _draw(self) -> None:
        look = self._look_now()
        if look is None:
            seconds = elapsed(time.monotonic() - self._since)
            self._screen.draw([*self._written(), Text(f" {self._preparing} {seconds}")])
            return
        frame = self._frames.draw(look, self._space(ABOVE))
        self._screen.draw([*self._written(), *frame])

    def _draw_last(self) -> None:
        look = self._look_now()
        lines: list[Text] = []
        if look is not None:
            lines = self._frames.draw(look, self._space(LAST_WORDS))
        self._screen.draw(lines)
        self._screen.leave()

    def _written(self) -> list[Text]:
        """A line that a hook has not ended yet."""
        text = Text(overwritten(self._captured.unfinished))
        text.truncate(self._screen.room[0])
        return [text] if text else []

    def _space(self, less: int) -> Space:
        columns, rows = self._screen.room
        return Space(
            width=columns,
            height=max(min(rows, LEAST_ROWS), rows - less),
            now=time.monotonic(),
            ascii_only=self._screen.ascii_only,
            warnings=False,
        )

    def _look_now(self) -> Look | None:
        """The disk is asked where something was committed, and once a second at most."""
        if self._doing is None:
            return None
        due = self._look is None or time.monotonic() - self._look.at >= LOOK_EVERY
        if self._changed.is_set() and (due or self._over):
            self._changed.clear()
            with suppress(QcscLoopError, OSError):  # it is the store's, and not the run's, trouble
                self._look = self._looker.look()
        if self._look is None:
            return None
        with self._lock:
            live, chart = self._doing.record(), self._doing.chart
        view = replace(self._look.view, live=live, seen=0.0, chart=chart or self._look.view.chart)
        return replace(self._look, view=view, at=time.monotonic())


def _started(event: RunStarted) -> str:
    record = event.record
    name = record.settings.algorithm.rpartition(":")[2]
    line = f"run {record.run_id}: {name}, seed {record.seed}"
    if event.resumed_from is None:
        return line
    return f"{line}, resumed from iteration {event.resumed_from}"


def _warning(event: StepRetried | Trouble) -> str:
    return f"warning: {warning_of(event)}"


def _job(event: JobChanged) -> str:
    """'bitcount, Slurm job 12: PENDING (Resources)'."""
    key = event.record.key
    what = "/".join(part for part in (key.label, key.name) if part)
    why = f" ({event.reason})" if event.reason else ""
    job_id = event.record.job_id or "?"
    return printable(f"{what}, {event.site} job {job_id}: {event.state}{why}")

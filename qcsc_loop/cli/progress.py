"""What a run is doing, for the person at the terminal: live on a terminal, plain lines elsewhere."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from qcsc_loop.events import Event, Trouble
from qcsc_loop.jobs.events import JobChanged
from qcsc_loop.jobs.outcome import JobState
from qcsc_loop.loop.events import (
    IterationCommitted,
    Preparing,
    RunStarted,
    RunStopped,
    StepRetried,
    StepStarted,
)
from qcsc_loop.loop.warnings import warning_of
from qcsc_loop.printing import printable
from qcsc_loop.reports.run import curve, number, scalars_line
from qcsc_loop.reports.tables import PlainConsole, plain_table
from qcsc_loop.store.records import Commit

LINES_A_SECOND = 10  # plain lines: a fast run must not write a log of megabytes
LIVE_ROWS = 8
DRAWN_A_SECOND = 8
_QUIET = (JobState.ENDING, JobState.COMPLETED)  # the iteration's own line says so
CURVE_POINTS = 400


class Progress(Protocol):
    """An observer that shows."""

    def __call__(self, event: Event) -> None: ...

    def say(self, text: str) -> None:
        """Shows a line."""


@contextmanager
def progress(console: PlainConsole) -> Iterator[Progress]:
    """The observer that fits the console, for as long as the run lasts."""
    if not console.is_terminal:
        yield PlainProgress(console)
        return
    view = LiveProgress(console)
    with (
        Live(
            view, console=console, auto_refresh=False, transient=True, redirect_stdout=False
        ) as live,
        view.kept_fresh(live),
    ):
        yield view
    view.leave_table()


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
    """The last iterations, the curve, and what is being done right now."""

    def __init__(self, console: PlainConsole) -> None:
        self._console, self._began = console, time.monotonic()
        self._commits: deque[Commit] = deque(maxlen=LIVE_ROWS + 1)  # one more, to see the move
        self._curve: deque[float] = deque(maxlen=CURVE_POINTS)
        self._doing, self._since = "starting", time.monotonic()
        self._spinner = Spinner("dots" if console.has_blocks else "line")
        self._jobs: dict[str, str] = {}
        # rich's own refreshing thread may draw between the erasing and the writing of a line
        self._drawing = threading.RLock()

    @contextmanager
    def kept_fresh(self, live: Live) -> Iterator[None]:
        """Draws again and again while the block lasts."""
        done = threading.Event()

        def draw() -> None:
            while not done.wait(1 / DRAWN_A_SECOND):
                with self._drawing:
                    live.refresh()

        thread = threading.Thread(target=draw, name="qcsc-loop-progress", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def say(self, text: str) -> None:
        with self._drawing:
            self._console.say(text)

    def __call__(self, event: Event) -> None:
        match event:
            case Preparing(doing=doing):
                self._doing, self._since = printable(doing), time.monotonic()
            case RunStarted():
                self.say(_started(event))
            case StepStarted(iteration=iteration, step=step):
                self._doing, self._since = f"iteration {iteration} · {step}", time.monotonic()
            case JobChanged(remote=True):
                key = event.record.key
                self._jobs[str(key)] = _job(event)
                if event.state.final:
                    del self._jobs[str(key)]
                    self._since = time.monotonic()
            case IterationCommitted(commit=commit) if commit.iteration:
                self._commits.append(commit)
                self._curve.extend(list(commit.scalars.values())[:1])
            case StepRetried() | Trouble():
                with self._drawing:
                    self._console.print(Text(printable(_warning(event)), style="yellow"))
            case _:
                pass

    def __rich__(self) -> RenderableType:
        now = time.monotonic()
        text = f" {self._doing}  {now - self._since:.1f} s   (elapsed {_clock(now - self._began)})"
        self._spinner.update(text=Text(text, style="bold"))
        return Group(*self._history(), self._spinner, *self._waits())

    def _waits(self) -> list[RenderableType]:
        """Which job waits where."""
        shown = [Text(f"  {text}", style="dim") for text in list(self._jobs.values())[:LIVE_ROWS]]
        rest = len(self._jobs) - len(shown)
        return [*shown, *([Text(f"  and {rest} more jobs", style="dim")] if rest else [])]

    def leave_table(self) -> None:
        """Leaves the last iterations on the screen when the live view is taken away."""
        for shown in self._history():
            self._console.print(shown)

    def _history(self) -> list[RenderableType]:
        if not self._commits:
            return []
        headline, *others = list(self._commits[-1].scalars) or [""]
        table = plain_table("iteration", headline, "moved", *others, "seconds")
        befores = [None, *self._commits][: len(self._commits)]
        rows = list(zip(befores, self._commits, strict=True))
        for before, commit in rows[-LIVE_ROWS:]:
            moved = _moved(before, commit, headline)
            scalars = commit.scalars
            values = [number(scalars[n]) if n in scalars else "" for n in (headline, *others)]
            spent = f"{sum(commit.seconds.values()):.2f}"
            table.add_row(str(commit.iteration), values[0], moved, *values[1:], spent)
        line = curve(list(self._curve), width=min(60, self._console.width - 20))
        if len(self._curve) < 2 or not line or not self._console.has_blocks:
            return [table]
        return [table, Text.assemble((printable(f"{headline} "), "dim"), (line, "cyan"))]


def _moved(before: Commit | None, commit: Commit, name: str) -> str:
    """How far a scalar has moved in one iteration."""
    if before is None or name not in before.scalars or name not in commit.scalars:
        return ""
    step = commit.scalars[name] - before.scalars[name]
    return f"{step:+.3g}" if math.isfinite(step) else ""


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


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"

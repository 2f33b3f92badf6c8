"""A sweep for the person at the terminal: live on a terminal, a line for what counts elsewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial

from rich.text import Text

from qcsc_loop.cli.captured import Captured, captured_output, open_terminal, overwritten
from qcsc_loop.cli.progress import Progress
from qcsc_loop.cli.screen import Screen
from qcsc_loop.events import Event
from qcsc_loop.printing import as_typed, printable
from qcsc_loop.reports.tables import PlainConsole
from qcsc_loop.sweeping.events import MemberEvent
from qcsc_loop.sweeping.following import Following, draw
from qcsc_loop.sweeping.plan import Plan
from qcsc_loop.sweeping.standing import Standing

FRAMES_A_SECOND = 4
ABOVE = 3  # lines, for what hooks print and what goes wrong


@contextmanager
def sweep_progress(
    console: PlainConsole, plan: Plan, before: Standing | None
) -> Iterator[Progress]:
    """The observer that fits the console, for as long as the sweep lasts."""
    following = Following(plan, before)
    if not console.file.isatty() or console.is_dumb_terminal:
        yield _Plain(console, following)
        return
    screen = Screen(open_terminal(console.file.fileno()))
    with captured_output(screen.put) as captured:
        view = _Live(screen, following, captured)
        with view.kept_fresh():
            yield view


class _Plain:
    """A line for each event worth one."""

    def __init__(self, console: PlainConsole, following: Following) -> None:
        self._console, self._following = console, following

    def __call__(self, event: Event) -> None:
        if line := self._following.take(event):
            self._console.say(line)

    def say(self, text: str) -> None:
        self._console.say(text)


class _Live:
    """A picture of all members, and above it what goes wrong."""

    def __init__(self, screen: Screen, following: Following, captured: Captured) -> None:
        self._screen, self._following, self._captured = screen, following, captured
        self._began = time.monotonic()

    def __call__(self, event: Event) -> None:
        line = self._following.take(event)
        if line and isinstance(event, MemberEvent):  # all else the picture shows
            self._say(Text(printable(as_typed(line)), style="yellow"))

    def say(self, text: str) -> None:
        self._say(Text(printable(as_typed(text))))

    def _say(self, text: Text) -> None:
        self._captured.then(partial(self._screen.say, text))

    @contextmanager
    def kept_fresh(self) -> Iterator[None]:
        """Draws again and again while the block lasts."""
        done = threading.Event()

        def keep_drawing() -> None:
            while not done.wait(1 / FRAMES_A_SECOND):
                with suppress(Exception):  # no picture is worth a sweep
                    self._draw()

        thread = threading.Thread(target=keep_drawing, name="qcsc-loop-sweep", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()
            with suppress(Exception):
                self._screen.draw([])  # the table comes in its place
                self._screen.leave()

    def _draw(self) -> None:
        columns, rows = self._screen.room
        written = Text(overwritten(self._captured.unfinished))
        lines = draw(
            self._following,
            width=columns,
            height=max(3, rows - ABOVE),
            seconds=time.monotonic() - self._began,
            ascii_only=self._screen.ascii_only,
        )
        self._screen.draw([*([written] if written else []), *lines])

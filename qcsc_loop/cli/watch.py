"""`watch`: runs as they go on, read from their store and nothing else."""

from __future__ import annotations

import os
import select
import signal
import sys
import termios
import threading
import time
import tty
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from qcsc_loop.cli.emit_group import refuse_moved
from qcsc_loop.cli.screen import Screen
from qcsc_loop.cli.streams import stdout_is_lost
from qcsc_loop.errors import RunNotFound
from qcsc_loop.parameters.environment import environment
from qcsc_loop.printing import store_option
from qcsc_loop.reports.frame import Below, Frames, Space, gone_words, stacked
from qcsc_loop.reports.looking import Look, Looker
from qcsc_loop.reports.plain_watch import PlainWatch
from qcsc_loop.reports.status import RunStatus
from qcsc_loop.reports.tables import PlainConsole
from qcsc_loop.store.directory import DirectoryStore

LOOK_EVERY = 1.0  # seconds: a driver does not write more often what it is doing
LAST_LOOK_SECONDS = 2.0  # that the end waits for a look that goes on
FRAMES_A_SECOND = 4
IN_TROUBLE, INTERRUPTED = 1, 130
_MAY_GO_ON = (RunStatus.RUNNING, RunStatus.NEW, RunStatus.HANDED_OVER)
_KEYS: dict[str, Below] = {"l": "log", "j": "jobs"}


def watch_runs(run_ids: Sequence[str], store: Path | None) -> int:
    """Shows runs until none of them goes on, or the person leaves; the exit code.

    Raises:
        RunNotFound: one of them is not in the store.
    """
    found = DirectoryStore(store or environment().store)
    looking = _Looking([Looker(found, run_id) for run_id in dict.fromkeys(run_ids)])
    try:
        looking.look_first()
    except RunNotFound as error:
        refuse_moved(list(run_ids), error)
        raise
    console = PlainConsole()
    more = "" if store is None else store_option(found.place)
    if not console.is_terminal or console.is_dumb_terminal:
        return _watch_plainly(looking, looking.look(), console, more)
    with looking.going_on():
        code = _Watching(looking, Screen(sys.stdout), more).until_left()
    _say_how_they_stand(looking.latest, console, more)
    return code or _code(looking.latest)


def _code(looks: Sequence[Look]) -> int:
    return IN_TROUBLE if any(look.view.status.is_trouble for look in looks) else 0


def _watch_plainly(
    looking: _Looking, looks: Sequence[Look], console: PlainConsole, more: str
) -> int:
    lines = [PlainWatch(name=len(looks) > 1) for _ in looks]
    try:
        while True:
            for each, look in zip(lines, looks, strict=True):
                for line in each.news(look):
                    console.say(line)
            if not _go_on(looks) or stdout_is_lost():
                break
            time.sleep(LOOK_EVERY)
            looks = looking.look()
    except KeyboardInterrupt:
        return INTERRUPTED
    _say_how_they_stand(looks, console, more)
    return _code(looks)


def _go_on(looks: Sequence[Look]) -> bool:
    return any(look.view.status in _MAY_GO_ON for look in looks)


def _say_how_they_stand(looks: Sequence[Look], console: PlainConsole, more: str) -> None:
    for look in looks:
        for line in _last_words(look, more):
            console.say(line)


def _last_words(look: Look, more: str) -> list[str]:
    """A sentence on how a run stands, and what to type next."""
    view = look.view
    gone = view.status is RunStatus.GONE
    how = gone_words(look, time.monotonic()) if gone else view.heading
    words = [f"{view.run_id}: {how}"]
    if view.next_command and view.status is not RunStatus.RUNNING:
        words.append(f"  {view.next_command}{more}")
    return words


class _Looking:
    """Looks at several runs, by a thread once there is somebody at the keys: a disk may hang.

    Attributes:
        latest: the last looks.
    """

    def __init__(self, lookers: Sequence[Looker]) -> None:
        self._lookers = lookers
        self._done, self._wake = threading.Event(), threading.Event()
        self.with_log, self.latest = False, list[Look]()
        self.error: Exception | None = None

    def look_first(self) -> None:
        """Looks for the first time; the next time is soon where that did not see all."""
        self.latest = [each.first_look() for each in self._lookers]
        if self.saw_not_all:
            self.soon()

    @property
    def saw_not_all(self) -> bool:
        """Whether the last looks were first ones."""
        return any(look.is_first for look in self.latest)

    def look(self) -> list[Look]:
        """Looks now."""
        self.latest = [each.look(log=self.with_log) for each in self._lookers]
        return self.latest

    def soon(self) -> None:
        """Looks before it is time."""
        self._wake.set()

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """Looks again and again."""
        thread = threading.Thread(target=self._look_again, name="qcsc-loop-watch", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._done.set()
            self._wake.set()
            # one that is at work when the interpreter ends may be torn down with the process
            thread.join(LAST_LOOK_SECONDS)
        if self.error is not None:
            raise self.error

    def _look_again(self) -> None:
        while not self._done.is_set():
            self._wake.wait(LOOK_EVERY)
            self._wake.clear()
            try:
                self.look()
            except Exception as error:  # such as a run that was removed: told where it is drawn
                self.error = error
                return


class _Watching:
    """Looks on a terminal."""

    def __init__(self, looking: _Looking, screen: Screen, more: str) -> None:
        self._looking, self._screen, self._more = looking, screen, more
        self._frames = [Frames() for _ in looking.latest]
        self._below: Below = "iterations"

    def until_left(self) -> int:
        """Draws until no run goes on, or the person leaves; the exit code if that was by a signal."""
        keys = sys.stdin.isatty()
        try:
            with _keys_at_once() if keys else _no_keys() as pressed:
                while True:
                    self._draw(keys=keys)
                    goes_on = _go_on(self._looking.latest) or self._looking.saw_not_all
                    if not goes_on or self._looking.error is not None:
                        break
                    if not self._obey(pressed(1 / FRAMES_A_SECOND)):
                        break
        except KeyboardInterrupt:
            return INTERRUPTED
        finally:
            self._below = "iterations"
            self._draw(keys=False, less=self._last_words())
            self._screen.leave()
        return 0

    def _last_words(self) -> int:
        """How many lines follow."""
        columns, _ = self._screen.size
        words = [line for look in self._looking.latest for line in _last_words(look, self._more)]
        return sum(max(1, -(-len(line) // columns)) for line in words)

    def _draw(self, *, keys: bool, less: int = 0) -> None:
        columns, rows = self._screen.room
        rows = max(1, rows - less)

        def space(height: int) -> Space:
            return Space(
                width=columns,
                height=height or rows,
                now=time.monotonic(),
                ascii_only=self._screen.ascii_only,
                below=self._below,
                keys=keys and (len(self._frames) == 1),
            )

        looks = self._looking.latest
        self._screen.draw(list(stacked(looks, self._frames, space)))

    def _obey(self, keys: str) -> bool:
        """Does what the keys say; whether to go on."""
        for key in keys.lower():
            if key in ("q", "\x04"):
                return False
            if (wanted := _KEYS.get(key)) is not None:
                self._below = "iterations" if self._below == wanted else wanted
                self._looking.with_log = self._below == "log"
                self._looking.soon()
        return True


class _Pressed:
    """Waits for keys."""

    def __init__(self, terminal: int) -> None:
        self._terminal = terminal

    def __call__(self, seconds: float) -> str:
        """What was pressed within that time; at once when something was."""
        try:
            ready, _, _ = select.select([self._terminal], [], [], seconds)
            pressed = os.read(self._terminal, 1024) if ready else None
        except OSError:
            pressed = b""
        if pressed is None:
            return ""
        return pressed.decode(errors="ignore") or "q"  # nothing: the terminal is gone


@contextmanager
def _keys_at_once() -> Iterator[_Pressed]:
    """Keys as they are pressed, not shown; at the end the terminal is as it was."""
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)

    def begin(*_: object) -> None:
        if os.tcgetpgrp(terminal) == os.getpgrp():  # else it would be stopped
            tty.setcbreak(terminal, termios.TCSADRAIN)

    def end(number: int, _frame: object) -> None:
        raise SystemExit(128 + number)

    handlers = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGHUP)}
    handlers[signal.SIGCONT] = signal.signal(signal.SIGCONT, begin)
    begin()
    try:
        yield _Pressed(terminal)
    finally:
        with suppress(termios.error, OSError):
            if os.tcgetpgrp(terminal) == os.getpgrp():
                termios.tcsetattr(terminal, termios.TCSADRAIN, before)
        for number, handler in handlers.items():
            signal.signal(number, handler)


@contextmanager
def _no_keys() -> Iterator[_Waiting]:
    yield _Waiting()


class _Waiting:
    def __call__(self, seconds: float) -> str:
        time.sleep(seconds)
        return ""

"""The last lines of a terminal, drawn again and again; what is said meanwhile goes above them, whole.

The cursor stays below and is never hidden, and no mode of the terminal is changed: a process that is
killed leaves the last picture, and a prompt below it. Nothing is drawn on another screen, so that the
picture stays when the program has ended.
"""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import TextIO

from rich.console import RenderableType
from rich.text import Text

from qcsc_loop.reports.tables import PlainConsole

_BEGIN, _END = "\x1b[?2026h", "\x1b[?2026l"  # a terminal that knows them shows all at once
_TO_END_OF_LINE, _TO_END_OF_SCREEN, _WHOLE_SCREEN = "\x1b[K", "\x1b[J", "\x1b[H\x1b[2J"


class Screen:
    """The lines that are drawn at the end of what a terminal shows."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._pen = PlainConsole(file=_Terminal(out))
        self._drawn: list[str] = []
        self._size = self.size
        self._lock = threading.RLock()

    @property
    def size(self) -> tuple[int, int]:
        """Letters in a line, and lines, now."""
        try:
            columns, rows = os.get_terminal_size(self._out.fileno())
        except (OSError, ValueError):
            columns, rows = 0, 0
        return columns or 80, rows or 24

    @property
    def room(self) -> tuple[int, int]:
        """What can be drawn on: the last line is the cursor's, the last column of some is no column."""
        columns, rows = self.size
        return max(1, columns - 1), max(1, rows - 1)

    @property
    def ascii_only(self) -> bool:
        """Whether it knows no other letters."""
        return not self._pen.has_blocks

    def draw(self, lines: Sequence[Text]) -> None:
        """Puts lines in the place of those that were drawn before."""
        with self._lock:
            self._write("", self._rendered(lines))

    def say(self, shown: RenderableType) -> None:
        """Puts a text above what is drawn, where it stays."""
        with self._lock, self._pen.capture() as captured:
            self._pen.print(shown, soft_wrap=True)
        self.put(captured.get())

    def put(self, text: str) -> None:
        """Puts whole lines above what is drawn as they are."""
        if text:
            with self._lock:
                self._write(text if text.endswith("\n") else f"{text}\n", self._drawn)

    def leave(self) -> None:
        """Lets what is drawn be: what follows is below it."""
        with self._lock:
            self._drawn = []

    def _rendered(self, lines: Sequence[Text]) -> list[str]:
        found: list[str] = []
        for line in lines:
            with self._pen.capture() as captured:
                self._pen.print(line, soft_wrap=True, end="")
            found.append(captured.get())
        return found

    def _write(self, above: str, lines: list[str]) -> None:
        content = io.StringIO()
        content.write(_BEGIN)
        if self.size == self._size:
            content.write(f"\x1b[{len(self._drawn)}A" if self._drawn else "")
            content.write("\r" if self._drawn else "")
        elif self._drawn:
            # how a terminal has folded what was there cannot be known: all of it goes up, whole
            self._size = self.size
            content.write("\n" * self._size[1] + _WHOLE_SCREEN)
        for line in above.splitlines():
            content.write(f"{line}{_TO_END_OF_LINE}\n")
        for line in lines:
            content.write(f"{line}{_TO_END_OF_LINE}\n")
        content.write(_TO_END_OF_SCREEN + _END)
        self._drawn = lines
        with suppress(OSError, ValueError):  # the terminal is gone: who draws goes on
            self._out.write(content.getvalue())
            self._out.flush()


class _Terminal(io.StringIO):
    """What rich takes for the terminal: it asks for its kind and letters, and writes nothing there."""

    def __init__(self, out: TextIO) -> None:
        super().__init__()
        self._terminal = out

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._terminal.encoding

    def isatty(self) -> bool:
        return self._terminal.isatty()

    def fileno(self) -> int:
        return self._terminal.fileno()

"""A command on a terminal: what it wrote, and what a person has on the screen."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from waiting import DEADLINE_SECONDS

ROWS, COLUMNS = 50, 110
_ANSI = re.compile(r"\x1b\[([?\d;]*)([A-Za-z])")
FRAME_ENDS = "\x1b[?2026l"  # what was written up to here is shown at once


@dataclass(frozen=True)
class Shown:
    """How a command on a terminal ended.

    Attributes:
        written: all it wrote, control sequences included.
    """

    code: int
    written: str

    @property
    def beyond_ansi(self) -> set[str]:
        """Control characters that are neither a line end nor part of an ANSI sequence."""
        rest = _ANSI.sub("", self.written)
        return {c for c in rest if (ord(c) < 32 or ord(c) == 127) and c not in "\r\n"}

    @property
    def cursor_is_visible(self) -> bool:
        """Whether the last word on the cursor was to show it."""
        return self.written.rfind("\x1b[?25h") >= self.written.rfind("\x1b[?25l")

    def screen(self) -> list[str]:
        """What is left: its lines, with those that have left the screen at the top."""
        return screen(self.written)


def screen(written: str, rows: int = ROWS) -> list[str]:
    """The lines that were written, without empty ones at the end."""
    lines, row, column, place = [""], 0, 0, 0
    while place < len(written):
        character = written[place]
        if (found := _ANSI.match(written, place)) is not None:
            number = int(found[1]) if found[1].isdigit() else 1
            match found[2]:
                case "A":
                    row = max(0, row - number)
                case "H":
                    row, column = max(0, len(lines) - rows), 0
                case "K":
                    lines[row] = "" if found[1] == "2" else lines[row][:column]
                case "J":
                    first = max(0, len(lines) - rows) if found[1] == "2" else row
                    kept = "" if found[1] == "2" else lines[row][:column]
                    lines[first:] = [kept] if first == row else [""] * (len(lines) - first)
                case _:
                    pass
            place = found.end()
            continue
        if character == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif character == "\r":
            column = 0
        else:
            lines[row] = lines[row][:column].ljust(column) + character + lines[row][column + 1 :]
            column += 1
        place += 1
    return "\n".join(line.rstrip() for line in lines).rstrip().split("\n")


class Terminal:
    """A command that is on a terminal."""

    def __init__(self, process: subprocess.Popen[bytes], ours: int, rows: int) -> None:
        self.process, self.written, self._ours, self._rows = process, "", ours, rows
        self._content = b""

    def until(self, shown: Callable[[str], object], what: str) -> str:
        """Reads until a picture of the screen is as it should be; that picture."""
        end = time.monotonic() + DEADLINE_SECONDS
        while not shown(picture := self.picture()):
            assert time.monotonic() < end, f"waited in vain until {what}:\n{picture}"
            assert self._read(), f"it ended before {what}:\n{picture}"
        return picture

    def picture(self) -> str:
        """What is on the screen, of what was drawn whole."""
        whole = self.written.rfind(FRAME_ENDS)
        return "\n".join(screen(self.written[: whole if whole >= 0 else None], self._rows))

    def press(self, keys: str) -> None:
        os.write(self._ours, keys.encode())

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def resize(self, rows: int, columns: int) -> None:
        self._rows = rows
        _set_size(self._ours, rows, columns)

    def end(self) -> Shown:
        """Reads on to its end."""
        while self._read():
            pass
        return Shown(self.process.wait(DEADLINE_SECONDS), self.written)

    def _read(self) -> bool:
        """Reads what there is, within a second; False: nothing more will come."""
        ready, _, _ = select.select([self._ours], [], [], 1.0)
        if not ready:
            return True
        try:
            part = os.read(self._ours, 65536)
        except OSError:  # Linux says EIO once the last process has closed it
            part = b""
        self._content += part
        self.written = self._content.decode(errors="ignore")
        return bool(part)


@contextmanager
def terminal(
    words: Sequence[str],
    environment: dict[str, str],
    *,
    rows: int = ROWS,
    columns: int = COLUMNS,
    term: str = "xterm-256color",
) -> Iterator[Terminal]:
    """Starts a command on a terminal of its own; it is ended with the block."""
    ours, theirs = pty.openpty()
    _set_size(theirs, rows, columns)
    process = subprocess.Popen(
        words,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment | {"TERM": term},
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    try:
        os.close(theirs)
        yield Terminal(process, ours, rows)
    finally:
        process.kill()
        process.wait(DEADLINE_SECONDS)
        with suppress(OSError):
            os.close(ours)


def _set_size(number: int, rows: int, columns: int) -> None:
    fcntl.ioctl(number, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def on_a_terminal(
    words: Sequence[str], environment: dict[str, str], *, columns: int = COLUMNS
) -> Shown:
    """Runs a command on a terminal of its own, to its end."""
    with terminal(words, environment, columns=columns) as started:
        return started.end()

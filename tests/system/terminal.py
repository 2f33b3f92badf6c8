"""A command on a terminal: what it wrote, and what a person has on the screen at the end."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
from collections.abc import Sequence
from dataclasses import dataclass

ROWS, COLUMNS = 50, 110
_ANSI = re.compile(r"\x1b\[([?\d;]*)([A-Za-z])")


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
        """What is left on the screen: its lines, from the top, without empty ones at the end."""
        lines, row, column, place = [""], 0, 0, 0
        while place < len(self.written):
            character = self.written[place]
            if (found := _ANSI.match(self.written, place)) is not None:
                number = int(found[1]) if found[1].isdigit() else 1
                if found[2] == "A":
                    row = max(0, row - number)
                elif found[2] == "K":
                    lines[row] = "" if found[1] == "2" else lines[row][:column]
                place = found.end()
                continue
            if character == "\n":
                row += 1
                lines += [""] * (row + 1 - len(lines))
            elif character == "\r":
                column = 0
            else:
                lines[row] = (
                    lines[row][:column].ljust(column) + character + lines[row][column + 1 :]
                )
                column += 1
            place += 1
        return "\n".join(line.rstrip() for line in lines).rstrip().split("\n")


def on_a_terminal(words: Sequence[str], environment: dict[str, str]) -> Shown:
    """Runs a command on a terminal of its own, to its end."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    process = subprocess.Popen(
        words,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment | {"TERM": "xterm-256color"},
        start_new_session=True,
    )
    try:
        os.close(theirs)
        return Shown(written=_read(ours), code=process.wait(30))
    finally:
        process.kill()
        process.wait(30)
        os.close(ours)


def _read(terminal: int) -> str:
    content = b""
    while True:
        try:
            part = os.read(terminal, 65536)
        except OSError:  # Linux says EIO once the last process has closed it
            part = b""
        if not part:
            return content.decode()
        content += part

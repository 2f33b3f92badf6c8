"""What anything in this process, or below it, writes to the terminal, for who draws there.

A hook prints, a C library complains, a rank that a hook started reports: each writes to stdout or
stderr by number, past Python. Both are another terminal meanwhile, so that they are taken for one
still: what is written comes line by line, and both streams in their order.
"""

from __future__ import annotations

import codecs
import itertools
import os
import pty
import re
import secrets
import sys
import termios
import threading
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

from qcsc_loop.printing import printable

DRAIN_SECONDS = 2.0
HELD = 100_000  # letters of a line that does not end


class Captured:
    """Reads what is written, and hands on whole lines.

    Attributes:
        unfinished: a line that has not ended yet, such as a question or a progress bar.
    """

    def __init__(self, terminal: int, written_to: int, put: Callable[[str], None]) -> None:
        self._terminal, self._written_to, self._put = terminal, written_to, put
        # among the letters it stands for what is to be done once those before it are handed on
        mark = secrets.token_hex(16)
        self._mark = re.compile(f"\0{mark}:([0-9]+)\0")
        self._write_mark = f"\0{mark}:{{}}\0".format
        self._doings: dict[int, Callable[[], None]] = {}
        self._numbers = itertools.count()
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.unfinished = ""
        self._thread = threading.Thread(target=self._read, name="qcsc-loop-output", daemon=True)

    def start(self) -> None:
        """Begins to read."""
        self._thread.start()

    def then(self, do: Callable[[], None]) -> None:
        """Does something after what was written before."""
        number = next(self._numbers)
        self._doings[number] = do
        _flush()
        os.write(self._written_to, self._write_mark(number).encode())

    def drain(self) -> None:
        """Waits until all that was written before is handed on, an unfinished line as well."""
        drained = threading.Event()
        with suppress(OSError):
            self.then(drained.set)
            drained.wait(DRAIN_SECONDS)
            if self.unfinished:
                rest, self.unfinished = self.unfinished, ""
                self._hand_on([rest])

    def _read(self) -> None:
        while True:
            try:
                content = os.read(self._terminal, 65536)
            except OSError:  # all who could write are gone
                return
            self._take(self._decoder.decode(content))

    def _take(self, text: str) -> None:
        text = self.unfinished + text
        while (found := self._mark.search(text)) is not None:
            unfinished = self._hand_on_lines(text[: found.start()])
            if (do := self._doings.pop(int(found[1]), None)) is not None:
                self.unfinished = unfinished
                do()
            text = unfinished + text[found.end() :]
        self.unfinished = self._hand_on_lines(text)

    def _hand_on_lines(self, text: str) -> str:
        """Hands on the lines that have ended; the rest."""
        *lines, rest = text.split("\n")
        if len(rest) > HELD:
            lines, rest = [*lines, rest], ""
        self._hand_on(lines)
        return rest

    def _hand_on(self, lines: list[str]) -> None:
        if lines:
            self._put("".join(f"{overwritten(line)}\n" for line in lines))


def overwritten(line: str) -> str:
    """What is seen of a line that goes back to its beginning, as progress bars do; printable."""
    shown = line.rstrip("\r").rpartition("\r")[2]
    return printable(shown)


def open_terminal(number: int) -> TextIO:
    """The terminal of a stream, whatever becomes of the stream's number."""
    encoding = sys.stdout.encoding if number == 1 else sys.stderr.encoding
    return os.fdopen(
        os.dup(number), "w", encoding=encoding, errors="backslashreplace", newline="\n"
    )


@contextmanager
def captured_output(put: Callable[[str], None]) -> Iterator[Captured]:
    """Takes what is written to stdout and stderr, of those that are a terminal."""
    numbers = [number for number in (1, 2) if os.isatty(number)]
    _flush()
    kept = {number: os.dup(number) for number in numbers}
    ours, theirs = pty.openpty()
    with suppress(termios.error):
        tty.setraw(theirs)  # lines end as they were written
        termios.tcsetwinsize(theirs, termios.tcgetwinsize(numbers[0]))
    captured = Captured(ours, theirs, put)
    for number in numbers:
        os.dup2(theirs, number)
    captured.start()
    try:
        yield captured
    finally:
        _flush()
        for number, before in kept.items():
            os.dup2(before, number)
            os.close(before)
        # a process that outlives this writes on to where it began: it is read as long as we live
        captured.drain()


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()

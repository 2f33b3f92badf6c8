"""Stdout and stderr that a run outlives: a full disk or a pipe that nobody reads ends no driver."""

from __future__ import annotations

import errno
import io
import os
import sys
from contextlib import suppress

TYPE_CHECKING = False  # of typing, which takes longer to import than all of this
if TYPE_CHECKING:
    from typing import TextIO

    from _typeshed import ReadableBuffer as Buffer

UNWRITTEN = 1


class _Lasting(io.FileIO):
    """A file of which whatever it does not take is dropped.

    Attributes:
        lost: the first error; None as long as all was written.
    """

    lost: OSError | None = None

    def write(self, data: Buffer, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            self.lost = self.lost or error
            return memoryview(data).nbytes


def keep_streams() -> None:
    """Makes stdout and stderr take every letter, and end nothing when they take none.

    A letter that their encoding lacks is written as an escape.
    """
    _open_closed()
    sys.stdout = _lasting(sys.stdout, 1)
    sys.stderr = _lasting(sys.stderr, 2)


def _open_closed() -> None:
    """Where a stream was closed, the next file that is opened would get its number, and its text."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free


def _lasting(stream: TextIO | None, number: int) -> TextIO:
    if stream is not None and not _is_own(stream, number):
        return stream  # somebody has put another one there: a test, or a notebook
    if stream is not None:
        stream.flush()
    raw = _Lasting(number, "wb", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=stream.encoding if stream is not None else "utf-8",
        errors="backslashreplace",
        line_buffering=number == 2 or raw.isatty(),
        write_through=isinstance(stream, io.TextIOWrapper) and stream.write_through,
    )


def _is_own(stream: TextIO, number: int) -> bool:
    try:
        return stream.fileno() == number
    except (OSError, ValueError, AttributeError):
        return False


def end_streams() -> int:
    """Writes what is left; the exit code for what could not be written, 0 if all was.

    A reader who has gone wanted no more, as in `qcsc-loop list | head`: that is no error.
    """
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    lost = _lost(sys.stdout)
    if lost is None or lost.errno == errno.EPIPE:
        return 0
    with suppress(OSError, ValueError):
        why = lost.strerror or str(lost)
        print(
            f"qcsc-loop: could not write all of this to stdout: {why}", file=sys.stderr, flush=True
        )
    return UNWRITTEN


def stdout_is_lost() -> bool:
    """Whether nobody takes what is written any more, as of a pipe whose reader has gone."""
    return _lost(sys.stdout) is not None or _has_no_reader(1)


def _has_no_reader(number: int) -> bool:
    """Of a pipe that is told before anything is written to it."""
    import select

    looking = select.poll()
    looking.register(number, 0)
    return any(state & select.POLLERR for _, state in looking.poll(0))


def _lost(stream: TextIO) -> OSError | None:
    raw = getattr(getattr(stream, "buffer", None), "raw", None)
    return raw.lost if isinstance(raw, _Lasting) else None

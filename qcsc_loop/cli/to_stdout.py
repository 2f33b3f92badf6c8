"""`-o -`: a file that goes to stdout, for whoever reads on there."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from qcsc_loop.cli.plot import write_file
from qcsc_loop.errors import InputError
from qcsc_loop.printing import say

STDOUT = Path("-")


def refuse_json_beside(output: Path | None, *, as_json: bool) -> None:
    """Raises InputError where the file and the answer in JSON would both go to stdout."""
    if output == STDOUT and as_json:
        raise InputError(
            "-o - writes the file to stdout, and --json its answer: name a file, or leave --json out"
        )


@contextmanager
def binary_stdout(what: str = "an archive") -> Iterator[IO[bytes]]:
    """Stdout, for bytes that are no text.

    Raises:
        InputError: it is a terminal, which would obey them.
    """
    if sys.stdout.isatty():
        raise InputError(
            f"{what} is not written to a terminal: name a file with -o FILE, or send it on, as in "
            "`... -o - | ssh HOST 'cat > FILE'`"
        )
    sys.stdout.flush()
    yield sys.stdout.buffer
    sys.stdout.buffer.flush()


def is_in_file(target: Path, content: bytes, *, binary: str = "") -> bool:
    """Writes what a command has made; False where that was to stdout, which has nothing else then.

    Args:
        binary: what it is, if it is no text.

    Raises:
        FileNotWritten: it cannot be written there.
        InputError: it is no text, and stdout is a terminal.
    """
    if target != STDOUT:
        write_file(target, content)
    elif binary:
        with binary_stdout(binary) as file:
            file.write(content)
    else:
        _text_to_stdout(content)
    return target != STDOUT


def _text_to_stdout(content: bytes) -> None:
    """As the file would have it; on a terminal, so that it commands nothing."""
    if sys.stdout.isatty():
        say(content.decode().rstrip("\n"))
        return
    with binary_stdout() as file:
        file.write(content)

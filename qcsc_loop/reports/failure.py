"""Which lines of a traceback are a person's own: the others are of what called them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePath

_FRAME = re.compile(r'[\s|]*File "(?P<file>.+)", line (?P<line>\d+), in (?P<function>.+)')
_MARKS = re.compile(r"[\s~^]*")
_NOT_THEIRS = re.compile(r"site-packages|dist-packages|/lib/python3|/qcsc_(loop|hpc)/|<frozen ")
_NEXT = ("The above exception was the direct cause", "During handling of the above exception")


@dataclass(frozen=True)
class Failure:
    """Where something failed.

    Attributes:
        file, line, function: the innermost frame of the person's own code.
        code: that line.
        error: what was raised there, as Python says it.
        others: how many frames more the traceback has.
    """

    file: str
    line: int
    function: str
    code: str
    error: str
    others: int


def find_failure(trace: str, where: str = "") -> Failure | None:
    """What a traceback says of the person's own code; None if it says nothing of it.

    Args:
        where: `file.py:12`, where that is known.
    """
    lines = trace.splitlines()
    frames = list(_frames(lines))
    theirs = [f for f in frames if f"{PurePath(f.file).name}:{f.line}" == where]
    theirs = theirs or [f for f in frames if not _NOT_THEIRS.search(f.file)]
    if not theirs:
        return None
    frame = theirs[-1]
    return Failure(
        file=frame.file,
        line=frame.line,
        function=frame.function,
        code=frame.code,
        error=_error_after(lines, frame.at),
        others=len(frames) - 1,
    )


@dataclass(frozen=True)
class _Frame:
    at: int
    file: str
    line: int
    function: str
    code: str


def _frames(lines: Sequence[str]) -> Iterator[_Frame]:
    for at, line in enumerate(lines):
        found = _FRAME.fullmatch(line)
        if found is None:
            continue
        after = lines[at + 1] if at + 1 < len(lines) else ""
        code = "" if _FRAME.fullmatch(after) or _MARKS.fullmatch(after) else after.strip(" |")
        yield _Frame(at, found["file"], int(found["line"]), found["function"], code)


def _error_after(lines: Sequence[str], at: int) -> str:
    """The exception that the frames around a line belong to."""
    for number in range(at + 1, len(lines)):
        line = lines[number].lstrip("| ")
        if line and lines[number][:1] not in (" ", "\t", "") and not line.startswith("Traceback"):
            following = []
            for more in lines[number + 1 :]:
                if not more.strip() or more.startswith(_NEXT):
                    break
                following.append(more)
            return "\n".join([lines[number], *following])
    return ""

"""Which lines of a traceback are a person's own: the others are of what called them."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from qcsc_loop.errors import message_of
from qcsc_loop.values.arrays import USE_NDARRAY

LAST_FRAMES = 3

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


def describe_failure(error: BaseException) -> str:
    """What was raised while a person's code was imported, and by which of its lines."""
    said = f"{type(error).__name__}: {message_of(error)}"
    if isinstance(error, SyntaxError):
        code = (error.text or "").strip()
        return f"{said}{f' at {code!r}' if code else ''}"
    if numpy_array_in(error):
        said = f"{type(error).__name__}: {USE_NDARRAY}"
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not _is_ours(f.filename)]
    places = [f"{PurePath(f.filename).name}:{f.lineno} ({f.line})" for f in frames[-LAST_FRAMES:]]
    return f"{said}, at {', called at '.join(reversed(places))}" if places else said


def numpy_array_in(error: BaseException) -> bool:
    """Whether pydantic says that it knows no numpy arrays, and how to hide that."""
    return type(error).__name__ == "PydanticSchemaGenerationError" and "numpy." in str(error)


def _is_ours(file: str) -> bool:
    return _NOT_THEIRS.search(file) is not None


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

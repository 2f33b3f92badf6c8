"""Which variables of the environment an algorithm's own files read, when they are imported, too."""

from __future__ import annotations

import os
import sys
import sysconfig
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from qcsc_loop.steps.step import STANDALONE, current_step
from qcsc_loop.testing.checking.orders import Asked

_STANDARD = (sysconfig.get_path("stdlib") + os.sep, "<frozen ")
_OTHERS = os.sep + "site-packages" + os.sep  # below the standard library's folder, and not of it

COPIED = 8  # a line that reads more variables copies all of them, and depends on none by its name


class Readings:
    """What was read, by whom."""

    def __init__(self) -> None:
        self._read: dict[tuple[str, str, int], Asked] = {}

    def note(self, name: str, file: str, line: int) -> None:
        """A file has read a variable; the first time counts."""
        if (name, file, line) not in self._read:
            hook, iteration = _call()
            where = f"{Path(file).name}:{line}"
            asked = Asked("the environment", name, hook, iteration, where)
            self._read[name, file, line] = asked

    def of(self, folders: tuple[str, ...]) -> Iterator[Asked]:
        """What the files in these folders have read, themselves or by way of the standard library."""
        names = Counter((file, line) for _, file, line in self._read)
        for (_, file, line), asked in self._read.items():
            if file.startswith(folders) and names[file, line] <= COPIED:
                yield asked


def note_readings() -> Readings:
    """Of this process, from now on."""
    readings = Readings()

    class Noted(type(os.environ)):  # type: ignore[misc]  # os._Environ, which has no public name
        def __getitem__(self, key: Any) -> Any:
            if (reader := _reader()) is not None:
                readings.note(os.fsdecode(key), *reader)
            return super().__getitem__(key)

    kind: Any = Noted  # one class, of texts and of bytes
    os.environ.__class__ = kind
    os.environb.__class__ = kind
    return readings


def _reader() -> tuple[str, int] | None:
    """The file and line beyond the standard library that asked."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        file = frame.f_code.co_filename
        if not file.startswith(_STANDARD) or _OTHERS in file:
            return file, frame.f_lineno
        frame = frame.f_back
    return None


def _call() -> tuple[str, int]:
    """The hook and iteration that this is in; none: a file is being imported."""
    try:
        step = current_step()
    except RuntimeError:
        return "", 0
    return ("", 0) if step.run_id == STANDALONE else (step.name, step.iteration)

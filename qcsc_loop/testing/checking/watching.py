"""What an algorithm's own code asks of the world while its hooks run: seen by Python's profiler."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from qcsc_loop.steps.step import STANDALONE, current_step
from qcsc_loop.testing.checking.orders import Asked

_CLOCK, _CHANCE, _PROCESS = "the clock", "global randomness", "the process"
_MACHINE, _MEMORY = "the machine", "unwritten memory"
_FUNCTIONS = {
    ("time", "time"): _CLOCK,
    ("time", "time_ns"): _CLOCK,
    ("time", "monotonic"): _CLOCK,
    ("time", "monotonic_ns"): _CLOCK,
    ("time", "perf_counter"): _CLOCK,
    ("time", "perf_counter_ns"): _CLOCK,
    ("time", "localtime"): _CLOCK,
    ("time", "gmtime"): _CLOCK,
    ("time", "strftime"): _CLOCK,
    ("posix", "urandom"): _CHANCE,
    ("posix", "getrandom"): _CHANCE,
    ("posix", "getpid"): _PROCESS,
    ("_socket", "gethostname"): _MACHINE,
    ("posix", "cpu_count"): _MACHINE,
    ("posix", "uname"): _MACHINE,
    ("posix", "listdir"): _MACHINE,
    ("posix", "scandir"): _MACHINE,
    ("numpy", "empty"): _MEMORY,
    ("builtins", "id"): _PROCESS,
    ("builtins", "hash"): _PROCESS,
}
_METHODS = {"now": _CLOCK, "utcnow": _CLOCK, "today": _CLOCK}  # of datetime and date
_FILES = {"random.py": _CHANCE, "secrets.py": _CHANCE, "uuid.py": _CHANCE}


def folders_of(algorithm: type) -> tuple[str, ...]:
    """Where an algorithm's own code is: the packages of its classes, or their files' folders."""
    found: dict[str, None] = {}
    for kind in algorithm.__mro__:
        package = kind.__module__.partition(".")[0]
        if package in ("qcsc_loop", "pydantic", *sys.stdlib_module_names):
            continue
        files = [
            getattr(sys.modules.get(name), "__file__", None) for name in (package, kind.__module__)
        ]
        if (file := next(filter(None, files), None)) is not None:
            found[str(Path(file).parent) + os.sep] = None
    return tuple(found)


@contextmanager
def watching(algorithm: type) -> Iterator[list[Asked]]:
    """Notes what its hooks ask for, in the threads that are started meanwhile, too."""
    watcher = _Watcher(folders_of(algorithm))
    threading.setprofile(watcher)
    sys.setprofile(watcher)
    try:
        yield watcher.asked
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


class _Watcher:
    def __init__(self, folders: tuple[str, ...]) -> None:
        self._folders = folders
        self.asked: list[Asked] = []
        self._seen: set[tuple[str, str, str]] = set()
        self._theirs: dict[str, bool] = {}

    def __call__(self, frame: FrameType, event: str, argument: Any) -> None:
        if event == "c_call":
            self._see_function(frame, argument)
        elif event == "call":
            self._see_call(frame)

    def _see_function(self, frame: FrameType, function: Callable[..., Any]) -> None:
        name = getattr(function, "__name__", "")
        owner = getattr(function, "__self__", None)
        what = _FUNCTIONS.get((getattr(function, "__module__", None) or "builtins", name))
        if what is None and name in _METHODS and getattr(owner, "__module__", "") == "datetime":
            what = _METHODS[name]
        if what is None and type(owner).__name__ in ("Random", "RandomState"):
            what = _CHANCE
        if what is not None and self._is_theirs(frame):
            self._note(what, name, frame)

    def _see_call(self, frame: FrameType) -> None:
        file = frame.f_code.co_filename
        name = frame.f_code.co_name
        what = _FILES.get(file.rpartition(os.sep)[2])
        if what is None or frame.f_back is None or not self._is_theirs(frame.f_back):
            return
        if type(frame.f_locals.get("self")).__name__ in ("NoneType", "Random", "SystemRandom"):
            self._note(what, name, frame.f_back)

    def _is_theirs(self, frame: FrameType) -> bool:
        file = frame.f_code.co_filename
        if (known := self._theirs.get(file)) is None:
            known = self._theirs[file] = file.startswith(self._folders)
        return known

    def _note(self, what: str, name: str, frame: FrameType) -> None:
        where = f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
        if (what, name, where) in self._seen:
            return
        try:
            step = current_step()
        except RuntimeError:  # a thread that does not carry the context
            return
        if step.run_id == STANDALONE:
            return
        self._seen.add((what, name, where))
        self.asked.append(Asked(what, name, step.name, step.iteration, where))

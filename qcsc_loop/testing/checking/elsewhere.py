"""What looks like another machine to whoever asks: for a process that does not come back."""

from __future__ import annotations

import os
import platform
import socket
import time
from collections.abc import Iterator
from typing import Any

DIFFERS = "its name, its processors, its time zone, the order of files in a folder"

_HOST, _ZONE = "another-host", "XYZ-5:45"  # a zone that needs no file: POSIX, TZ


def go_elsewhere() -> None:
    """Has the process see another host. Not undone."""
    answers: dict[tuple[Any, str], Any] = {
        (socket, "gethostname"): lambda: _HOST,
        (platform, "node"): lambda: _HOST,
        (os, "uname"): _uname(os.uname()),
        (os, "cpu_count"): _one_more(os.cpu_count() or 1),
        (os, "process_cpu_count"): _one_more(len(os.sched_getaffinity(0))),
        (os, "sched_getaffinity"): _one_more_of(os.sched_getaffinity),
        (os, "listdir"): _listed_backwards(os.listdir),
        (os, "scandir"): _scanned_backwards(os.scandir),
    }
    for (module, name), answer in answers.items():
        if hasattr(module, name):  # os.process_cpu_count: since Python 3.13
            setattr(module, name, answer)
    platform._uname_cache = None  # type: ignore[attr-defined]  # what was asked before it came here
    os.environ["TZ"] = _ZONE
    time.tzset()


def _uname(here: os.uname_result) -> Any:
    fields = (here.sysname, _HOST, here.release, here.version, here.machine)
    return lambda: os.uname_result(fields)


def _one_more(count: int) -> Any:
    return lambda: count + 1


def _one_more_of(affinity: Any) -> Any:
    def one_more(process: int) -> set[int]:
        here: set[int] = affinity(process)
        return here | {max(here) + 1}

    return one_more


def _listed_backwards(listdir: Any) -> Any:
    return lambda path=".": listdir(path)[::-1]


def _scanned_backwards(scandir: Any) -> Any:
    return lambda path=".": _Backwards(scandir(path))


class _Backwards:
    """The entries of a folder, the last one first."""

    def __init__(self, entries: Any) -> None:
        self._entries = entries
        self._backwards: Iterator[Any] = iter(list(entries)[::-1])

    def __iter__(self) -> Iterator[Any]:
        return self._backwards

    def __next__(self) -> Any:
        return next(self._backwards)

    def __enter__(self) -> _Backwards:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """As of what was scanned."""
        self._entries.close()

"""Processes of other processes, from /proc."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress

LONGEST_SECONDS = 5.0  # a process in an uninterruptible wait is not waited for
_PARENT, _BEGAN = 1, 19  # fields of /proc/PID/stat behind the program's name; proc(5)


def birth(pid: int) -> int:
    """When a process began, in ticks since the machine did; 0 if it does not run."""
    fields = _fields(pid)
    return int(fields[_BEGAN]) if fields else 0


def runs(pid: int, began: int) -> bool:
    """Whether it is still that process, and no zombie."""
    return began != 0 and birth(pid) == began


def tree(pid: int) -> list[int]:
    """All processes below one, without itself."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (fields := _fields(int(entry))):
            children.setdefault(int(fields[_PARENT]), []).append(int(entry))
    found: list[int] = []
    waiting = [pid]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def send(pids: list[int], number: int) -> None:
    """Signals those that still run."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def kill(pids: list[int]) -> None:
    """Ends them at once."""
    send(pids, signal.SIGKILL)


def kill_below(pid: int) -> None:
    """Ends all below one, and what they start meanwhile."""
    end = time.monotonic() + LONGEST_SECONDS
    while (below := tree(pid)) and time.monotonic() < end:
        kill(below)
        time.sleep(0.001)


def _fields(pid: int) -> list[str]:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            # the name before it may hold blanks and brackets
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return []
    return [] if not fields or fields[0] in "ZX" else fields

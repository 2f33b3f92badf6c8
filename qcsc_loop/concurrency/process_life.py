"""Whether a process that somebody wrote down still lives.

A number of a process says little: it is used again, and means something in one pid namespace of one
boot of one machine only. When it was started is told in clock ticks since that boot, which no step of
a clock moves (proc(5)); psutil's time of day is made from it and from a clock.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

_OVER = "ZXx"  # a zombie waits for nothing but its parent


class Life(StrEnum):
    """What can be said of a process from here."""

    LIVES = "lives"
    DEAD = "dead"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Place:
    """Where a process's number means something; a part that is not known is empty.

    Attributes:
        boot: the kernel's random name for its boot. Names of hosts and numbers of namespaces are
            the same on many machines: every initial pid namespace has the same one.
        machine: of the installation; with the boot's, as machines are copied while they run.
    """

    host: str
    boot: str = ""
    machine: str = ""
    pid_namespace: str = ""

    @property
    def is_here(self) -> bool:
        """Certainly this process's own."""
        return bool(self.boot and self.pid_namespace) and self == here()


def here() -> Place:
    """This process's place."""
    try:
        namespace = os.readlink("/proc/self/ns/pid")
    except OSError:  # no Linux
        namespace = ""
    return Place(
        host=socket.gethostname(),
        boot=_line("/proc/sys/kernel/random/boot_id"),
        machine=_line("/etc/machine-id"),
        pid_namespace=namespace,
    )


def start_ticks(pid: int) -> int:
    """Clock ticks from the boot to the start of a process of this place; 0: it cannot be seen."""
    fields = _stat(pid)
    return int(fields[19]) if fields else 0


def life_of(pid: int, ticks: int, place: Place) -> Life:
    """Of the process with this number that was started at these ticks.

    Where it may be and is not to be seen (`hidepid`, another user), nothing is known of it; that it
    may not be signalled says that there is one of this number.
    """
    if not ticks or not place.is_here:
        return Life.UNKNOWN
    fields = _stat(pid)
    if fields:
        same = int(fields[19]) == ticks and fields[0] not in _OVER
        return Life.LIVES if same else Life.DEAD
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return Life.DEAD
    except OSError:
        pass
    return Life.UNKNOWN


def _stat(pid: int) -> list[str]:
    """The fields after the name, which may hold anything; empty where they are not to be seen."""
    return _line(f"/proc/{pid}/stat").rpartition(")")[2].split()


def _line(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace").strip()
    except OSError:
        return ""

"""A library that lets one file operation of a process go wrong, below one folder: `file_faults.c`.

A process that was started with it (`environment`) forks, and its child says what is to become of
which of its operations (`arm`): nothing, that it dies before, after or halfway through it, or that
it fails, once or from there on. Each operation is a line of a log, so that a child to which nothing
happens says what there is to hurt.
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_suffix(".c")

# in the order of the source
OPERATIONS = (
    "create",
    "open",
    "list",
    "read",
    "stat",
    "write",
    "sync",
    "sync folder",
    "truncate",
    "close",
    "rename",
    "link",
    "unlink",
    "mkdir",
    "rmdir",
    "touch",
)
READING = frozenset(OPERATIONS[1:5])  # they leave nothing behind
TAKING_ROOM = frozenset(OPERATIONS) - READING - {"unlink", "rmdir", "touch"}

# what may give which error
ERRORS = {
    errno.EIO: frozenset(OPERATIONS),
    errno.ENOSPC: TAKING_ROOM,
    errno.EDQUOT: TAKING_ROOM,
    errno.EMFILE: frozenset({"create", "open", "list"}),
}
# what gives one of these may give the other, and each gives the one or the other
OTHER = (errno.ENOSPC, errno.EDQUOT)


class Act(IntEnum):
    """What becomes of an operation.

    FAIL_HALFWAY: half of a write is done, and no other of that file. FAIL_AFTER: it is done, and says
    that it is not, as when a file server's answer is lost.
    """

    NOTHING = 0
    DIE_BEFORE = 1
    DIE_AFTER = 2
    DIE_HALFWAY = 3
    FAIL_ONCE = 4
    FAIL_ON = 5
    FAIL_HALFWAY = 6
    FAIL_AFTER = 7


@dataclass(frozen=True)
class Fault:
    """What becomes of the `number`-th operation; errors are of one kind."""

    act: Act = Act.NOTHING
    number: int = 0
    error: int = 0

    @property
    def kills(self) -> bool:
        return self.act in (Act.DIE_BEFORE, Act.DIE_AFTER, Act.DIE_HALFWAY)

    def __str__(self) -> str:
        name = self.act.name.lower().replace("_", " ")
        return f"{name}, {errno.errorcode[self.error]}" if self.error else name


UNHURT = Fault()


@dataclass(frozen=True)
class Operation:
    """One of a process's, as its log has it; of what has no name but a descriptor there is no path."""

    number: int
    name: str
    path: str

    def faults(self) -> Iterator[Fault]:
        """All that may become of it."""
        if self.name not in READING:
            yield Fault(Act.DIE_BEFORE, self.number)
            yield Fault(Act.DIE_AFTER, self.number)
            yield Fault(Act.FAIL_AFTER, self.number, errno.EIO)
        if self.name == "write":
            yield Fault(Act.DIE_HALFWAY, self.number)
            yield Fault(Act.FAIL_HALFWAY, self.number, errno.ENOSPC)
        for error, operations in ERRORS.items():
            if self.name in operations and error != OTHER[self.number % 2]:
                yield Fault(Act.FAIL_ONCE, self.number, error)
                yield Fault(Act.FAIL_ON, self.number, error)


def read_log(path: Path) -> list[Operation]:
    """What a process did."""
    rows = [line.split("\t") for line in path.read_text(errors="replace").splitlines()]
    return [Operation(int(number), name, where) for number, name, where in rows]


@dataclass(frozen=True)
class FileFaults:
    """The library."""

    path: Path

    @classmethod
    def compiled(cls, folder: Path) -> FileFaults:
        """Skips the test where there is no C compiler."""
        compiler = shutil.which("gcc") or shutil.which("cc")
        if compiler is None:
            pytest.skip("hurting file operations needs a C compiler: apt-get install gcc")
        path = folder / "file_faults.so"
        options = ["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror"]
        words = [compiler, *options, "-o", str(path), str(SOURCE), "-ldl"]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return cls(path)

    @property
    def environment(self) -> dict[str, str]:
        """What a process that is to be hurt is started with."""
        return {"LD_PRELOAD": str(self.path)}

    @cached_property
    def _library(self) -> ctypes.CDLL:
        return ctypes.CDLL(str(self.path))  # the one that is loaded already

    def arm(self, folder: Path, fault: Fault, log: Path) -> None:
        """From now on, in this process alone."""
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        may_fail = ERRORS.get(fault.error, frozenset())
        bits = sum(1 << number for number, name in enumerate(OPERATIONS) if name in may_fail)
        below = os.fsencode(folder)
        self._library.file_faults_arm(
            below, descriptor, ctypes.c_long(fault.number), int(fault.act), fault.error, bits
        )

    def disarm(self) -> None:
        """As if there had been nothing."""
        self._library.file_faults_disarm()

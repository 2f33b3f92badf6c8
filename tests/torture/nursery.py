"""The interpreter whose forks are drivers, from the outside."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Condition, Thread

import psutil

from system.command_line import environment
from torture.lives import Life
from waiting import until

TESTS = Path(__file__).parents[1]
SOURCE = Path(__file__).with_name("clock_shift.c")
DEADLINE_SECONDS = 240.0  # for a life that takes seconds, on a busy machine


class NoEnd(Exception):
    """A life did not come to its end, or to its instant."""


@dataclass(frozen=True)
class Living:
    """A driver that has begun."""

    pid: int
    nursery: Nursery

    def wait(self, seconds: float = DEADLINE_SECONDS) -> int:
        """Its exit code; of one that was killed minus the signal.

        Raises:
            NoEnd: it has none after so long, and is killed.
        """
        return self.nursery.code_of(self.pid, seconds)

    @property
    def has_ended(self) -> bool:
        return self.pid in self.nursery.codes

    def until_it_stands_still(self) -> bool:
        """Whether it does; False: it has ended before."""

        def settled() -> bool:
            with suppress(psutil.NoSuchProcess):
                if psutil.Process(self.pid).status() == psutil.STATUS_STOPPED:
                    return True
            return self.has_ended

        until(settled, "it stands still", DEADLINE_SECONDS)
        return not self.has_ended

    def send(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)


class Nursery:
    """Lives begin in it, and are told of when they end.

    Args:
        modules: what is imported once, for all of them.
        more: what it has in its environment.
    """

    def __init__(self, folder: Path, modules: Sequence[str], **more: str) -> None:
        self.codes: dict[int, int] = {}
        self._begun: list[int] = []
        self._changed = Condition()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "torture.lives", *modules],
            env=environment(folder, folder)
            | {
                "PYTHONPATH": os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")]),
                "OMP_NUM_THREADS": "1",
                "LD_PRELOAD": str(shifted_clock(folder)),
                "TMPDIR": tempfile.gettempdir(),
            }
            | more,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            words = [int(word) for word in line.split()]
            with self._changed:
                if len(words) == 1:
                    self._begun += words
                    self.codes.pop(words[0], None)  # of an earlier one that had the same number
                else:
                    self.codes[words[0]] = words[1]
                self._changed.notify_all()

    def begin(self, life: Life) -> Living:
        """A life that has begun."""
        assert self._process.stdin is not None
        before = len(self._begun)
        self._process.stdin.write(life.to_line() + "\n")
        self._process.stdin.flush()
        with self._changed:
            begun = self._changed.wait_for(lambda: len(self._begun) > before, DEADLINE_SECONDS)
        if not begun:
            raise NoEnd("the interpreter does not answer")
        return Living(self._begun[-1], self)

    def code_of(self, pid: int, seconds: float) -> int:
        """The exit code of a life, once it has ended."""
        with self._changed:
            ended = self._changed.wait_for(lambda: pid in self.codes, seconds)
        if not ended:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            raise NoEnd(f"a driver has not ended after {seconds:g} s")
        return self.codes[pid]

    def end(self) -> None:
        """With all lives."""
        with suppress(psutil.NoSuchProcess):
            for child in psutil.Process(self._process.pid).children(recursive=True):
                with suppress(psutil.NoSuchProcess):
                    child.kill()
        self._process.kill()
        self._reader.join()
        with self._process:  # closes the pipes
            pass


def shifted_clock(folder: Path) -> Path:
    """The library, compiled once for a folder."""
    path = folder / "clock_shift.so"
    if not path.exists():
        compiler = shutil.which("gcc") or shutil.which("cc")
        if compiler is None:
            sys.exit("a clock that is wrong needs a C compiler: apt-get install gcc")
        options = ["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror"]
        made = path.with_suffix(f".{time.time_ns()}")
        words = [compiler, *options, "-o", str(made), str(SOURCE), "-ldl"]
        subprocess.run(words, check=True)
        made.replace(path)
    return path

"""An algorithm that breaks the hooks' contract, in whichever way it is told to."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import PrivateAttr

from qcsc_loop.algorithm import IterativeAlgorithm
from qcsc_loop.steps.parts import run_parts
from qcsc_loop.steps.step import current_step
from qcsc_loop.values.record import Record, State

calls = [0]  # what earlier calls have left in memory
VARIABLE = "IMPURE_FACTOR"
COUNTER = Path("impure-counter")
DRAWN, YEAR = random.random(), datetime.now(UTC).year  # when this file was imported
READ = float(os.environ.get("IMPURE_AT_IMPORT", "1"))


class Value(Record):
    number: float = 0.0
    text: str = ""


class Sum(State):
    total: float = 0.0
    items: list[float] = []
    text: str = ""


def _remembered() -> float:
    calls[0] += 1
    return float(calls[0])


def _from_a_file() -> float:
    count = int(COUNTER.read_text()) if COUNTER.exists() else 0
    COUNTER.write_text(str(count + 1))
    return float(count)


def _unwritten() -> float:
    return float(np.any(np.empty(10**6)))  # so large that it is fresh from the kernel: zeros


def _of_files() -> float:
    place = Path(tempfile.mkdtemp())
    for name in ("a", "b"):
        (place / name).touch()
    return float("ab".index(next(place.iterdir()).name))


NUMBERS: dict[str, Callable[[], float]] = {
    "nothing": lambda: 1.0,
    "global randomness": random.random,
    "numpy's global randomness": lambda: float(np.random.random()),
    "the clock": time.time,
    "a random id": lambda: float(uuid.uuid4().int % 1000),
    "the environment": lambda: float(os.environ.get(VARIABLE, "1")),
    "a hash": lambda: float(hash("a text") % 1000),
    "memory of calls": _remembered,
    "the folder": lambda: float(len(os.getcwd())),
    "a file": _from_a_file,
    "the process": lambda: float(os.getpid()),
    "threads": lambda: float(os.environ["OMP_NUM_THREADS"]),
    "an object's id": lambda: float(id(calls) % 1_000_003),
    "unwritten memory": _unwritten,
    "the host": lambda: float(len(socket.gethostname())),
    "processors": lambda: float(os.cpu_count() or 0),
    "the time zone": lambda: float(time.localtime(0).tm_hour),
    "order of files": _of_files,
    "what its file has drawn": lambda: DRAWN,
    "what its file has read": lambda: READ,
    "when its file was imported": lambda: float(YEAR),
    "the home": lambda: float(len(str(Path.home()))),
    "a program's environment": lambda: float(
        subprocess.check_output(["sh", "-c", "echo ${#HOME}"])
    ),
    "the hour": lambda: float(datetime.now(UTC).hour),
    "the year": lambda: float(time.gmtime().tm_year),
    "its processors": lambda: float(len(os.sched_getaffinity(0))),
}
Impurity = Literal[
    "nothing",
    "global randomness",
    "numpy's global randomness",
    "the clock",
    "a random id",
    "the environment",
    "a hash",
    "memory of calls",
    "the folder",
    "a file",
    "the process",
    "threads",
    "an object's id",
    "unwritten memory",
    "the host",
    "processors",
    "the time zone",
    "order of files",
    "what its file has drawn",
    "what its file has read",
    "when its file was imported",
    "the home",
    "a program's environment",
    "the hour",
    "the year",
    "its processors",
    "a set's order",
    "itself",
    "what it keeps",
    "an argument",
    "a parameter",
    "order of parts",
    "clock in a log",
]


class Impure(IterativeAlgorithm[Sum, Value, Value]):
    """Adds up ones, but for what it is told to do wrong in `evaluate`."""

    impurity: Impurity = "nothing"
    box: list[int] = []
    _kept: dict[str, int] = PrivateAttr(default_factory=dict[str, int])

    async def initialize(self) -> Sum:
        return Sum()

    async def sample(self, state: Sum) -> Value:
        return Value(number=float(current_step().rng.integers(1000)))

    async def evaluate(self, state: Sum, samples: Value) -> Value:
        if self.impurity == "an argument":
            state.items.append(1.0)
        if self.impurity == "a parameter":
            self.box.append(1)
        if self.impurity == "itself":
            object.__setattr__(self, "calls", getattr(self, "calls", 0) + 1)
        if self.impurity == "what it keeps":
            self._kept["calls"] = self._kept.get("calls", 0) + 1
        if self.impurity == "a set's order":
            return Value(text="".join({"one", "two", "three", "four", "five"}))
        if self.impurity == "clock in a log":
            current_step().logger.info("it is %s", time.time())
        if self.impurity == "order of parts":
            return await self._in_parts()
        number = NUMBERS.get(self.impurity, NUMBERS["nothing"])()
        return Value(number=number, text="evaluated")

    async def _in_parts(self) -> Value:
        begun: list[str] = []

        def part(name: str) -> Callable[[], Any]:
            async def call() -> int:
                begun.append(name)
                return 1

            return call

        await run_parts({name: part(name) for name in ("a", "b", "c")}, int, limit=1)
        return Value(text="".join(begun))

    async def update(self, state: Sum, evaluation: Value) -> Sum:
        total = state.total + evaluation.number
        return Sum(total=total, items=[*state.items, total], text=evaluation.text)


class Repeats(Impure):
    """Its `update` gives something else when it is called again for the same iteration."""

    async def update(self, state: Sum, evaluation: Value) -> Sum:
        new = await super().update(state, evaluation)
        return Sum(total=new.total + _remembered(), items=new.items, text=new.text)


PIPE_BYTES = 1 << 16  # that a pipe holds which nobody reads, pipe(7)


class Loud(IterativeAlgorithm[Sum, Value, Value]):
    """It says more than a pipe holds, and starts a process that outlives it; then it may fail."""

    ends: Literal["well", "raises", "exits", "dies"] = "well"

    async def initialize(self) -> Sum:
        return Sum()

    async def sample(self, state: Sum) -> Value:
        for stream in (sys.stdout, sys.stderr):
            print("x" * PIPE_BYTES, file=stream)
        current_step().logger.warning("x" * PIPE_BYTES)
        if (child := os.fork()) == 0:
            signal.alarm(30)
            signal.pause()
        Path("child").write_text(str(child))
        return Value()

    async def evaluate(self, state: Sum, samples: Value) -> Value:
        print("the last line", flush=True)
        if self.ends == "raises":
            raise ValueError("it is wrong")
        if self.ends == "exits":
            sys.exit(3)
        if self.ends == "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        return samples

    async def update(self, state: Sum, evaluation: Value) -> Sum:
        return state

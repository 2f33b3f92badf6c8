"""Drivers whose file operations go wrong: forks of one interpreter that has imported all they need.

Run as `python -m ordeals.hurt_driver LIBRARY`, it reads a life a line, as JSON, and answers each with
the exit code of the fork that lived it. What the fork says, it writes to a file.
"""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import json
import os
import subprocess
import sys
import traceback
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Timer
from typing import Any, Self

import psutil

from ordeals.file_faults import UNHURT, Act, Fault, FileFaults
from ordeals.mortal_driver import Orders, run_options
from qcsc_loop.catalog import find_algorithm
from qcsc_loop.errors import QcscLoopError
from qcsc_loop.store.heartbeat import Heartbeat
from system.command_line import environment

TESTS = Path(__file__).parents[1]
DEADLINE_SECONDS = 120.0  # for a life that takes a fraction of a second


@dataclass(frozen=True)
class Life:
    """One driver's.

    Attributes:
        orders: what it drives.
        fault: what goes wrong below the store.
        log: a file for its operations.
        said: a file for what it says: its `Saying`, as JSON.
        err: a file for what it prints.
        fork: False: it is the interpreter's own.
    """

    orders: Orders
    log: str
    said: str
    err: str
    fault: Fault = UNHURT
    fork: bool = True

    @classmethod
    def read(cls, line: str) -> Self:
        facts = json.loads(line)
        fault = Fault(**{**facts["fault"], "act": Act(facts["fault"]["act"])})
        return cls(**{**facts, "orders": Orders(**facts["orders"]), "fault": fault})


@dataclass(frozen=True)
class Saying:
    """How a life ended that was not cut off.

    Attributes:
        outcome: the run's, if it came to its end.
        error: the sentence, if it did not.
    """

    outcome: dict[str, Any] | None = None
    error: str = ""


class Nursery:
    """The interpreter, from the outside: lives one life at a time."""

    def __init__(self, faults: FileFaults, folder: Path) -> None:
        self.folder = folder
        self._learnt = set[str]()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "ordeals.hurt_driver", str(faults.path)],
            env=environment(folder, folder)
            | {"PYTHONPATH": str(TESTS), "OMP_NUM_THREADS": "1"}
            | faults.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def learns(self, orders: Orders) -> None:
        """Lets the interpreter itself drive such a run: what that imports, each fork then has."""
        if orders.algorithm not in self._learnt:
            store = str(self.folder / "learning")
            life = Life(
                replace(orders, store=store, run_id=f"learning-{len(self._learnt)}", limit=1),
                log="",
                said="",
                err="",
                fork=False,
            )
            assert self.lives(life) == 0
            self._learnt.add(orders.algorithm)

    def lives(self, life: Life) -> int:
        """The exit code of the life."""
        assert self._process.stdin is not None and self._process.stdout is not None
        too_long = Timer(DEADLINE_SECONDS, self.end)
        too_long.start()
        try:
            self._process.stdin.write(f"{json.dumps(dataclasses.asdict(life))}\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        finally:
            too_long.cancel()
        assert answer, f"{life} did not end in {DEADLINE_SECONDS:g} s"
        return int(answer)

    def end(self) -> None:
        """With the life that it is at."""
        for child in psutil.Process(self._process.pid).children(recursive=True):
            child.kill()
        self._process.kill()
        self._process.communicate(timeout=30)


# the interpreter itself


def main() -> None:
    faults = FileFaults(Path(sys.argv[1]))
    # a third of a life's seconds, for a process whose first beat would come long after it: a thread
    # beats, as wherever there can be no such process
    Heartbeat._start_pulse = _no_pulse  # type: ignore[method-assign, assignment]
    with open(os.dup(0)) as lives, open(os.dup(1), "w") as answers:
        while line := lives.readline():
            life = Life.read(line)
            print(_forked(faults, life) if life.fork else _here(life), file=answers, flush=True)


def _no_pulse(_: Heartbeat) -> None:
    """Starts no process."""


def _here(life: Life) -> int:
    _drive(life.orders)
    gc.freeze()
    return 0


def _forked(faults: FileFaults, life: Life) -> int:
    if not (pid := _fork()):
        _live(faults, life)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


def _fork() -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numerical libraries have threads, and mind forks
        return os.fork()


def _live(faults: FileFaults, life: Life) -> None:
    """Never comes back: nobody else's exit is run in a fork."""
    code = 1
    try:
        os.dup2(os.open(life.err, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666), 2)
        faults.arm(Path(life.orders.store), life.fault, Path(life.log))
        said, code = _try(life)
        faults.disarm()
        Path(life.said).write_text(json.dumps(dataclasses.asdict(said)))
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _try(life: Life) -> tuple[Saying, int]:
    try:
        return Saying(_drive(life.orders)), 0
    except QcscLoopError as error:
        return Saying(error=str(error)), error.exit_code


def _drive(orders: Orders) -> dict[str, Any]:
    algorithm = find_algorithm(orders.algorithm).model_validate(orders.parameters)
    summary: dict[str, Any] = asyncio.run(algorithm.run(**run_options(orders, []))).summary()
    return summary


if __name__ == "__main__":
    main()

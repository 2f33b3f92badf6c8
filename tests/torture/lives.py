"""Drivers' lives: forks of one interpreter that has imported what they need.

Run as `python -m torture.lives MODULE…`: each line of stdin is a `Life` as JSON. Each line of stdout is
`PID` of a life that has begun, or `PID CODE` of one that has ended; several may be alive at once.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import json
import os
import select
import signal
import sys
import tempfile
import time
import traceback
import warnings
from dataclasses import asdict, dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, Self

from ordeals.mortal_driver import Orders, driven, driven_in_flow, run_options
from qcsc_loop.catalog import find_algorithm
from qcsc_loop.errors import QcscLoopError
from qcsc_loop.store.heartbeat import Heartbeat
from qcsc_loop.testing.instants import Act, Instants, kill_this_process

Does = Literal["live", "die", "stand still", "fail once", "fail on"]

PR_SET_PDEATHSIG = 1  # linux/prctl.h
LOOK_SECONDS = 0.005  # between two looks for lives that have ended
REMOTE = ("submit/before", "submit/after")  # no file's operation is there to fail


@dataclass(frozen=True)
class Life:
    """One driver's.

    Attributes:
        environment: what it has in its environment beside what all have.
        at: the write boundary at which it does something.
        error: of what fails there; below `fail on` everything fails from there on.
        clock: seconds by which its clock is ahead.
        log: a file for the boundaries that it comes by, each with the time.
        said: a file for the outcome, or the sentence of the error.
        err: a file for what it prints.
    """

    orders: Orders
    log: str
    said: str
    err: str
    environment: dict[str, str] = field(default_factory=dict[str, str])
    at: str = ""
    does: Does = "live"
    error: int = 0
    clock: int = 0

    @classmethod
    def read(cls, line: str) -> Self:
        facts = json.loads(line)
        return cls(**{**facts, "orders": Orders(**facts["orders"])})

    def to_line(self) -> str:
        return json.dumps(asdict(self))


class Hurt(Instants):
    """The boundaries of a life, from one of which on everything may fail.

    Attributes:
        failing: with which error everything fails; 0: nothing does.
        tears: half of what is written is left at a boundary of that name: not by one that goes on.
    """

    failing = 0
    tears = True

    def reach(self, what: str, stage: str, torn: Any = None) -> None:
        if self.failing and not f"{what}/{stage}".endswith(REMOTE):
            raise OSError(self.failing, os.strerror(self.failing))
        super().reach(what, stage, torn if self.tears else None)


def main() -> None:
    """Lives as many lives as it is told to, and ends with its stdin."""
    # an interpreter more for each life, for a beat that would come long after it
    Heartbeat._start_pulse = _no_pulse  # type: ignore[method-assign, assignment]
    for module in sys.argv[1:]:
        import_module(module)
    _learn()
    gc.freeze()
    alive, rest = set[int](), ""
    while True:
        ready, _, _ = select.select([0], [], [], LOOK_SECONDS if alive else None)
        if ready:
            read = os.read(0, 1 << 16).decode()
            if not read:
                break
            *lines, rest = (rest + read).split("\n")
            for line in lines:
                alive.add(pid := _begun(Life.read(line)))
                print(pid, flush=True)
        for pid in [*alive]:
            if (ended := os.waitpid(pid, os.WNOHANG))[0]:
                alive.remove(pid)
                print(pid, os.waitstatus_to_exitcode(ended[1]), flush=True)
    for pid in alive:
        os.kill(pid, signal.SIGKILL)


def _learn() -> None:
    """What a run imports when it comes to it, and makes of types once, each fork then has."""
    with tempfile.TemporaryDirectory() as folder:
        orders = Orders(folder, "learning", "loop.toys:Counting", limit=1)
        asyncio.run(driven(find_algorithm(orders.algorithm)(), run_options(orders, [])))


def _no_pulse(_: Heartbeat) -> None:
    """Starts no process."""


def _begun(life: Life) -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numerical libraries have threads, and mind forks
        pid = os.fork()
    if not pid:
        _live(life)
    return pid


def _live(life: Life) -> None:
    """Never comes back: nobody else's exit is run in a fork."""
    code = 1
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # one that stands still, too
    try:
        err = os.open(life.err, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        for stream in (1, 2):
            os.dup2(err, stream)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.environ.update(life.environment)
        if life.clock:
            ctypes.CDLL(None).clock_shift(ctypes.c_long(life.clock))
        code = _drive(life)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _drive(life: Life) -> int:
    orders = life.orders
    algorithm = find_algorithm(orders.algorithm).model_validate(orders.parameters)
    run = driven_in_flow if orders.in_flow else driven
    with open(life.log, "a", buffering=1) as log, _hurt(life, log).watching():
        try:
            outcome = asyncio.run(run(algorithm, run_options(orders, [])))
        except QcscLoopError as error:
            Path(life.said).write_text(json.dumps({"error": str(error)}))
            return error.exit_code
    Path(life.said).write_text(json.dumps(outcome.summary()))
    return 0


def _hurt(life: Life, log: Any) -> Hurt:
    def tell(name: str) -> None:
        log.write(f"{time.monotonic():.3f}\t{name}\n")

    def fail(_: str) -> None:
        if life.does == "fail on":
            hurt.failing = life.error
        raise OSError(life.error, os.strerror(life.error))

    def stand_still(_: str) -> None:
        os.kill(os.getpid(), signal.SIGSTOP)

    acts: dict[Does, Act] = {
        "die": kill_this_process,
        "stand still": stand_still,
        "fail once": fail,
        "fail on": fail,
    }
    orders = life.orders
    folder = Path(orders.store) / orders.run_id
    hurt = Hurt(folder, life.at, acts.get(life.does, lambda _: None), tell)
    hurt.tears = life.does != "stand still"
    return hurt


if __name__ == "__main__":
    main()

"""A driver that dies, or stands still, or says so, at an instant that it is told.

Run as `python -m ordeals.mortal_driver ORDERS`, which are JSON; see `Orders`. The drivers of QPU
jobs and of SQD are this one with instants of their own.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import qcsc_hpc.machine
from qcsc_hpc.sites.batch import BatchSite
from qcsc_hpc.sites.following import Followed
from qcsc_loop.algorithm import AnyAlgorithm
from qcsc_loop.catalog import find_algorithm
from qcsc_loop.errors import QcscLoopError
from qcsc_loop.events import Event, Observer
from qcsc_loop.jobs.events import JobChanged
from qcsc_loop.jobs.ledger import Ledger
from qcsc_loop.loop.options import RunOptions
from qcsc_loop.loop.outcome import Outcome
from qcsc_loop.rules.stop import MaxIterations
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.journal import Lease

SUBMITTING = ("sbatch", "qsub", "pjsub")
REACHED = b"reached\n"
READY = "ready"  # the instant before the run begins
HOOKS = ("initialize", "sample", "evaluate", "update", "converged")

Act = Literal["nothing", "die", "stand still", "say so"]


@dataclass(frozen=True)
class Orders:
    """What to drive, and what to do at the `count`-th `mark`.

    Attributes:
        keep: of how many iterations all that was written; None: of each.
        take_over: from a driver that lives.
        in_flow: in a Prefect flow, on the API of the environment.
    """

    store: str
    run_id: str
    algorithm: str
    parameters: dict[str, Any] = field(default_factory=dict[str, Any])
    limit: int = 10_000
    lease_seconds: float = 30.0
    seed: int | None = None
    keep: int | None = 10
    take_over: bool = False
    in_flow: bool = False
    act: Act = "nothing"
    mark: str = ""
    count: int = 1


class Fate:
    """Counts instants of one kind, and strikes at one of them."""

    def __init__(self, orders: Orders) -> None:
        self._orders, self._left = orders, orders.count

    def instant(self, mark: str) -> None:
        """Something is about to happen, or has just happened."""
        if self._orders.act == "nothing" or mark != self._orders.mark:
            return
        self._left -= 1
        if self._left == 0:
            self._strike()

    def _strike(self) -> None:
        if self._orders.act == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        os.write(sys.stdout.fileno(), REACHED)
        if self._orders.act == "stand still":
            os.kill(os.getpid(), signal.SIGSTOP)

    def marks(self, owner: Any, name: str, of: Callable[..., str | None]) -> None:
        """Makes what comes before and after a function's call an instant."""
        function = getattr(owner, name)

        def at(when: str, *words: Any, **more: Any) -> None:
            if (what := of(*words, **more)) is not None:
                self.instant(f"{when} {what}")

        async def later(*words: Any, **more: Any) -> Any:
            at("before", *words, **more)
            value = await function(*words, **more)
            at("after", *words, **more)
            return value

        def now(*words: Any, **more: Any) -> Any:
            at("before", *words, **more)
            value = function(*words, **more)
            at("after", *words, **more)
            return value

        wrapper = later if inspect.iscoroutinefunction(function) else now
        setattr(owner, name, functools.wraps(function)(wrapper))  # hooks' annotations are read

    def observe(self, event: Event) -> None:
        if isinstance(event, JobChanged):
            self.instant(f"{event.state} seen")

    def mark_all(self, algorithm: type) -> None:
        """Every step on a job's way, and on the way of the iteration that it belongs to."""
        self.marks(Ledger, "_write", lambda _ledger, line: line.kind)
        self.marks(BatchSite, "submit", lambda *_: "submit")
        self.marks(subprocess.Popen, "__init__", _submitting)  # asyncio's children, too
        self.marks(Followed, "note_folder", lambda _job, record, *_: record and "end seen")
        self.marks(qcsc_hpc.machine, "_collected", lambda *_: "collect")
        self.marks(algorithm, "update", lambda *_: "update")
        for hook in HOOKS:
            self.marks(algorithm, hook, lambda *_: "hook")
        self.marks(Lease, "save_step", lambda _lease, note, *_: f"keep {note.step}")
        self.marks(Lease, "commit", lambda *_: "commit")


def _submitting(_process: object, words: Sequence[str], *_: Any, **__: Any) -> str | None:
    return "command" if any(Path(word).name in SUBMITTING for word in words) else None


def main(mark_all: Callable[[Fate, type], None] = Fate.mark_all) -> int:
    """Drives the run; the exit code and stderr are as of the command line."""
    orders = Orders(**json.loads(sys.argv[1]))
    kind = find_algorithm(orders.algorithm)
    fate = Fate(orders)
    mark_all(fate, kind)
    algorithm = kind.model_validate(orders.parameters)
    fate.instant(READY)
    run = driven_in_flow if orders.in_flow else driven
    try:
        outcome = asyncio.run(run(algorithm, run_options(orders, [fate.observe])))
    except QcscLoopError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(json.dumps(outcome.summary()))
    return 0


async def driven(algorithm: AnyAlgorithm, options: RunOptions) -> Outcome[Any]:
    return await algorithm.run(**options)


async def driven_in_flow(algorithm: AnyAlgorithm, options: RunOptions) -> Outcome[Any]:
    """What the API has of the run is brought to the disk, as a deployed flow does it."""
    from prefect import flow  # other drivers need a second less

    from qcsc_loop.prefect.flow import run_in_flow

    @flow(name="ordeal", persist_result=False)
    async def ordeal() -> Outcome[Any]:
        return await run_in_flow(algorithm, tasks="none", **options)

    return await ordeal()


def run_options(orders: Orders, observers: Sequence[Observer]) -> RunOptions:
    options = RunOptions(
        store=DirectoryStore(Path(orders.store)),
        run_id=orders.run_id,
        stop=MaxIterations(orders.limit),
        observers=observers,
        lease_seconds=orders.lease_seconds,
        keep=orders.keep,
        take_over=orders.take_over,
    )
    if orders.seed is not None:
        options["seed"] = orders.seed
    return options


if __name__ == "__main__":
    sys.exit(main())

"""A run whose drivers are killed, one after the other, and resumed by the next: the one harness.

Each kind of ordeal says what is driven, where, and what has to hold in the end beside these.
"""

from __future__ import annotations

import dataclasses
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

from ordeals.kills import Death
from ordeals.mortal_driver import REACHED, Orders
from qcsc_loop.jobs.entries import JobRecord
from qcsc_loop.jobs.ledger import job_records
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.journal import Journal
from system.command_line import environment

TESTS = Path(__file__).parents[1]
DEADLINE_SECONDS = 240.0  # for a driver to come to its instant, or to its end, on a busy machine

Driver = subprocess.Popen[Any]  # a command line's streams are text


@dataclass
class Ordeal:
    """A run whose drivers are killed.

    Attributes:
        store: the folder of its store.
        parameters: the algorithm's.
        site: what its drivers find in their environment, beside what all do.
        died: what its drivers died at.
        answer: what the last driver says.
    """

    module: ClassVar[str] = "ordeals.mortal_driver"
    algorithm: ClassVar[str]
    longest_life: ClassVar[int] = 20  # iterations in which a driver comes to any instant

    store: Path
    run_id: str
    parameters: dict[str, Any] = field(default_factory=dict[str, Any])
    site: dict[str, str] = field(default_factory=dict[str, str])
    died: list[Death] = field(default_factory=list[Death])
    answer: dict[str, Any] = field(default_factory=dict[str, Any])

    # what is on disk

    @property
    def journal(self) -> Journal:
        return Journal(DirectoryStore(self.store), self.run_id)

    @property
    def iterations(self) -> int:
        """How many are committed, with the beginning."""
        return len(self.journal.history()) if self.journal.exists() else 0

    def states(self) -> list[str]:
        return [commit.state_sha256 for commit in self.journal.history()]

    def jobs(self) -> list[JobRecord]:
        return job_records(self.journal.store, self.run_id)

    def lines(self, kind: str) -> list[dict[str, Any]]:
        """Those of the ledger that are of a kind."""
        lines = self.journal.store.lines(f"{self.run_id}/jobs.jsonl")
        return [line for line in map(json.loads, lines) if line["kind"] == kind]

    # its drivers

    def orders(self, **more: Any) -> Orders:
        return Orders(str(self.store), self.run_id, self.algorithm, self.parameters, **more)

    @contextmanager
    def driver(self, orders: Orders) -> Iterator[Driver]:
        """One that is ended with the block."""
        told = json.dumps(dataclasses.asdict(orders))
        process = subprocess.Popen(
            [sys.executable, "-m", self.module, told],
            env=environment(self.store, self.store)
            | {"PYTHONPATH": str(TESTS), "OMP_NUM_THREADS": "1"}
            | self.site,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        with process:
            try:
                yield process
            finally:
                process.kill()

    def lives(self, death: Death) -> None:
        """A driver, until it is killed."""
        act = "die" if death.delay is None else "say so"
        limit = self.iterations + self.longest_life
        orders = self.orders(act=act, mark=death.mark, count=death.count, limit=limit)
        with self.driver(orders) as process:
            if death.delay is not None:
                self.comes_to(death, process)
                time.sleep(death.delay)  # waits for nothing: it makes it die anywhere
                self.before_the_kill(process)
                process.kill()
            process.wait(DEADLINE_SECONDS)
        assert process.returncode == -signal.SIGKILL, death
        self.after_the_kill(death)
        self.died.append(death)

    def comes_to(self, death: Death, process: Driver) -> None:
        """Waits until a driver that is killed from outside is at the mark of its death."""
        if death.mark:
            wait_for_mark(process)

    def before_the_kill(self, process: Driver) -> None:
        """What an ordeal does to what a driver has started."""

    def after_the_kill(self, death: Death) -> None:
        """What has to hold whenever a driver is dead."""

    def ends(self, limit: int) -> None:
        """A driver that nobody kills."""
        with self.driver(self.orders(limit=limit)) as process:
            out, err = process.communicate(timeout=DEADLINE_SECONDS)
        assert process.returncode == 0, err.decode()
        self.answer = json.loads(out)

    def goes_through(self, deaths: Iterable[Death], limit: int = 1) -> Self:
        """All drivers that are killed, and one that is not."""
        for death in deaths:
            self.lives(death)
        self.ends(max(self.iterations, limit))  # at least one iteration more
        return self


def wait_for_mark(process: Driver) -> None:
    assert process.stdout is not None
    said = process.stdout.readline()
    assert said == REACHED, process.communicate(timeout=DEADLINE_SECONDS)[1].decode()


def assert_same_bits(ordeal: Ordeal, undisturbed: Sequence[str]) -> None:
    """Every iteration's state is that of a run that nobody killed."""
    states = ordeal.states()
    assert states == [*undisturbed[: len(states)]]
    assert ordeal.answer["state_sha256"] == states[-1]

"""Drivers are killed at every step of a QPU job's way: each is paid once, and the bits are right."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import qiskit_aer  # noqa: F401  # here: in a job's short-lived thread its first import crashes

from ordeals.mortal_driver import REACHED, Orders
from qcsc_loop.jobs.ledger import job_records
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.journal import Journal
from qcsc_loop.testing import FakeIBMJob, FakeIBMQuantum
from system.command_line import environment

KILLS = int(os.environ.get("QCSC_LOOP_KILLS", "24"))
RUNS = 3  # at once: some of their time they wait

TESTS = Path(__file__).parents[1]
DEADLINE_SECONDS = 120.0  # for a driver to come to its instant, on a machine that is busy
LONGEST_LIFE = 20  # iterations in which a driver comes to any instant
OVER = ("Completed", "Failed", "Cancelled")

ANYTIME = "ready"
QUESTIONS = ("before question", "after question")
MARKS = (
    ANYTIME, "before intent", "after intent", "before submit", "before request", "after request",
    "before find", "after find", "after submit", "before submitted", "after submitted",
    "PENDING seen", *QUESTIONS, "before save", "after save", "before finished", "after finished",
    "after collected", "before keep sample", "after keep sample", "before update",
    "before commit", "after commit",
)  # fmt: skip

LASTS = {"before request": 0.08, "PENDING seen": 0.5}  # seconds: what a request takes, what a job


@dataclass(frozen=True)
class Death:
    """When a driver is killed.

    Attributes:
        delay: seconds from the mark to the kill; None: it kills itself there and then.
    """

    mark: str
    count: int
    delay: float | None


def shared_out(kills: int) -> list[list[str]]:
    """What the drivers of each run die at; each mark as often as every other."""
    marks = [MARKS[number % len(MARKS)] for number in range(kills)]
    random.Random(kills).shuffle(marks)
    return [marks[run::RUNS] for run in range(RUNS)]


def deaths(marks: list[str], chance: random.Random) -> Iterator[Death]:
    """Of drivers one after the other."""
    for mark in marks:
        if mark == ANYTIME:
            yield Death(mark, 1, chance.uniform(0, 2.5))
        else:
            delay = chance.choice([None, chance.uniform(0, LASTS.get(mark, 0.02))])
            yield Death(mark, chance.randint(1, 8 if mark in QUESTIONS else 2), delay)


@dataclass
class Ordeal:
    """A run whose drivers are killed.

    Attributes:
        died: what its drivers died at.
        answer: what the last driver says.
    """

    ibm: FakeIBMQuantum
    store: Path
    run_id: str
    died: list[Death] = field(default_factory=list[Death])
    answer: dict[str, Any] = field(default_factory=dict[str, Any])

    @property
    def journal(self) -> Journal:
        return Journal(DirectoryStore(self.store), self.run_id)

    @property
    def iterations(self) -> int:
        """How many are committed, with the beginning."""
        return len(self.journal.history()) if self.journal.exists() else 0

    def states(self) -> list[str]:
        return [commit.state_sha256 for commit in self.journal.history()]

    def jobs(self) -> dict[str, list[FakeIBMJob]]:
        """All that the service ever accepted, by the key's tag."""
        found: dict[str, list[FakeIBMJob]] = defaultdict(list)
        for job in self.ibm.jobs():
            _, tag = job.tags
            if f"-{self.run_id}-" in tag:
                found[tag].append(job)
        return found

    @contextmanager
    def driver(self, **orders: Any) -> Iterator[subprocess.Popen[bytes]]:
        sampler = {
            "type": "ibm-runtime",
            "backend": "ibm_manila",
            "optimization_level": 0,  # the run's seed chooses nothing: all runs give the same bits
            "poll_seconds": 0.2,
            "settle_seconds": 1.5,
        }
        told = Orders(str(self.store), self.run_id, "", {"sampler": sampler}, **orders)
        process = subprocess.Popen(
            [sys.executable, "-m", "ordeals.mortal_qpu_driver",
             json.dumps(dataclasses.asdict(told))],
            env=environment(self.store, self.store) | self.ibm.environment
            | {"PYTHONPATH": str(TESTS), "OMP_NUM_THREADS": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )  # fmt: skip
        with process:
            try:
                yield process
            finally:
                process.kill()

    def lives(self, death: Death) -> None:
        """A driver, until it is killed."""
        act = "die" if death.delay is None else "say so"
        limit = self.iterations + LONGEST_LIFE
        with self.driver(act=act, mark=death.mark, count=death.count, limit=limit) as process:
            if death.delay is not None:
                assert process.stdout is not None
                said = process.stdout.readline()
                assert said == REACHED, process.communicate()[1].decode()
                time.sleep(death.delay)  # waits for nothing: it makes it die anywhere
                process.kill()
            process.wait(DEADLINE_SECONDS)
        assert process.returncode == -signal.SIGKILL, death
        self.died.append(death)

    def ends(self, limit: int) -> None:
        """A driver that nobody kills."""
        with self.driver(limit=limit) as process:
            out, err = process.communicate(timeout=DEADLINE_SECONDS)
        assert process.returncode == 0, err.decode()
        self.answer = json.loads(out)

    def goes_through(self, marks: list[str], seed: int) -> Ordeal:
        for death in deaths(marks, random.Random(seed)):
            self.lives(death)
        self.ends(self.iterations + 1)
        return self


@pytest.fixture(scope="module")
def ibm() -> Iterator[FakeIBMQuantum]:
    """The service; it outlives every driver."""
    with FakeIBMQuantum(backends=["fake_manila"], queue_seconds=0.1, run_seconds=0.1) as ibm:
        yield ibm


@pytest.fixture(scope="module")
def ordeals(ibm: FakeIBMQuantum, tmp_path_factory: pytest.TempPathFactory) -> list[Ordeal]:
    """Runs at once."""
    store = tmp_path_factory.mktemp("killed")
    runs = [Ordeal(ibm, store, f"killed{number}") for number in range(RUNS)]
    with ThreadPoolExecutor(RUNS) as pool:
        return [*pool.map(Ordeal.goes_through, runs, shared_out(KILLS), range(RUNS))]


@pytest.fixture(scope="module")
def undisturbed(
    ibm: FakeIBMQuantum, ordeals: list[Ordeal], tmp_path_factory: pytest.TempPathFactory
) -> list[str]:
    """The states of a run that nobody kills, by iteration."""
    run = Ordeal(ibm, tmp_path_factory.mktemp("undisturbed"), "undisturbed")
    run.ends(max(ordeal.iterations for ordeal in ordeals) - 1)
    return run.states()


def test_as_many_drivers_died_as_were_to(ordeals: list[Ordeal]) -> None:
    died = [death for ordeal in ordeals for death in ordeal.died]
    assert len(died) == KILLS
    assert {death.mark for death in died} == {*MARKS[:KILLS]}


def test_the_state_is_that_of_a_run_that_was_never_killed(
    ordeals: list[Ordeal], undisturbed: list[str]
) -> None:
    for ordeal in ordeals:
        states = ordeal.states()
        assert states == undisturbed[: len(states)]
        assert ordeal.answer["state_sha256"] == states[-1]


def test_each_key_has_one_job_and_was_paid_once(ordeals: list[Ordeal]) -> None:
    """By the ledger and by the service, which never forgets a job."""
    for ordeal in ordeals:
        records = job_records(DirectoryStore(ordeal.store), ordeal.run_id)
        assert [(record.key.iteration, record.key.attempt) for record in records] == [
            (iteration, 0) for iteration in range(1, ordeal.iterations)
        ]
        assert {record.state for record in records} == {"COMPLETED"}
        kept = {
            tag: [(job.id, job.state) for job in jobs if job.state != "Cancelled"]
            for tag, jobs in ordeal.jobs().items()
        }
        assert kept == {record.key.job_name: [(record.job_id, "Completed")] for record in records}


def test_nothing_is_left_in_the_queue(ordeals: list[Ordeal], ibm: FakeIBMQuantum) -> None:
    assert ordeals
    assert [job for job in ibm.jobs() if job.state not in OVER] == []

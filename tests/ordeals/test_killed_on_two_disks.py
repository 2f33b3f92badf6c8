"""Drivers are killed, and the next one works on another disk that has only what the API has of the
run: one payment a key, and the same bits."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import pytest
import qiskit_aer  # noqa: F401  # here: in a job's short-lived thread its first import crashes

from ordeals.kills import Death, Mark, deaths, kills, share_out
from ordeals.ordeal import Ordeal, assert_same_bits
from ordeals.test_killed_jobs import MARKS as JOB_MARKS
from ordeals.test_killed_jobs import PAUSE, Site, fake
from ordeals.test_killed_qpu_jobs import MARKS as QPU_MARKS
from ordeals.test_killed_qpu_jobs import OVER, SAMPLER, accepted
from qcsc_hpc.testing import FakeSlurm
from qcsc_loop.errors import DamagedDocument
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.journal import Journal
from qcsc_loop.testing import FakeIBMQuantum

KILLS = kills(1 / 2)  # of each kind
RUNS = min(2, KILLS)  # of each kind, at once

# a state that was not committed is not on the API either: what happens after it is of one disk
Marks = tuple[Mark, ...]


def carry(source: Journal, target: Journal) -> None:
    """Brings a run to a disk as its artifacts do: what it is, who drives it, scalars, a state."""
    if not source.exists() or source.newest_epoch() <= target.newest_epoch():
        return
    here, known = target.newest_good(), {commit.iteration for commit in target.history()}
    for name in source.checkpoints():
        try:
            commit, state = source.checkpoint(name)
        except DamagedDocument:
            continue
        if commit.iteration > here:
            target.add_checkpoint(commit, state)
        break
    target.add_history([c for c in source.history() if c.iteration not in known])
    target.create(source.record())
    newest = source.newest_epoch()
    target.adopt_driver(source.epoch(newest), source.end(newest))


@dataclass
class TwoDisks(Ordeal):
    """Whose every driver works on one of two disks, as chance has it.

    Attributes:
        disks: the folders of their stores.
        moves: how often the run went on on the other one.
    """

    disks: list[Path] = field(default_factory=list[Path])
    chance: random.Random = field(default_factory=random.Random)
    moves: int = 0

    @classmethod
    def on(cls, folder: Path, run_id: str, number: int, **facts: Any) -> Self:
        disks = [folder / run_id / "one", folder / run_id / "two"]
        return cls(disks[0], run_id, disks=disks, chance=random.Random(number), **facts)

    def journals(self) -> list[Journal]:
        return [Journal(DirectoryStore(disk), self.run_id) for disk in self.disks]

    def move(self) -> None:
        """The next driver is on a disk that may be another one, and knows what the API does."""
        before, self.store = self.store, self.chance.choice(self.disks)
        if self.store != before:
            source = Journal(DirectoryStore(before), self.run_id)
            self.moves += source.exists()
            carry(source, self.journal)

    def lives(self, death: Death) -> None:
        self.move()
        super().lives(death)

    def ends(self, limit: int) -> None:
        self.move()
        super().ends(limit)


class TwoDisksOfQPUJobs(TwoDisks):
    module = "ordeals.mortal_qpu_driver"
    algorithm = "loop.sampling.sampling_toys:Sampling"


class TwoDisksOfBatchJobs(TwoDisks):
    algorithm = "system.job_toys:Chain"


def killed(ordeals: list[Any], marks: Marks) -> None:
    with ThreadPoolExecutor(len(ordeals)) as pool:
        shared = share_out(marks, KILLS * len(ordeals) // RUNS, len(ordeals))
        all_deaths = [deaths(own, seed) for seed, own in enumerate(shared)]
        for _ in pool.map(lambda ordeal, own: ordeal.goes_through(own, 2), ordeals, all_deaths):
            pass  # raises what an ordeal raised


# QPU jobs


@pytest.fixture(scope="module")
def ibm() -> Iterator[FakeIBMQuantum]:
    with FakeIBMQuantum(backends=["fake_manila"], queue_seconds=0.1, run_seconds=0.1) as ibm:
        yield ibm


@pytest.fixture(scope="module")
def qpu_ordeals(
    ibm: FakeIBMQuantum, tmp_path_factory: pytest.TempPathFactory
) -> list[TwoDisksOfQPUJobs]:
    folder, facts = tmp_path_factory.mktemp("qpu"), {"parameters": {"sampler": SAMPLER}}
    runs = [
        TwoDisksOfQPUJobs.on(folder, f"disks{number}", number, **facts, site=ibm.environment)
        for number in range(RUNS)
    ]
    killed(runs, QPU_MARKS)
    return runs


def test_qpu_jobs_are_paid_once_for_each_key(
    qpu_ordeals: list[TwoDisksOfQPUJobs], ibm: FakeIBMQuantum
) -> None:
    for ordeal in qpu_ordeals:
        jobs = accepted(ibm, ordeal.run_id)
        assert len(jobs) == ordeal.iterations - 1
        paid = {
            tag: [job.state for job in of if job.state != "Cancelled"] for tag, of in jobs.items()
        }
        assert paid == {tag: ["Completed"] for tag in jobs}
    assert sum(ordeal.moves for ordeal in qpu_ordeals) > 0
    assert [job for job in ibm.jobs() if job.state not in OVER] == []


def test_qpu_jobs_give_the_bits_of_a_run_that_was_never_killed(
    qpu_ordeals: list[TwoDisksOfQPUJobs], ibm: FakeIBMQuantum, tmp_path: Path
) -> None:
    run = TwoDisksOfQPUJobs(tmp_path, "undisturbed", {"sampler": SAMPLER}, ibm.environment)
    run.disks = [tmp_path]
    run.ends(max(ordeal.iterations for ordeal in qpu_ordeals) - 1)
    for ordeal in qpu_ordeals:
        assert_same_bits(ordeal, run.states())


# batch jobs


@pytest.fixture(scope="module")
def batch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with FakeSlurm(tmp_path_factory.mktemp("slurm") / "system") as system:
        yield fake(system)


def chain(batch: Site, folder: Path) -> dict[str, Any]:
    machine = {"type": "hpc", "hpc_profile": batch.profile}
    trace = str(folder / "trace")
    return {"pause": PAUSE, "trace": trace, "machine": machine}


@pytest.fixture(scope="module")
def batch_ordeals(
    batch: Site, tmp_path_factory: pytest.TempPathFactory
) -> list[TwoDisksOfBatchJobs]:
    runs = []
    for number in range(RUNS):
        folder = tmp_path_factory.mktemp("batch")
        facts = {"parameters": chain(batch, folder), "site": batch.environment}
        runs.append(TwoDisksOfBatchJobs.on(folder, f"disks{number}", number, **facts))
    killed(runs, JOB_MARKS)
    return runs


def test_batch_jobs_are_done_once_for_each_key(
    batch_ordeals: list[TwoDisksOfBatchJobs], batch: Site
) -> None:
    names = Counter(name for _, name in batch.accepted(""))
    assert {*names.values()} == {1}
    assert len(names) == sum(ordeal.iterations - 1 for ordeal in batch_ordeals)
    for ordeal in batch_ordeals:
        executed = Path(ordeal.parameters["trace"]).read_text().splitlines()
        assert len(executed) == len({*executed}) == ordeal.iterations - 1
    assert sum(ordeal.moves for ordeal in batch_ordeals) > 0
    assert batch.alive("") == []


def test_batch_jobs_give_the_bits_of_a_run_that_was_never_killed(
    batch_ordeals: list[TwoDisksOfBatchJobs],
    tmp_path: Path,
    undisturbed: Callable[[int], list[str]],
) -> None:
    for ordeal in batch_ordeals:
        assert_same_bits(ordeal, undisturbed(ordeal.iterations))


@pytest.fixture
def undisturbed(tmp_path: Path) -> Callable[[int], list[str]]:
    def states(iterations: int) -> list[str]:
        here = Site({}, {"scheduler": "local"}, lambda _: [], lambda _: [])
        run = TwoDisksOfBatchJobs(
            tmp_path / "undisturbed", "undisturbed", chain(here, tmp_path) | {"pause": 0}
        )
        run.disks = [run.store]
        run.ends(iterations - 1)
        return run.states()

    return states

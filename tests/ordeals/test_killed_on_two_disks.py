"""Drivers are killed, and the next one works on another disk, which knows of the run what a Prefect
server has of it: one payment a key, and the same bits."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TypeVar

import pytest
import qiskit_aer  # noqa: F401  # here: in a job's short-lived thread its first import crashes

from conftest import why_no_slurm
from ordeals.kills import Death, Mark, deaths, kills, share_out
from ordeals.mortal_driver import Orders
from ordeals.ordeal import Ordeal, assert_same_bits
from ordeals.test_killed_jobs import MARKS as JOB_MARKS
from ordeals.test_killed_jobs import PAUSE, Site, fake, real
from ordeals.test_killed_qpu_jobs import MARKS as QPU_MARKS
from ordeals.test_killed_qpu_jobs import OVER, SAMPLER, accepted
from qcsc_hpc.testing import FakeSlurm
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.journal import Journal
from qcsc_loop.testing import FakeIBMQuantum
from system.server import PrefectServer

KILLS = kills(1 / 2, by_day=1 / 3)  # of each kind
RUNS = max(1, min(3, KILLS // 3))  # of each kind, at once

pytestmark = pytest.mark.server


@dataclass
class TwoDisks(Ordeal):
    """Whose every driver works on one of two disks, as chance has it, and in a flow.

    Attributes:
        server: all that one disk hears of the other.
        disks: the folders of their stores.
        moves: how often the run went on on the other one.
    """

    server: PrefectServer = field(kw_only=True)
    disks: list[Path] = field(default_factory=list[Path])
    chance: random.Random = field(default_factory=random.Random)
    moves: int = 0

    @classmethod
    def on(
        cls, server: PrefectServer, folder: Path, run_id: str, parameters: Any, site: Any
    ) -> Self:
        disks = [folder / run_id / "one", folder / run_id / "two"]
        return cls(
            disks[0],
            run_id,
            parameters,
            site | server.settings,
            server=server,
            disks=disks,
            chance=random.Random(run_id),
        )

    def orders(self, **more: Any) -> Orders:
        return super().orders(in_flow=True, **more)

    @property
    def iterations(self) -> int:
        """How many are committed, wherever."""
        journals = [Journal(DirectoryStore(disk), self.run_id) for disk in self.disks]
        return max(len(journal.history()) for journal in journals)

    def move(self) -> None:
        """The next driver is on a disk that may be another one.

        A run whose first driver died before the server had heard of it is on one disk alone.
        """
        if not self.server.artifacts(f"{self.run_id}-run"):
            return
        before, self.store = self.store, self.chance.choice(self.disks)
        self.moves += self.store != before

    def lives(self, death: Death) -> None:
        self.move()
        super().lives(death)

    def ends(self, limit: int) -> None:
        while not self.moves:
            self.move()
        super().ends(limit)


class TwoDisksOfQPUJobs(TwoDisks):
    module = "ordeals.mortal_qpu_driver"
    algorithm = "loop.sampling.sampling_toys:Sampling"


class TwoDisksOfBatchJobs(TwoDisks):
    algorithm = "system.job_toys:Chain"


T = TypeVar("T", bound=TwoDisks)


def killed(ordeals: list[T], marks: Sequence[Mark]) -> list[T]:
    with ThreadPoolExecutor(len(ordeals)) as pool:
        shared = share_out(marks, KILLS, len(ordeals))
        all_deaths = [deaths(own, seed) for seed, own in enumerate(shared)]
        return [*pool.map(lambda ordeal, own: ordeal.goes_through(own, 2), ordeals, all_deaths)]


def assert_went_over(ordeals: Sequence[TwoDisks]) -> None:
    """The drivers died as they were to, and each run was on both disks."""
    assert sum(len(ordeal.died) for ordeal in ordeals) == KILLS
    assert all(ordeal.moves for ordeal in ordeals)


# QPU jobs


@pytest.fixture(scope="module")
def ibm() -> Iterator[FakeIBMQuantum]:
    with FakeIBMQuantum(backends=["fake_manila"], queue_seconds=0.1, run_seconds=0.1) as ibm:
        yield ibm


@pytest.fixture(scope="module")
def qpu_ordeals(
    ibm: FakeIBMQuantum, server: PrefectServer, tmp_path_factory: pytest.TempPathFactory
) -> list[TwoDisksOfQPUJobs]:
    folder = tmp_path_factory.mktemp("qpu")
    runs = [
        TwoDisksOfQPUJobs.on(
            server, folder, f"two-disks-qpu{number}", {"sampler": SAMPLER}, ibm.environment
        )
        for number in range(RUNS)
    ]
    return killed(runs, QPU_MARKS)


@pytest.mark.guarantee("G12")
def test_qpu_jobs_are_paid_once_for_each_key(
    qpu_ordeals: list[TwoDisksOfQPUJobs], ibm: FakeIBMQuantum
) -> None:
    assert_went_over(qpu_ordeals)
    for ordeal in qpu_ordeals:
        jobs = accepted(ibm, ordeal.run_id)
        assert len(jobs) == ordeal.iterations - 1
        paid = {
            tag: [job.state for job in of if job.state != "Cancelled"] for tag, of in jobs.items()
        }
        assert paid == {tag: ["Completed"] for tag in jobs}
    assert [job for job in ibm.jobs() if job.state not in OVER] == []


@pytest.mark.guarantee("G26")
def test_qpu_jobs_give_the_bits_of_a_run_that_was_never_killed(
    qpu_ordeals: list[TwoDisksOfQPUJobs], ibm: FakeIBMQuantum, tmp_path: Path
) -> None:
    class Undisturbed(Ordeal):
        module, algorithm = TwoDisksOfQPUJobs.module, TwoDisksOfQPUJobs.algorithm

    run = Undisturbed(tmp_path, "undisturbed", {"sampler": SAMPLER}, ibm.environment)
    run.ends(max(ordeal.iterations for ordeal in qpu_ordeals) - 1)
    for ordeal in qpu_ordeals:
        assert_same_bits(ordeal, run.states())


# batch jobs


@pytest.fixture(scope="module")
def batch(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """The real Slurm; where there is none, the fake one."""
    if why_no_slurm() is None:
        yield real(request.getfixturevalue("slurm"))
        return
    with FakeSlurm(tmp_path_factory.mktemp("slurm") / "system") as system:
        yield fake(system)


def chain(profile: dict[str, Any], trace: Path, pause: float) -> dict[str, Any]:
    machine = {"type": "hpc", "hpc_profile": profile}
    return {"pause": pause, "trace": str(trace), "machine": machine}


@pytest.fixture(scope="module")
def batch_ordeals(
    batch: Site, server: PrefectServer, tmp_path_factory: pytest.TempPathFactory
) -> list[TwoDisksOfBatchJobs]:
    runs, folder = [], tmp_path_factory.mktemp("batch")
    for number in range(RUNS):
        run_id = f"two-disks-batch{number}"
        parameters = chain(batch.profile, folder / f"trace{number}", PAUSE)
        runs.append(TwoDisksOfBatchJobs.on(server, folder, run_id, parameters, batch.environment))
    return killed(runs, JOB_MARKS)


def test_batch_jobs_are_done_once_for_each_key(
    batch_ordeals: list[TwoDisksOfBatchJobs], batch: Site
) -> None:
    assert_went_over(batch_ordeals)
    for ordeal in batch_ordeals:
        mine = (name for _, name in batch.accepted(ordeal.run_id) if f"-{ordeal.run_id}-" in name)
        names = Counter(mine)
        assert {*names.values()} == {1}
        assert len(names) == ordeal.iterations - 1
        executed = Path(ordeal.parameters["trace"]).read_text().splitlines()
        assert len(executed) == len({*executed}) == ordeal.iterations - 1
        assert batch.alive(ordeal.run_id) == []


def test_batch_jobs_give_the_bits_of_a_run_that_was_never_killed(
    batch_ordeals: list[TwoDisksOfBatchJobs],
    tmp_path: Path,
    undisturbed: Callable[[int], list[str]],
) -> None:
    for ordeal in batch_ordeals:
        assert_same_bits(ordeal, undisturbed(ordeal.iterations))


@pytest.fixture
def undisturbed(tmp_path: Path) -> Callable[[int], list[str]]:
    class Undisturbed(Ordeal):
        algorithm = TwoDisksOfBatchJobs.algorithm

    def states(iterations: int) -> list[str]:
        here = chain({"scheduler": "local"}, tmp_path / "trace", 0)
        run = Undisturbed(tmp_path / "undisturbed", "undisturbed", here)
        run.ends(iterations - 1)
        return run.states()

    return states

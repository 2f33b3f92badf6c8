"""Drivers, supervisors, ranks and whole jobs are killed on a real Slurm: same bits, one outcome."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import anyio
import psutil
import pytest

from cluster.slurm import SlurmCluster
from ordeals.kills import kills
from ordeals.mortal_driver import Orders
from ordeals.ordeal import Driver, Ordeal, assert_same_bits
from ordeals.warm_chain import Chain  # the folder of these tests
from qcsc_hpc.machine import HPCMachine
from qcsc_hpc.profiles import ExecutionProfile, HPCProfile
from qcsc_hpc.warm.mailbox import OUTCOME, outcome_in
from qcsc_hpc.warm.settings import Warm
from qcsc_loop.rules.stop import MaxIterations
from qcsc_loop.store.journal import Journal
from qcsc_loop.store.memory import MemoryStore
from waiting import until

KILLS = kills()
RUN = "killed"
HERE = Path(__file__).parent  # with the ranks' program
KINDS = ("driver", "supervisor", "rank", "job")
ENDLESS = 1_000_000
LONGEST_WAIT = 0.6  # before a kill: several requests


def machine(launcher: str) -> HPCMachine:
    how = {
        "mpiprocs": 2,
        "launcher": launcher,
        "walltime": "00:30:00",
        "environments": {"PYTHONPATH": str(HERE)},
    }
    return HPCMachine(
        hpc_profile=HPCProfile(
            scheduler="slurm",
            poll_seconds=0.5,
            settle_seconds=2.0,
            executable_map={"mpiexec": str(Path(sys.prefix) / "bin" / "mpiexec")},
        ),
        execution_profile=ExecutionProfile.model_validate(how),
        placement="warm",
        warm=Warm(tries=1000),
    )


@dataclass
class WarmOrdeal(Ordeal):
    """A run on a warm job, whatever of it is killed."""

    algorithm = "ordeals.warm_chain:Chain"

    chance: random.Random = field(default_factory=lambda: random.Random(KILLS))
    killed: Counter[str] = field(default_factory=Counter[str])

    def orders(self, **more: Any) -> Orders:
        return super().orders(seed=5, keep=None, lease_seconds=2.0, **more)

    def goes_through_all(self, kills: int) -> Self:
        """Of each kind as many as of every other, in any order."""
        left = [KINDS[number % len(KINDS)] for number in range(kills)]
        self.chance.shuffle(left)
        while left:
            with self.driver(self.orders()) as process:
                while left:
                    self.moves_on(process)
                    kind = left.pop()
                    self.killed[kind] += 1
                    if kind == "driver":
                        break
                    self.kill(kind)
        self.ends(self.iterations + 1)
        return self

    def moves_on(self, process: Driver) -> None:
        """Waits for another iteration, and then for an instant that nobody knows."""
        begun = self.iterations

        def moved() -> bool:
            assert process.poll() is None, process.communicate()[1].decode()
            return self.iterations > begun

        until(moved, "another iteration is committed")
        with suppress(subprocess.TimeoutExpired):
            process.wait(self.chance.uniform(0, LONGEST_WAIT))

    def kill(self, kind: str) -> None:
        if kind == "job":
            known = [job for job in self.jobs() if job.key.step == "warm"]
            submitted = [job.job_id for job in known if job.job_id is not None]
            words = ["scancel", submitted[-1]]
            if self.chance.random() < 0.5:
                words[1:1] = ["--signal=KILL", "--full"]
            # it may just have ended by itself
            subprocess.run(words, env={**os.environ, **self.site}, check=False)
            return
        found = [p for p in psutil.process_iter() if self.is_ours(p, f"qcsc_hpc.warm.{kind}")]
        if found:
            with suppress(psutil.NoSuchProcess):
                self.chance.choice(found).kill()

    def is_ours(self, process: psutil.Process, module: str) -> bool:
        with suppress(psutil.Error):
            words = process.cmdline()
            return module in words and str(self.store) in " ".join(words) and "-c" not in words
        return False


@pytest.fixture(scope="module")
def ordeal(slurm: SlurmCluster, tmp_path_factory: pytest.TempPathFactory) -> WarmOrdeal:
    # not srun: MPICH names its ranks' shared memory after job and step, which every cluster numbers
    # alike, and a rank that is killed in MPI_Init leaves it to the next one's
    settings = {"machine": machine("mpiexec").model_dump(mode="json")}
    store = tmp_path_factory.mktemp("killed") / "store"
    return WarmOrdeal(store, RUN, settings, slurm.environment).goes_through_all(KILLS)


def test_as_much_was_killed_as_was_to(ordeal: WarmOrdeal) -> None:
    assert ordeal.killed.total() == KILLS
    assert set(ordeal.killed) == {*KINDS[:KILLS]}


def test_the_states_are_those_of_a_run_that_was_never_killed(ordeal: WarmOrdeal) -> None:
    history = ordeal.journal.history()
    store = MemoryStore()
    stop = MaxIterations(history[-1].iteration)
    anyio.run(lambda: Chain().run(store=store, run_id=RUN, seed=5, stop=stop))
    undisturbed = [commit.state_sha256 for commit in Journal(store, RUN).history()]
    assert_same_bits(ordeal, undisturbed)
    store.close()


@pytest.mark.guarantee("G15")
def test_each_key_has_one_outcome(ordeal: WarmOrdeal) -> None:
    iterations = [commit.iteration for commit in ordeal.journal.history()][1:]
    jobs = [job for job in ordeal.jobs() if job.key.step != "warm"]
    assert [(job.key.iteration, job.key.attempt) for job in jobs] == [(k, 0) for k in iterations]
    assert {job.state for job in jobs} == {"COMPLETED"}
    for job in jobs:
        folder = Path(job.intent.folder)
        ended = outcome_in(folder)
        assert ended is not None and ended.state == "COMPLETED"
        # the record that was committed is the one that its try wrote
        assert (folder / OUTCOME).samefile(folder / ended.place / "outcome.room")


def test_nothing_is_left(ordeal: WarmOrdeal) -> None:
    (mailbox,) = (ordeal.store / RUN / "warm").iterdir()
    assert list((mailbox / "new").iterdir()) == []
    words = ["squeue", "--noheader", "--format=%j"]
    environment = {**os.environ, **ordeal.site}

    def queued() -> list[str]:
        said = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
        return [name for name in said.stdout.split() if f"-{RUN}-" in name]

    until(lambda: queued() == [], "the queue is empty")
    until(
        lambda: not any(ordeal.is_ours(p, "qcsc_hpc.warm.rank") for p in psutil.process_iter()),
        "no rank is left",
    )

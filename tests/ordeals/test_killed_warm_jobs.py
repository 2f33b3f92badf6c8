"""Drivers, supervisors, ranks and whole jobs are killed on a real Slurm: the bits are right, and each key has one outcome."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import psutil
import pytest

from cluster.slurm import SlurmCluster
from ordeals.warm_chain import Chain  # the folder of these tests
from qcsc_hpc.machine import HPCMachine
from qcsc_hpc.profiles import ExecutionProfile, HPCProfile
from qcsc_hpc.warm.mailbox import OUTCOME, outcome_in
from qcsc_hpc.warm.settings import Warm
from qcsc_loop.jobs.ledger import job_records
from qcsc_loop.rules.stop import MaxIterations
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.journal import Journal
from qcsc_loop.store.memory import MemoryStore
from waiting import until

KILLS = int(os.environ.get("QCSC_LOOP_KILLS", "60"))
RUN = "killed"
SCRIPT = Path(__file__).with_name("warm_chain.py")
KINDS = ("driver", "supervisor", "rank", "job")
ENDLESS = 1_000_000
LONGEST_WAIT = 0.6  # before a kill: several requests


def machine(launcher: str) -> HPCMachine:
    how = {"mpiprocs": 2, "launcher": launcher, "walltime": "00:30:00",
           "environments": {"PYTHONPATH": str(SCRIPT.parent)}}  # fmt: skip
    return HPCMachine(
        hpc_profile=HPCProfile(
            scheduler="slurm", poll_seconds=0.5, settle_seconds=2.0,
            executable_map={"mpiexec": str(Path(sys.prefix) / "bin" / "mpiexec")},
        ),
        execution_profile=ExecutionProfile.model_validate(how),
        placement="warm",
        warm=Warm(tries=1000),
    )  # fmt: skip


@dataclass
class Ordeal:
    """A run on a warm job, whatever of it is killed."""

    slurm: SlurmCluster
    folder: Path
    launcher: str
    chance: random.Random
    killed: Counter[str] = field(default_factory=Counter[str])

    @property
    def store(self) -> DirectoryStore:
        return DirectoryStore(self.folder / "store")

    @property
    def journal(self) -> Journal:
        return Journal(self.store, RUN)

    def iterations(self) -> int:
        with suppress(OSError):
            return (self.folder / "store" / RUN / "history.jsonl").read_bytes().count(b"\n")
        return 0

    @contextmanager
    def driver(self, iterations: int) -> Iterator[psutil.Popen]:
        chain = Chain(machine=machine(self.launcher))
        words = [sys.executable, str(SCRIPT), chain.model_dump_json(), str(self.folder / "store"),
                 RUN, str(iterations)]  # fmt: skip
        environment = {**os.environ, **self.slurm.environment, "PYTHONPATH": str(SCRIPT.parents[1])}
        with (self.folder / "driver.log").open("ab") as log:
            process = psutil.Popen(words, env=environment, stdout=log, stderr=log)
        try:
            yield process
        finally:
            with suppress(psutil.NoSuchProcess):
                process.kill()
            process.wait()

    def goes_through(self, kills: int) -> None:
        left = [KINDS[number % len(KINDS)] for number in range(kills)]
        self.chance.shuffle(left)
        while left:
            with self.driver(ENDLESS) as process:
                while left:
                    self.moves_on(process)
                    kind = left.pop()
                    self.killed[kind] += 1
                    if kind == "driver":
                        break
                    self.kill(kind)
        end = self.iterations() + 2
        with self.driver(end) as process:
            assert process.wait(120) == 0, (self.folder / "driver.log").read_text()[-3000:]

    def moves_on(self, process: psutil.Popen) -> None:
        """Waits for another iteration, and then for an instant that nobody knows."""
        begun = self.iterations()

        def moved() -> bool:
            assert process.poll() is None, (self.folder / "driver.log").read_text()[-3000:]
            return self.iterations() > begun

        until(moved, "another iteration is committed")
        with suppress(psutil.TimeoutExpired):
            process.wait(self.chance.uniform(0, LONGEST_WAIT))

    def kill(self, kind: str) -> None:
        if kind == "job":
            known = [job for job in job_records(self.store, RUN) if job.key.step == "warm"]
            submitted = [job.job_id for job in known if job.job_id is not None]
            words = ["scancel", submitted[-1]]
            if self.chance.random() < 0.5:
                words[1:1] = ["--signal=KILL", "--full"]
            # it may just have ended by itself
            subprocess.run(words, env={**os.environ, **self.slurm.environment}, check=False)
            return
        found = [p for p in psutil.process_iter() if self.is_ours(p, f"qcsc_hpc.warm.{kind}")]
        if found:
            with suppress(psutil.NoSuchProcess):
                self.chance.choice(found).kill()

    def is_ours(self, process: psutil.Process, module: str) -> bool:
        with suppress(psutil.Error):
            words = process.cmdline()
            return module in words and str(self.folder) in " ".join(words) and "-c" not in words
        return False


@pytest.fixture(scope="module")
def ordeal(slurm: SlurmCluster, tmp_path_factory: pytest.TempPathFactory) -> Ordeal:
    # not srun: MPICH names its ranks' shared memory after job and step, which every cluster numbers
    # alike, and a rank that is killed in MPI_Init leaves it to the next one's
    run = Ordeal(slurm, tmp_path_factory.mktemp("killed"), "mpiexec", random.Random(KILLS))
    run.goes_through(KILLS)
    return run


def test_as_much_was_killed_as_was_to(ordeal: Ordeal) -> None:
    assert ordeal.killed.total() == KILLS
    assert set(ordeal.killed) == set(KINDS)


def test_the_states_are_those_of_a_run_that_was_never_killed(ordeal: Ordeal) -> None:
    history = ordeal.journal.history()
    store = MemoryStore()
    stop = MaxIterations(history[-1].iteration)
    anyio.run(lambda: Chain().run(store=store, run_id=RUN, seed=5, stop=stop))
    undisturbed = [commit.state_sha256 for commit in Journal(store, RUN).history()]
    assert [commit.state_sha256 for commit in history] == undisturbed
    store.close()


def test_each_key_has_one_outcome(ordeal: Ordeal) -> None:
    iterations = [commit.iteration for commit in ordeal.journal.history()][1:]
    jobs = [job for job in job_records(ordeal.store, RUN) if job.key.step != "warm"]
    assert [(job.key.iteration, job.key.attempt) for job in jobs] == [(k, 0) for k in iterations]
    assert {job.state for job in jobs} == {"COMPLETED"}
    for job in jobs:
        folder = Path(job.intent.folder)
        ended = outcome_in(folder)
        assert ended is not None and ended.state == "COMPLETED"
        # the record that was committed is the one that its try wrote
        assert (folder / OUTCOME).samefile(folder / ended.place / "outcome.room")


def test_nothing_is_left(ordeal: Ordeal) -> None:
    (mailbox,) = (ordeal.folder / "store" / RUN / "warm").iterdir()
    assert list((mailbox / "new").iterdir()) == []
    words = ["squeue", "--noheader", "--format=%j"]
    environment = {**os.environ, **ordeal.slurm.environment}

    def queued() -> list[str]:
        said = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
        return [name for name in said.stdout.split() if f"-{RUN}-" in name]

    until(lambda: queued() == [], "the queue is empty")
    until(
        lambda: not any(ordeal.is_ours(p, "qcsc_hpc.warm.rank") for p in psutil.process_iter()),
        "no rank is left",
    )

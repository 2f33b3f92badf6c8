"""Drivers of SQD are killed at any instant: same bits, each job once, no walker's work twice."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from cluster.slurm import SlurmCluster
from hpc.places import RealSlurm  # noqa: TID251  # of the tests' folder
from ordeals import mortal_sqd_driver  # noqa: F401  # its samplers and solvers are known by name
from ordeals.kills import Death, Mark, choose, deaths, kills
from ordeals.mortal_driver import READY
from ordeals.ordeal import Driver, Ordeal, assert_same_bits
from qcsc_algorithms.sqd import SQD
from qcsc_loop.errors import HookFailed
from qcsc_loop.jobs.entries import JobRecord
from qcsc_loop.jobs.ledger import job_records
from qcsc_loop.loop.outcome import Outcome
from qcsc_loop.rules.stop import MaxIterations
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.journal import Journal
from qcsc_loop.testing import FakeIBMQuantum
from system.command_line import Background, CommandLine, ended_by, setting, until_gone
from thorough import first
from waiting import alive, until

KILLS = kills(1 / 5)  # of drivers on each machine
QPU_KILLS = kills(2 / 15)
ITERATIONS = min(3, KILLS - 1)  # at least

CHAIN = {
    "system": {"geometry": "H 0 0 0; H 0 0 1; H 0 0 2; H 0 0 3", "basis": "sto-3g"},
    "shots": 100,
    "walkers": 4,
    "max_strings": 4,
    "tolerance": 0,
}
AS_JOBS = {"solver": {"type": "pyscf", "as_job": True}}
BLAS = {name: value for name, value in os.environ.items() if name.startswith("OPENBLAS_")}
ON_SLURM = {
    "machine": {
        "type": "hpc",
        "hpc_profile": {"scheduler": "slurm"},
        # whose kernels round differently; a job there does not inherit the driver's environment
        "execution_profile": {"environments": BLAS},
    }
}
ON_A_QPU = {
    "sampler": {
        "type": "ibm-runtime",
        "backend": "ibm_guadalupe",
        "optimization_level": 0,  # the run's seed chooses nothing: all runs give the same bits
        "poll_seconds": 0.2,
        "settle_seconds": 1.5,
    }
}
# in the order in which an iteration comes to them, and at any instant before the next
ANYWHERE = Mark(READY, 1.0, 1, from_outside=True)
JOB_MARKS = (
    ANYWHERE,
    Mark("after walker of sample", 0.5),
    ANYWHERE,
    Mark("before keep sample", 0.5, 1),
    Mark("after intent", 0.5),
    Mark("after submitted", 0.5),
    ANYWHERE,
    Mark("after finished", 0.5),
    Mark("after collected", 0.5),
    Mark("after walker of evaluate", 0.5),
    Mark("before keep evaluate", 0.5, 1),
)
QPU_MARKS = (
    ANYWHERE,
    Mark("after intent", 0.5),
    Mark("after submitted", 0.5),
    Mark("after finished", 0.5),
    Mark("after walker of sample", 0.5),
    Mark("before keep sample", 0.5, 1),
    ANYWHERE,
    Mark("after walker of evaluate", 0.5),
)

WORKER = "qcsc_loop.concurrency.worker"
PYSCF = "qcsc_algorithms.sqd.solvers.selected_ci"
TIE = "child.py"  # what a child is started through that is tied to its parent


@dataclass
class SQDOrdeal(Ordeal):
    """One of SQD; nothing that a driver has started outlives it.

    Attributes:
        token: known to each of its processes on this machine.
    """

    module = "ordeals.mortal_sqd_driver"
    algorithm = "sqd"

    token: str = field(default_factory=lambda: secrets.token_hex(8))

    def __post_init__(self) -> None:
        self.parameters = {**CHAIN, **self.parameters}
        self.site = {**self.site, "ORDEAL": self.token}

    def processes(self) -> list[psutil.Process]:
        """All that live on this machine and descend from its drivers, whoever is their parent."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get("ORDEAL") == self.token and alive(process.pid):
                    found.append(process)
        return found

    def before_the_kill(self, process: Driver) -> None:
        hold_children_of(process.pid)

    def after_the_kill(self, death: Death) -> None:
        try:
            until(lambda: not self.processes(), f"nothing is left of a driver killed at {death}")
        finally:
            until_gone(self.processes())


def hold_children_of(pid: int) -> None:
    """Stops what works for a driver, so that it cannot end by itself, before it has to."""
    for child in psutil.Process(pid).children(recursive=True):
        with suppress(psutil.Error):
            words = " ".join(child.cmdline())
            # one that has not yet tied itself to the driver would never come to it
            if (WORKER in words or PYSCF in words) and TIE not in words:
                child.suspend()


# killed again and again; all runs at once


@pytest.fixture(scope="module")
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor() as pool:
        yield pool


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("killed")


@pytest.fixture(scope="module")
def here(pool: ThreadPoolExecutor, folder: Path) -> Future[SQDOrdeal]:
    """A run whose jobs are its drivers' children, as many at a time as there are cores in CI."""
    run = SQDOrdeal(folder / "here", "here", {**AS_JOBS, "concurrency": 2})
    return pool.submit(run.goes_through, deaths(choose(JOB_MARKS, KILLS), 1), ITERATIONS)


@pytest.fixture(scope="module")
def ibm() -> Iterator[FakeIBMQuantum]:
    """The service; it outlives every driver."""
    service = FakeIBMQuantum(backends=["fake_guadalupe"], queue_seconds=0.1, run_seconds=0.1)
    with service as ibm:
        yield ibm


@pytest.fixture(scope="module")
def on_a_qpu(pool: ThreadPoolExecutor, folder: Path, ibm: FakeIBMQuantum) -> Future[SQDOrdeal]:
    """A run whose circuits are QPU jobs, and whose diagonalisations are done by the drivers."""
    run = SQDOrdeal(folder / "qpu", "qpu", ON_A_QPU, ibm.environment)
    return pool.submit(run.goes_through, deaths(choose(QPU_MARKS, QPU_KILLS), 2), ITERATIONS)


BETWEEN = (
    Death("after walker 1 of sample"),
    Death("after walker 3 of sample"),
    Death("after walker 4 of sample"),  # all are recorded, the step is not
    Death("after batch"),
    Death("after walker 2 of evaluate"),
    Death("after walker 4 of evaluate"),
)


@pytest.fixture(scope="module")
def between_walkers(pool: ThreadPoolExecutor, folder: Path) -> Future[SQDOrdeal]:
    """A run of one iteration, one walker at a time, killed as soon as their results are kept."""
    one_at_a_time = {**noting(folder / "between-notes"), "concurrency": 1}
    run = SQDOrdeal(folder / "between", "between", one_at_a_time)
    return pool.submit(run.goes_through, BETWEEN, 1)


UNDISTURBED = ("undisturbed", "undisturbed_on_a_qpu")


@pytest.fixture(scope="module")
def undisturbed(pool: ThreadPoolExecutor, folder: Path) -> Future[SQDOrdeal]:
    """A run that nobody kills, with jobs on this machine."""
    run = SQDOrdeal(folder / "undisturbed", "undisturbed", AS_JOBS)
    return pool.submit(run.goes_through, (), ITERATIONS)


@pytest.fixture(scope="module")
def undisturbed_on_a_qpu(
    pool: ThreadPoolExecutor, folder: Path, ibm: FakeIBMQuantum
) -> Future[SQDOrdeal]:
    run = SQDOrdeal(folder / "whole", "whole", ON_A_QPU, ibm.environment)
    return pool.submit(run.goes_through, (), ITERATIONS)


@pytest.fixture(scope="module")
def begun_at_once(request: pytest.FixtureRequest) -> None:
    """All the other runs that chosen tests ask for."""
    items = (item for item in request.session.items if item.path == request.path)
    asked = {name for item in items for name in getattr(item, "fixturenames", ())}
    for name in asked & {"here", "on_a_qpu", "between_walkers", *UNDISTURBED}:
        request.getfixturevalue(name)


@pytest.fixture(scope="module")
def in_the_queue(
    pool: ThreadPoolExecutor,
    folder: Path,
    begun_at_once: None,
    slurm: SlurmCluster,
) -> Future[SQDOrdeal]:
    """A run whose jobs are Slurm's; the others go on meanwhile."""
    run = SQDOrdeal(folder / "queue", "queue", {**AS_JOBS, **ON_SLURM}, slurm.environment)
    return pool.submit(run.goes_through, deaths(choose(JOB_MARKS, KILLS), 3), ITERATIONS)


def assert_as_undisturbed(ordeal: SQDOrdeal, undisturbed: SQDOrdeal) -> None:
    assert ordeal.iterations > ITERATIONS
    if undisturbed.iterations < ordeal.iterations:
        undisturbed.ends(ordeal.iterations - 1)
    assert_same_bits(ordeal, undisturbed.states())


Work = tuple[int, str, str, str]


def works(records: list[JobRecord], iterations: int) -> list[Work]:
    """What jobs are for, without their attempts, in the iterations that were committed."""
    keys = [record.key for record in records if record.key.iteration < iterations]
    return sorted((key.iteration, key.step, key.label, key.name) for key in keys)


class TestWithJobsInSlurmsQueue:
    def test_as_many_drivers_died_as_were_to(self, in_the_queue: Future[SQDOrdeal]) -> None:
        assert len(in_the_queue.result().died) == KILLS

    def test_the_state_is_that_of_a_run_that_was_never_killed(
        self, in_the_queue: Future[SQDOrdeal], undisturbed: Future[SQDOrdeal]
    ) -> None:
        assert_as_undisturbed(in_the_queue.result(), undisturbed.result())

    def test_each_key_has_one_job_by_the_ledger_and_by_accounting(
        self, in_the_queue: Future[SQDOrdeal], undisturbed: Future[SQDOrdeal], slurm: SlurmCluster
    ) -> None:
        ordeal = in_the_queue.result()
        jobs = ordeal.jobs()
        assert {(job.state, job.key.attempt) for job in jobs} == {("COMPLETED", 0)}
        assert works(jobs, ordeal.iterations) == works(
            undisturbed.result().jobs(), ordeal.iterations
        )
        assert len(jobs) == 4 * (ordeal.iterations - 1)
        for kind in ("intent", "submitted", "finished"):
            assert len(ordeal.lines(kind)) == len(jobs), kind
        accepted = accounted(RealSlurm(slurm), "queue")
        assert accepted == sorted((str(job.job_id), job.key.job_name) for job in jobs)

    def test_nothing_is_left_in_the_queue(
        self, in_the_queue: Future[SQDOrdeal], slurm: SlurmCluster
    ) -> None:
        assert in_the_queue.result().answer
        assert told(RealSlurm(slurm), "queue", "squeue", "--noheader", "--format=%i|%j") == set()


def told(slurm: RealSlurm, run_id: str, *words: str) -> set[tuple[str, str]]:
    """Ids and names of a run's jobs, as a command lists them."""
    rows = [line.split("|") for line in slurm.run(*words).splitlines()]
    return {(row[0], row[1]) for row in rows if f"-{run_id}-" in row[1]}


def accounted(slurm: RealSlurm, run_id: str) -> list[tuple[str, str]]:
    """Those that accounting knows, once it knows all that squeue still shows."""
    squeue = ("squeue", "--noheader", "--format=%i|%j", "--states=all")
    sacct = ("sacct", "-XnPa", "--starttime=now-1days", "--format=JobID,JobName")
    recent = told(slurm, run_id, *squeue)
    until(lambda: recent <= told(slurm, run_id, *sacct), "accounting knows the jobs by their names")
    return sorted(told(slurm, run_id, *sacct))


# jobs of walkers as in Slurm's queue, on a machine of which test_killed_jobs.py has all
@pytest.mark.thorough
class TestWithJobsOnThisMachine:
    def test_as_many_drivers_died_as_were_to(self, here: Future[SQDOrdeal]) -> None:
        assert len(here.result().died) == KILLS

    def test_the_state_is_that_of_a_run_that_was_never_killed(
        self, here: Future[SQDOrdeal], undisturbed: Future[SQDOrdeal]
    ) -> None:
        assert_as_undisturbed(here.result(), undisturbed.result())

    def test_each_job_is_done_once_and_those_that_went_down_with_a_driver_were_not_done(
        self, here: Future[SQDOrdeal], undisturbed: Future[SQDOrdeal]
    ) -> None:
        ordeal = here.result()
        attempts: dict[Work, list[JobRecord]] = defaultdict(list)
        for job in ordeal.jobs():
            attempts[works([job], ordeal.iterations)[0]].append(job)
        assert sorted(attempts) == works(undisturbed.result().jobs(), ordeal.iterations)
        assert len(attempts) == 4 * (ordeal.iterations - 1)
        for jobs in attempts.values():
            assert [job.key.attempt for job in jobs] == [*range(len(jobs))]
            *lost, done = jobs
            assert {job.state for job in lost} <= {"PREEMPTED"}
            assert done.state == "COMPLETED"


# walkers as above; a QPU's jobs as in test_killed_qpu_jobs.py
@pytest.mark.thorough
class TestWithJobsOnAQPU:
    def test_as_many_drivers_died_as_were_to(self, on_a_qpu: Future[SQDOrdeal]) -> None:
        assert len(on_a_qpu.result().died) == QPU_KILLS

    def test_the_state_is_that_of_a_run_that_was_never_killed(
        self, on_a_qpu: Future[SQDOrdeal], undisturbed_on_a_qpu: Future[SQDOrdeal]
    ) -> None:
        assert_as_undisturbed(on_a_qpu.result(), undisturbed_on_a_qpu.result())

    def test_each_walker_has_one_job_in_each_iteration_by_the_ledger_and_by_the_service(
        self,
        on_a_qpu: Future[SQDOrdeal],
        undisturbed_on_a_qpu: Future[SQDOrdeal],
        ibm: FakeIBMQuantum,
    ) -> None:
        ordeal = on_a_qpu.result()
        jobs = ordeal.jobs()
        assert {(job.state, job.key.attempt) for job in jobs} == {("COMPLETED", 0)}
        labels = sorted((job.key.iteration, job.key.label) for job in jobs)
        iterations = range(1, ordeal.iterations)
        assert labels == [(k, f"walker-{i}") for k in iterations for i in range(4)]
        assert works(jobs, ordeal.iterations) == works(
            undisturbed_on_a_qpu.result().jobs(), ordeal.iterations
        )
        kept = Counter(
            (job.tags[1], job.id, job.state)
            for job in ibm.jobs()
            if "-qpu-" in job.tags[1] and job.state != "Cancelled"
        )
        assert kept == Counter((job.key.job_name, job.job_id, "Completed") for job in jobs)


# with the drivers' own workers: which calls are made, in a file


def noting(notes: Path, *, sampling_fails: str = "", solving_fails: str = "") -> dict[str, Any]:
    """Parameters with a sampler and a solver that note each call, and two batches."""
    return {
        "batches": 2,
        "sampler": {"type": "noting-ffsim", "notes": str(notes), "fails": sampling_fails},
        "solver": {"type": "noting-pyscf", "notes": str(notes), "fails": solving_fails},
    }


def noted(notes: Path) -> Counter[str]:
    return Counter(notes.read_text().splitlines())


def calls(iteration: int) -> list[str]:
    """Those that an iteration takes."""
    walkers = [f"walker-{i}" for i in range(4)]
    return [
        *(f"{iteration} sample {walker}" for walker in walkers),
        *(f"{iteration} evaluate {walker}/batch-{i}" for walker in walkers for i in range(2)),
    ]


def run(store: Path, limit: int, parameters: dict[str, Any]) -> Outcome[Any]:
    """What a driver in this process says that goes on with the store's run, or begins it."""
    algorithm = SQD.model_validate({**CHAIN, **parameters})
    return asyncio.run(
        algorithm.run(store=DirectoryStore(store), run_id="noted", stop=MaxIterations(limit))
    )


def failed(store: Path) -> list[float]:
    """How many walkers, by iteration."""
    history = Journal(DirectoryStore(store), "noted").history()
    return [commit.scalars["failed"] for commit in history[1:]]


@pytest.fixture(scope="module")
def plain(folder: Path) -> list[str]:
    """The states of a run with two batches that nobody disturbs."""
    run(folder / "plain", 2, noting(folder / "plain-notes"))
    history = Journal(DirectoryStore(folder / "plain"), "noted").history()
    return [commit.state_sha256 for commit in history]


@pytest.mark.guarantee("G2")
class TestBetweenTwoWalkers:
    def test_no_finished_walkers_or_batchs_work_is_repeated(
        self, between_walkers: Future[SQDOrdeal], folder: Path
    ) -> None:
        assert len(between_walkers.result().died) == len(BETWEEN)
        assert noted(folder / "between-notes") == Counter(calls(1))

    def test_the_state_is_that_of_a_run_that_was_never_killed(
        self, between_walkers: Future[SQDOrdeal], plain: list[str]
    ) -> None:
        assert between_walkers.result().states() == plain[:2]

    def test_what_is_kept_is_not_spent_again(self, between_walkers: Future[SQDOrdeal]) -> None:
        assert between_walkers.result().answer["usage"]["shots"] == 400


class TestOneWalkerFails:
    SOLVING = "1 evaluate walker-2/batch-1"
    SAMPLING = "1 sample walker-1"

    @pytest.fixture
    def notes(self, tmp_path: Path) -> Path:
        return tmp_path / "notes"

    @pytest.fixture(params=first(1, ["solving", "sampling"]))
    def failing(self, request: pytest.FixtureRequest, notes: Path) -> dict[str, Any]:
        if request.param == "sampling":
            return noting(notes, sampling_fails=self.SAMPLING)
        return noting(notes, solving_fails=self.SOLVING)

    def test_the_run_fails_and_a_resume_repeats_this_walker_alone(
        self, tmp_path: Path, notes: Path, failing: dict[str, Any], plain: list[str]
    ) -> None:
        with pytest.raises(HookFailed, match=r"ended by signal 9 .*: qcsc-loop resume noted$"):
            run(tmp_path, 1, failing)
        assert run(tmp_path, 1, failing).state_sha256 == plain[1]
        assert noted(notes) == Counter(calls(1)) + Counter([self.failed_in(failing)])

    def test_with_a_retry_it_is_done_again_in_place(
        self, tmp_path: Path, notes: Path, failing: dict[str, Any], plain: list[str]
    ) -> None:
        outcome = run(tmp_path, 1, {**failing, "walker_retries": 1})
        assert outcome.state_sha256 == plain[1]
        assert noted(notes) == Counter(calls(1)) + Counter([self.failed_in(failing)])
        assert failed(tmp_path) == [0]

    def test_with_a_quorum_the_run_goes_on_without_it_and_a_resumed_one_gives_the_same_bits(
        self, tmp_path: Path, notes: Path, failing: dict[str, Any], plain: list[str]
    ) -> None:
        whole = run(tmp_path / "whole", 2, {**failing, "quorum": 3})
        assert failed(tmp_path / "whole") == [1, 0]
        notes.unlink()
        run(tmp_path / "stopped", 1, {**failing, "quorum": 3})
        resumed = run(tmp_path / "stopped", 2, {**failing, "quorum": 3})
        assert failed(tmp_path / "stopped") == [1, 0]
        assert resumed.state_sha256 == whole.state_sha256 != plain[2]

    def test_its_job_is_done_again_as_another_one(self, tmp_path: Path) -> None:
        failing = f"""case $folder in
            */00000001-evaluate/walker-2/*)
                [ -e {tmp_path}/failed ] || {{ touch {tmp_path}/failed; false; }};;
        esac"""
        machine = {
            "type": "hpc",
            "hpc_profile": {"scheduler": "local"},
            "execution_profile": {"pre_commands": [failing]},
        }
        run(tmp_path, 1, {**AS_JOBS, "machine": machine, "walker_retries": 1})
        jobs = job_records(DirectoryStore(tmp_path), "noted")
        assert sorted((job.key.label, job.key.attempt, job.state) for job in jobs) == [
            ("walker-0/batch-0", 0, "COMPLETED"),
            ("walker-1/batch-0", 0, "COMPLETED"),
            ("walker-2/batch-0", 0, "FAILED"),
            ("walker-2/batch-0", 1, "COMPLETED"),
            ("walker-3/batch-0", 0, "COMPLETED"),
        ]
        assert failed(tmp_path) == [0]

    def failed_in(self, failing: dict[str, Any]) -> str:
        return str(failing["sampler"]["fails"] or failing["solver"]["fails"])


# signals


def test_a_signal_in_mid_diagonalisation_ends_the_driver_and_all_its_workers(
    qcsc_loop: CommandLine, run_id: str
) -> None:
    # each of two at a time takes minutes, of which a single H|c> in C takes seconds
    hydrogens = "; ".join(f"H 0 0 {i}" for i in range(14))
    words = setting(
        **{"system.geometry": hydrogens, "system.basis": "sto-3g", "system.frozen_core": 0},
        optimizer="random",
        max_strings=1200,
    )
    run = ("run", "sqd", *words, "--run-id", run_id, "--max-iterations", "2")
    for command, number, code in (
        (run, signal.SIGTERM, 143),
        (("resume", run_id), signal.SIGINT, 130),
    ):
        driver = qcsc_loop.start(*command, "--no-prefect")
        driver.until_there_is(qcsc_loop.store / run_id / "steps" / "00000001.sample.e0001.json")
        until_it_diagonalises(driver)
        assert ended_by(driver, number) == code
        assert qcsc_loop.status(run_id) == "interrupted"


def until_it_diagonalises(driver: Background) -> None:
    before = worked(driver.child(WORKER))
    until(
        lambda: worked(driver.child(WORKER)) > before + 3 or driver.process.poll() is not None,
        "its workers are in the middle of their work",
    )


def worked(processes: list[psutil.Process]) -> float:
    """Seconds of processor time."""
    total = 0.0
    for process in processes:
        with suppress(psutil.Error):
            total += process.cpu_times().user
    return total

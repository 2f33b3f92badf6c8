"""The stacks: what does a run's jobs, what it says that it accepted, and what can be done to it."""

from __future__ import annotations

import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from cluster.slurm import SlurmCluster
from ordeals.paid_toys import PaidSite
from qcsc_hpc.testing import FakeBatchSystem, FakeJob, FakePBS, FakePJM, FakeSlurm, Fault
from qcsc_loop.testing import FakeIBMQuantum, IBMFault
from torture.point import Ground, Stack
from waiting import until

ORDEALS = Path(__file__).parents[1] / "ordeals"
PAUSE_SECONDS = 0.2  # the longest job
BEGIN_SECONDS = 30.0  # within which a job runs, or ends with its node
PROMPT_SECONDS = 0.6  # the same of the service whose jobs take no time
SETTLE_SECONDS = 2.0  # of a submission that may yet turn up
# as a scheduler that is asked often, away for a moment, and quick to forget
PATIENT = {
    "settle_seconds": SETTLE_SECONDS,
    "poll_seconds": 0.3,
    "patience_seconds": 20,
    "lost_seconds": 20,
}
Spoilt = Literal["unclear", "late", "garbage", "refuses", "lags", "drops"]
CHAIN, WARM, SAMPLING = (
    "system.job_toys:Chain",
    "ordeals.warm_chain:Chain",
    "loop.sampling.sampling_toys:Sampling",
)


class Site(ABC):
    """What does the jobs of the runs on one stack.

    Attributes:
        environment: what a driver has in its environment to reach it.
        modules: what a driver imports for it.
        requeues: a job whose node is lost is begun again by itself, and not submitted again.
        launch_options: what an MPI launcher is told.
    """

    requeues: ClassVar[bool] = False
    launch_options: ClassVar[Sequence[str]] = ()
    modules: ClassVar[tuple[str, ...]] = (
        "qcsc_hpc.machine",
        "system.job_toys",
        "ordeals.warm_chain",
    )

    @property
    def environment(self) -> dict[str, str]:
        return {}

    def algorithm(self, ground: Ground) -> str:
        return WARM if ground.placement == "warm" else CHAIN

    def parameters(self, ground: Ground, trace: Path) -> dict[str, Any]:
        """Of an algorithm whose every iteration is a job here."""
        machine = self.machine()
        if ground.placement == "warm":
            path = os.pathsep.join([str(ORDEALS), *filter(None, [os.environ.get("PYTHONPATH")])])
            how = {
                "mpiprocs": 2,
                "launcher": "mpiexec",
                "mpi_options": self.launch_options,
                "environments": {"PYTHONPATH": path},
            }
            machine |= {"placement": "warm", "warm": {"tries": 100}, "execution_profile": how}
            return {"machine": machine, "pause": 0.05}
        return {"machine": machine, "trace": str(trace), "pause": PAUSE_SECONDS}

    @abstractmethod
    def machine(self) -> dict[str, Any]:
        """Its settings."""

    @abstractmethod
    def accepted(self, run_id: str) -> int | None:
        """How many jobs it ever accepted for a run; None where nobody keeps a list."""

    def forget(self) -> None:  # noqa: B027  # nothing to forget where nobody keeps a list
        """What was accepted so far belongs to other runs."""

    @abstractmethod
    def alive(self, run_id: str) -> int:
        """How many of them wait or run."""

    def kill_jobs(self, run_id: str) -> int:
        """The machines go down on which the run's jobs run; how many these were."""
        raise NotImplementedError

    def outage(self) -> AbstractContextManager[None]:
        """Nobody answers."""
        raise NotImplementedError

    def spoil(self, how: Spoilt) -> None:
        """Has it answer otherwise than it should, for a while."""
        raise NotImplementedError

    def heal(self) -> None:  # noqa: B027  # nothing to heal where nothing is spoilt
        """It answers as it should."""


class Here(Site):
    """This machine: jobs are children of their driver."""

    def machine(self) -> dict[str, Any]:
        profile = {"scheduler": "local", "executable_map": {"mpiexec": _mpiexec()}}
        return {"type": "hpc", "hpc_profile": profile}

    def accepted(self, run_id: str) -> int | None:
        return None

    def alive(self, run_id: str) -> int:
        return 0

    def kill_jobs(self, run_id: str) -> int:
        return 0  # they went with their driver


class Service(Site):
    """A service that is paid, and keeps a bill: a folder, so that a job takes no time."""

    modules: ClassVar[tuple[str, ...]] = ("ordeals.paid_toys",)

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._bill = folder / "bill"

    def algorithm(self, ground: Ground) -> str:
        return "ordeals.paid_toys:Paying"

    def machine(self) -> dict[str, Any]:
        raise NotImplementedError

    def parameters(self, ground: Ground, trace: Path) -> dict[str, Any]:
        return {"bill": str(self._bill), "settles": PROMPT_SECONDS}

    def forget(self) -> None:
        self._bill.unlink(missing_ok=True)

    def accepted(self, run_id: str) -> int | None:
        return len([*self._service.paid()])

    def alive(self, run_id: str) -> int:
        return 0

    @contextmanager
    def outage(self) -> Iterator[None]:
        self._service.falls_into("away")
        try:
            yield
        finally:
            self._service.cheers_up()

    def spoil(self, how: Spoilt) -> None:
        assert how in ("unclear", "late", "refuses")
        self._service.falls_into(how)

    def heal(self) -> None:
        self._service.cheers_up()

    @property
    def _service(self) -> PaidSite:
        return PaidSite(bill=str(self._bill))


@dataclass
class Fake(Site):
    """A batch system of executables."""

    # the wheel's launcher would start ranks by what it finds of a scheduler
    launch_options: ClassVar[Sequence[str]] = ("-launcher", "fork")

    system: FakeBatchSystem
    preset: str = ""

    @property
    def environment(self) -> dict[str, str]:
        return self.system.environment

    def machine(self) -> dict[str, Any]:
        kind = {"preset": self.preset} if self.preset else {"scheduler": self.system.system}
        profile: dict[str, Any] = {**kind, **PATIENT, "executable_map": {"mpiexec": _mpiexec()}}
        return {"type": "hpc", "hpc_profile": profile}

    def accepted(self, run_id: str) -> int | None:
        return len(self._jobs(run_id))

    def alive(self, run_id: str) -> int:
        return sum(job.ended is None for job in self._jobs(run_id))

    def _jobs(self, run_id: str) -> list[FakeJob]:
        return [job for job in self.system.jobs() if f"-{run_id}-" in job.name]

    def kill_jobs(self, run_id: str) -> int:
        def jobs(state: str) -> list[FakeJob]:
            return [job for job in self._jobs(run_id) if job.state == state]

        until(lambda: not jobs("PENDING"), "its jobs have begun", BEGIN_SECONDS)
        running = jobs("RUNNING")
        for job in running:
            self.system.fail_node(job.id)
        return len(running)

    def outage(self) -> AbstractContextManager[None]:
        return self.system.outage()

    def spoil(self, how: Spoilt) -> None:
        inject = self.system.inject
        match how:
            case "unclear":
                inject(Fault.SUBMIT_TIMES_OUT_THOUGH_ACCEPTED, seconds=0.5)
            case "late":
                inject(Fault.SUBMIT_ACCEPTED_LATE, seconds=0.7)
            case "garbage":
                inject(Fault.STATUS_GARBAGE, times=3)
            case "refuses":
                inject(Fault.STATUS_FAILS, times=6)
            case "lags" if self.system.system != "pbs":
                inject(Fault.ACCOUNTING_LAGS, times=4, seconds=2)
            case _:
                inject(Fault.STATUS_IN_PART, times=3)

    def heal(self) -> None:
        self.system.heal()


@dataclass
class RealSlurm(Site):
    """A Slurm on this machine."""

    requeues: ClassVar[bool] = True

    cluster: SlurmCluster

    @property
    def environment(self) -> dict[str, str]:
        return self.cluster.environment

    def machine(self) -> dict[str, Any]:
        profile = {"scheduler": "slurm", **PATIENT, "executable_map": {"mpiexec": _mpiexec()}}
        return {"type": "hpc", "hpc_profile": profile}

    def accepted(self, run_id: str) -> int | None:
        return len(self._queue(run_id, "--states=all"))

    def alive(self, run_id: str) -> int:
        return len(self._queue(run_id))

    def _queue(self, run_id: str, *options: str) -> list[str]:
        from ordeals.test_killed_jobs import slurm_queue

        return [job for job, _ in slurm_queue(self.cluster, run_id, *options)]

    def kill_jobs(self, run_id: str) -> int:
        from ordeals.test_killed_jobs import slurm_says

        def rows(states: str) -> list[tuple[str, str]]:
            options = ("--noheader", f"--states={states}", "--format=%i %j|%N")
            said = slurm_says(self.cluster, "squeue", *options)
            return [(row[0].split()[0], row[1]) for row in said if f"-{run_id}-" in row[0]]

        until(lambda: not rows("PENDING"), "its jobs have begun", BEGIN_SECONDS)
        running = rows("RUNNING")
        for _, node in running:
            down = (f"nodename={node}", "state=down", "reason=torture")
            slurm_says(self.cluster, "scontrol", "update", *down)
        for job, _ in running:
            until(lambda: not rows("RUNNING,COMPLETING"), "its node is down", BEGIN_SECONDS)
            if job in [each for each, _ in rows("PENDING")]:  # it would begin again in 2 minutes
                slurm_says(self.cluster, "scontrol", "update", f"jobid={job}", "StartTime=now+1")
        return len(running)

    @contextmanager
    def outage(self) -> Iterator[None]:
        self.cluster.stop_controller()
        try:
            yield
        finally:
            self.cluster.start()


@dataclass
class IBM(Site):
    """A local IBM Quantum."""

    service: FakeIBMQuantum
    modules: ClassVar[tuple[str, ...]] = (
        "qiskit",
        "qiskit_ibm_runtime",
        "qcsc_loop.sampling.ibm.sampler",
        "loop.sampling.sampling_toys",
    )

    @property
    def environment(self) -> dict[str, str]:
        return self.service.environment

    def algorithm(self, ground: Ground) -> str:
        return SAMPLING

    def machine(self) -> dict[str, Any]:
        raise NotImplementedError

    def parameters(self, ground: Ground, trace: Path) -> dict[str, Any]:
        sampler = {
            "type": "ibm-runtime",
            "backend": "ibm_manila",
            "optimization_level": 0,  # the run's seed chooses nothing
            "poll_seconds": 0.2,
            "settle_seconds": 1.5,
            "patience_seconds": 20,
        }
        return {"sampler": sampler}

    def accepted(self, run_id: str) -> int | None:
        jobs = (job for job in self.service.jobs() if job.state != "Cancelled")
        return sum(any(f"-{run_id}-" in tag for tag in job.tags) for job in jobs)

    def alive(self, run_id: str) -> int:
        over = ("Completed", "Failed", "Cancelled")
        return sum(job.state not in over for job in self.service.jobs())

    def outage(self) -> AbstractContextManager[None]:
        return self.service.outage()

    def spoil(self, how: Spoilt) -> None:
        inject = self.service.inject
        match how:
            case "unclear":
                inject(IBMFault.GATEWAY_TIMEOUT_THOUGH_ACCEPTED)
            case "late":
                inject(IBMFault.CONNECTION_LOST_THOUGH_ACCEPTED)
                inject(IBMFault.JOB_LISTED_LATE, seconds=0.7)
            case "garbage":
                inject(IBMFault.TRUNCATED)
            case "refuses":
                inject(IBMFault.SERVER_ERROR, request="metrics", times=2)
            case _:
                inject(IBMFault.CONNECTION_LOST, request="list", times=2)
                inject(IBMFault.CONNECTION_LOST, request="poll", times=2)

    def heal(self) -> None:
        self.service.heal()


class Sites:
    """The stacks that runs have asked for so far; they go with the block."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._sites = folder, dict[Stack, Site]()
        self._all = ExitStack()

    def __enter__(self) -> Sites:
        return self

    def __exit__(self, *_: object) -> None:
        self._all.close()

    def of(self, stack: Stack) -> Site:
        if stack not in self._sites:
            self._sites[stack] = self._start(stack)
        return self._sites[stack]

    def _start(self, stack: Stack) -> Site:
        folder = self._folder / stack
        match stack:
            case "local":
                return Here()
            case "service":
                return Service(folder)
            case "slurm":
                return self._slurm(folder)
            case "pbs":
                return Fake(self._all.enter_context(FakePBS(folder)))
            case "miyabi":
                return Fake(self._all.enter_context(FakePBS(folder, dialect="miyabi")), "miyabi")
            case "pjm":
                return Fake(self._all.enter_context(FakePJM(folder)))
            case "ibm":
                service = FakeIBMQuantum(backends=["fake_manila"], queue_seconds=0.1)
                return IBM(self._all.enter_context(service))

    def _slurm(self, folder: Path) -> Site:
        """The real one; where it cannot be, the fake one."""
        from conftest import why_no_slurm

        if why_no_slurm() is not None:
            return Fake(self._all.enter_context(FakeSlurm(folder)))
        cluster = SlurmCluster(folder)
        self._all.callback(cluster.stop)
        cluster.start()
        return RealSlurm(cluster)


def _mpiexec() -> str:
    return str(Path(sys.prefix) / "bin" / "mpiexec")

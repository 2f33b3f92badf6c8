"""Machines that tests run jobs on, what can be done to their jobs, and a hook that asks for jobs."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import subprocess
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import anyio
import psutil
import pytest

from cluster.slurm import SlurmCluster
from qcsc_hpc.machine import HPCMachine, Machine, Program
from qcsc_hpc.profiles import Command, ExecutionProfile, HPCProfile
from qcsc_hpc.testing import FakeBatchSystem, Fault
from qcsc_loop.errors import JobFailed
from qcsc_loop.events import Event, Trouble
from qcsc_loop.exactly_once.request import JobResult
from qcsc_loop.jobs.entries import JobRecord
from qcsc_loop.jobs.events import JobChanged
from qcsc_loop.jobs.key import DIGEST_LENGTH, JobKey
from qcsc_loop.jobs.ledger import Ledger, job_records
from qcsc_loop.jobs.outcome import JobState
from qcsc_loop.steps.step import Step, stepping
from qcsc_loop.store.directory import DirectoryStore
from waiting import until, until_async

LONGEST_SECONDS = 90.0  # of one job; most take less than one
RUN = "contract"
# what a PBS job waits for that may start later
WAITS = {"pbs": "Not Running: Insufficient amount of resource: ncpus", "slurm": "Resources"}


class Queue(ABC):
    """What the machine itself says of its jobs, and what others do to them."""

    @abstractmethod
    def alive(self) -> list[str]:
        """Ids of the jobs that wait or run."""

    @abstractmethod
    def accepted(self, key: JobKey) -> list[str]:
        """Ids of all jobs that were ever taken for this key."""

    @abstractmethod
    def cancel(self, job_id: str) -> None:
        """Somebody else ends it."""

    def hold_next(self, where: HPCProfile) -> HPCProfile:
        """The site as it is where the next job waits until it is released."""
        raise NotImplementedError

    def release(self, job_id: str) -> None:
        """Lets a held job start."""
        raise NotImplementedError

    def expire(self, job_id: str) -> None:
        """Its walltime is over now."""
        raise NotImplementedError

    def fail_node(self, job_id: str) -> None:
        """Its node goes down."""
        raise NotImplementedError

    def preempt(self, job_id: str) -> None:
        """It makes room for another one."""
        raise NotImplementedError

    def requeue(self, job_id: str) -> None:
        """It is killed, and starts again with the same id."""
        raise NotImplementedError

    @abstractmethod
    def stop(self) -> None:
        """Leaves nothing of a test's."""


@dataclass
class Children(Queue):
    """This machine: jobs are children of the driver."""

    folder: Path

    def alive(self) -> list[str]:
        return [str(process.pid) for process in self._processes()]

    def accepted(self, key: JobKey) -> list[str]:
        return []  # nobody else keeps a list

    def cancel(self, job_id: str) -> None:
        os.killpg(int(job_id), signal.SIGKILL)

    def stop(self) -> None:
        for process in self._processes():
            with suppress(psutil.NoSuchProcess):
                process.kill()

    def _processes(self) -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if any(str(self.folder) in word for word in process.cmdline()):
                    found.append(process)
        return found


@dataclass
class RealSlurm(Queue):
    """The session's cluster."""

    cluster: SlurmCluster

    def run(self, *words: str) -> str:
        """What one of its commands says."""
        environment = {**os.environ, **self.cluster.environment}
        done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
        return done.stdout

    def alive(self) -> list[str]:
        return self.run("squeue", "--noheader", "--format=%i").split()

    def accepted(self, key: JobKey) -> list[str]:
        # jobs are listed for a minute after their end
        words = ("--states=all", "--noheader", f"--name={key.job_name}", "--format=%i")
        return self.run("squeue", *words).split()

    def cancel(self, job_id: str) -> None:
        self.run("scancel", job_id)

    def hold_next(self, where: HPCProfile) -> HPCProfile:
        return where.model_copy(update={"extra_directives": [*where.extra_directives, "--hold"]})

    def release(self, job_id: str) -> None:
        def released() -> bool:  # a controller that has just come back may refuse
            with suppress(subprocess.CalledProcessError):
                self.run("scontrol", "release", job_id)
                return True
            return False

        until(released, f"job {job_id} is released")

    def expire(self, job_id: str) -> None:
        self.run("scontrol", "update", f"jobid={job_id}", "EndTime=now")

    def fail_node(self, job_id: str) -> None:
        node = self.run("squeue", "--noheader", f"--jobs={job_id}", "--format=%N").strip()
        self.run("scontrol", "update", f"nodename={node}", "state=down", "reason=for a test")

    def requeue(self, job_id: str) -> None:
        self.run("scontrol", "requeue", job_id)
        # it would start anew in two minutes, when no node can still take it for the one it ended
        until(lambda: self._starts_now(job_id), f"job {job_id} may start again")

    def stop(self) -> None:
        self.run("scancel", "--me", "--signal=KILL")
        self.run("scancel", "--me")
        until(lambda: not self.alive(), "the queue is empty")

    def _starts_now(self, job_id: str) -> bool:
        if self.run("squeue", "--noheader", f"--jobs={job_id}", "--format=%T").strip() != "PENDING":
            return False
        # not in the second in which its node was told to end it: that refuses what was to run since
        # when it was told, to the second, and the job has FAILED before its script is read
        self.run("scontrol", "update", f"jobid={job_id}", "StartTime=now+1")
        return True


@dataclass
class Fake(Queue):
    """A batch system of executables."""

    system: FakeBatchSystem
    cancel_command: str

    def alive(self) -> list[str]:
        return [job.id for job in self.system.jobs() if job.ended is None]

    def accepted(self, key: JobKey) -> list[str]:
        return [job.id for job in self.system.jobs() if key.digest[:DIGEST_LENGTH] in job.name]

    def cancel(self, job_id: str) -> None:
        assert self.system.run(self.cancel_command, job_id).returncode == 0

    def hold_next(self, where: HPCProfile) -> HPCProfile:
        self.system.inject(Fault.NEVER_STARTS, reason=WAITS.get(self.system.system, ""))
        return where

    def release(self, job_id: str) -> None:
        self.system.release(job_id)

    def expire(self, job_id: str) -> None:
        self.system.expire(job_id)

    def fail_node(self, job_id: str) -> None:
        self.system.fail_node(job_id)

    def preempt(self, job_id: str) -> None:
        self.system.preempt(job_id)

    def requeue(self, job_id: str) -> None:
        self.system.requeue(job_id)

    def stop(self) -> None:
        self.system.stop()


@dataclass(frozen=True)
class Place:
    """A machine of the contract.

    Attributes:
        launcher: what starts several ranks there.
        once: directives under which a job is not started again by its scheduler.
    """

    name: str
    where: HPCProfile
    queue: Queue
    launcher: str
    mpi_options: Sequence[str] = ()
    once: Sequence[str] = ()

    @property
    def fake(self) -> FakeBatchSystem:
        """The batch system, on a machine that has a fake one."""
        assert isinstance(self.queue, Fake)
        return self.queue.system

    def at(self, **changes: Any) -> Place:  # fields of the profile
        """The same place with another profile."""
        settings = {**self.where.model_dump(exclude={"preset"}), **changes}
        return replace(self, where=HPCProfile.model_validate(settings))

    def machine(self, *, ranks: int = 1, **how: Any) -> HPCMachine:  # fields of the profile
        """Settings of the machine: for one program alone, or for ranks."""
        given: dict[str, Any] = {}
        if ranks > 1:
            given = {"mpiprocs": ranks, "launcher": self.launcher, "mpi_options": self.mpi_options}
        return HPCMachine(
            hpc_profile=self.where,
            execution_profile=ExecutionProfile.model_validate({**given, **how}),
        )

    def holding(self, **how: Any) -> HPCMachine:
        """The machine, where the next job waits until it is released."""
        return replace(self, where=self.queue.hold_next(self.where)).machine(**how)


@dataclass
class Programs:
    """Scripts in a folder, and the files by which tests and scripts tell each other things."""

    folder: Path
    _made: int = 0

    def command(self, body: str, *, interpreter: str = "/bin/bash") -> Command:
        """A program that runs in no shell but its own; `$flags` is the folder of the files."""
        self._made += 1
        path = self.folder / f"program{self._made}"
        head = f"flags='{self.folder}'\n" if interpreter == "/bin/bash" else ""
        path.write_text(f"#!{interpreter}\n{head}{body}\n")
        path.chmod(0o755)
        return Command(command_name="program", executable_key=str(path))

    @property
    def waiting(self) -> Command:
        """Says that it runs, which job it is, and that it goes on once `go` was called."""
        return self.command(
            'echo "$QCSC_JOB_KEY" >> "$flags/worked"; touch "$flags/began"\n'
            'until [ -e "$flags/go" ]; do sleep 0.02; done\necho done > out'
        )

    @property
    def working(self) -> Command:
        """Says which job it is, and leaves a result."""
        return self.command('echo "$QCSC_JOB_KEY" >> "$flags/worked"; echo done > out')

    @property
    def worked(self) -> list[str]:
        """The keys of the jobs that worked, once for each of their starts."""
        path = self.folder / "worked"
        return path.read_text().splitlines() if path.exists() else []

    @property
    def has_begun(self) -> bool:
        return (self.folder / "began").exists()

    def go(self) -> None:
        """Lets programs that wait end."""
        (self.folder / "go").touch()


@dataclass
class Asked:
    """A job that a hook has asked for and waits for."""

    hook: Hook
    task: asyncio.Task[JobResult[Path]]

    async def until_id(self) -> str:
        """Its id, once it has one."""
        await until_async(
            lambda: self.task.done() or self.hook.job_id is not None, "the job has an id"
        )
        if self.hook.job_id is None:
            self.task.result()
        assert self.hook.job_id is not None
        return self.hook.job_id

    async def until_told(self, state: JobState) -> str:
        """Its id, once the machine has told of a state."""
        await until_async(
            lambda: self.task.done() or self.hook.states[-1:] == [state], f"the job is {state}"
        )
        return await self.until_id()

    async def result(self) -> JobResult[Path]:
        """Once it has ended well."""
        with anyio.fail_after(LONGEST_SECONDS):
            return await self.task

    async def failure(self) -> JobFailed:
        """Once it has ended otherwise."""
        with pytest.raises(JobFailed) as caught:
            await self.result()
        return caught.value


@dataclass
class Hook:
    """A hook of a run, with the run's ledger, and all that was told meanwhile."""

    root: Path
    events: list[Event] = field(default_factory=list[Event])

    def __post_init__(self) -> None:
        self.store = DirectoryStore(self.root)
        self.ledger = Ledger(
            run_id=RUN, run_uid=secrets.token_hex(8), store=self.store, observe=self.events.append
        )

    @property
    def step(self) -> Step:
        """The one step of the run, as it is executed once more."""
        return Step(
            run_id=RUN, iteration=1, name="evaluate", ledger=self.ledger, make_folder=self._folder
        )

    def _folder(self) -> Path:
        place = self.root / RUN / "work"
        place.mkdir(parents=True, exist_ok=True)
        return place

    async def run(
        self,
        machine: Machine,
        program: Program | Command,
        arguments: Sequence[str | Path] = (),
        *,
        ranks: int | None = None,
        outputs: Sequence[str] = (),
        collect: Callable[[Path], Any] = Path,
    ) -> JobResult[Any]:
        """The job's result."""
        with anyio.fail_after(LONGEST_SECONDS), stepping(self.step):
            return await machine.run_job(
                program, arguments, ranks=ranks, outputs=outputs, collect=collect
            )

    async def failure(self, machine: Machine, program: Program | Command, **how: Any) -> JobFailed:
        """How the job failed."""
        with pytest.raises(JobFailed) as caught:
            await self.run(machine, program, **how)
        return caught.value

    @asynccontextmanager
    async def asking(
        self, machine: Machine, program: Program | Command, **how: Any
    ) -> AsyncIterator[Asked]:
        """The job, asked for in the background; cancelled if the block ends before it."""
        task = asyncio.create_task(self.run(machine, program, **how))
        try:
            yield Asked(self, task)
        finally:
            if not task.done():
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    @property
    def records(self) -> list[JobRecord]:
        """What the ledger says, read as another driver would."""
        return job_records(self.store, RUN)

    @property
    def record(self) -> JobRecord:
        """Of the newest job."""
        return self.records[-1]

    @property
    def job_id(self) -> str | None:
        """Of the newest job."""
        records = self.records
        return records[-1].job_id if records else None

    @property
    def states(self) -> list[JobState]:
        """Of which was told, in their order."""
        return [event.state for event in self.events if isinstance(event, JobChanged)]

    @property
    def reasons(self) -> list[str]:
        """Why its state was as it was told, where there was a reason."""
        changes = [event for event in self.events if isinstance(event, JobChanged)]
        return [change.reason for change in changes if change.reason]

    @property
    def troubles(self) -> list[str]:
        """What a person should know."""
        return [event.message for event in self.events if isinstance(event, Trouble)]

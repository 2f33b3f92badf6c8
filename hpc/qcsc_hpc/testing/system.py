"""What all fake batch systems have in common, seen from a test."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from abc import ABC
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from qcsc_hpc.testing.executables import processes
from qcsc_hpc.testing.executables.job import CANCELLED, COMPLETED, FAILED, RUNNING, Job
from qcsc_hpc.testing.executables.state import State
from qcsc_hpc.testing.executables.systems import COMMANDS
from qcsc_hpc.testing.fault import Fault

STOP_SECONDS = 10.0
PROGRAM = Path(__file__).with_name("executables") / "run.py"
NEED_SECONDS = (Fault.ACCOUNTING_LAGS,)


@dataclass(frozen=True)
class FakeJob:
    """A job that was accepted.

    Attributes:
        key: of the job's comment, or of QCSC_JOB_KEY in its environment; empty if there is none.
        state: PENDING, RUNNING, COMPLETED, FAILED, CANCELLED, TIMEOUT, NODE_FAIL, PREEMPTED,
            REJECTED or ERROR, whatever the batch system calls it.
        submitted: seconds since the epoch, as are the others.
        exit_code: of its script, or minus the signal that ended it; None if it did not end by
            itself.
        starts: how often it was started.
    """

    id: str
    name: str
    key: str
    state: str
    submitted: float
    started: float | None
    ended: float | None
    exit_code: int | None
    starts: int


@dataclass(frozen=True)
class FakeCommand:
    """A call of one of the commands.

    Attributes:
        rc: None while it hangs, or if it was killed before it answered.
    """

    argv: list[str]
    time: float
    rc: int | None


# Large as a face is: a method for each thing that a test may do or see; the state is a file's.
class FakeBatchSystem(ABC):
    """A batch system of real executables, on this machine and without any rights.

    Its jobs are real processes, which outlive the command that submits them and whoever called
    it. All that belongs to it is below one folder, and is shared by all processes that have its
    `environment`, so is the jobs' home: no login script of this machine's user runs.

    Args:
        folder: is made if there is none.
        nodes: how many there are.
        cpus_per_node: a claim; the jobs share what this machine has.
        grace_seconds: between asking a job to end and killing it.
        requeue_seconds: until a requeued job may start again.
        accounting_lag: seconds until accounting knows of a job, and of its end.
    """

    system: ClassVar[str]
    node_prefix: ClassVar[str]
    queues: ClassVar[dict[str, float | None]]

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        nodes: int = 4,
        cpus_per_node: int = 4,
        grace_seconds: float = 1.0,
        requeue_seconds: float = 0.0,
        accounting_lag: float = 0.0,
    ) -> None:
        self.folder = Path(folder).absolute()
        self._settings: dict[str, object] = {
            "system": self.system,
            "nodes": nodes,
            "cpus_per_node": cpus_per_node,
            "node_prefix": self.node_prefix,
            "queues": self.queues,
            "grace_seconds": grace_seconds,
            "requeue_seconds": requeue_seconds,
            "accounting_lag": accounting_lag,
        }

    @property
    def command_names(self) -> list[str]:
        """The commands that there are."""
        return [name for name, (system, _) in COMMANDS.items() if system == self.system]

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs on top of its own environment to use this system."""
        return {"PATH": f"{self.folder / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}

    def start(self) -> None:
        """Makes the commands, and lets waiting jobs start. What is there from before stays."""
        commands = self.folder / "bin"
        commands.mkdir(parents=True, exist_ok=True)
        for name in self.command_names:
            self._make_command(commands / name)
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        # /etc/profile of a login shell forgets the PATH that it was given
        profile = f"export PATH={shlex.quote(str(commands))}:$PATH\n"
        (home / ".bash_profile").write_text(profile)
        State.create(str(self.folder), {**self._settings, "stopped": False})
        self._control("schedule")

    def stop(self) -> None:
        """Kills all jobs, with all their processes; the commands find no server from now on."""
        with self._state() as state:
            state.set("stopped", True)
            noted = state.noted_processes()
            for job in state.every_job():
                if job.state == RUNNING:
                    job.ending = CANCELLED
                    state.save(job)
        for pid, began in noted:
            self._end(pid, began)
        with self._state() as state:
            state.forget_processes()
            for job in state.every_job():
                if job.started is not None and job.ended is None:
                    job.state, job.ended = CANCELLED, state.now
                    state.save(job)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def inject(
        self,
        fault: Fault,
        *,
        times: int = 1,
        seconds: float | None = None,
        reason: str = "",
        command: str = "",
    ) -> None:
        """Has a fault strike the next commands or jobs that it fits.

        Args:
            fault: see there for what `seconds` and `reason` mean to it.
            times: how many of them.
            command: only calls of this one, for faults of commands.

        Raises:
            ValueError: the fault cannot happen to this batch system, or lacks its seconds.
        """
        if seconds is None and fault in NEED_SECONDS:
            raise ValueError(f"{fault} needs seconds")
        if fault is Fault.STATUS_IN_PART and self.system != "pbs":
            raise ValueError(f"{fault} is a fault of PBS")
        if command and COMMANDS.get(command, ("", ""))[0] != self.system:
            raise ValueError(f"{type(self).__name__} has no command {command!r}")
        with self._state() as state:
            state.inject(fault.value, times, seconds, reason, command)

    def heal(self) -> None:
        """Nothing that was injected strikes any more."""
        with self._state() as state:
            state.forget_faults()

    @contextmanager
    def outage(self) -> Iterator[None]:
        """No command reaches the server while the block lasts; jobs that run go on."""
        with self._state() as state:
            state.set("away", True)
        try:
            yield
        finally:
            with self._state() as state:
                state.set("away", False)
            self._control("schedule")

    def run(
        self, *argv: str, folder: str | os.PathLike[str] | None = None, timeout: float = 60.0
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command with this system's `environment`; whatever its exit code is.

        Args:
            argv: the command.
            folder: in which it runs; the system's own if None.
            timeout: in seconds.

        Raises:
            subprocess.TimeoutExpired: it did not end in time, and was killed.
        """
        return subprocess.run(
            argv,
            cwd=folder or self.folder,
            env={**os.environ, **self.environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def jobs(self) -> list[FakeJob]:
        """Every job ever accepted, oldest first, also those that no command knows."""
        with self._state() as state:
            return [_seen(job) for job in state.every_job() if job.submitted <= state.now]

    def commands(self) -> list[FakeCommand]:
        """Every call of a command so far, oldest first."""
        with self._state() as state:
            return [FakeCommand(argv, moment, rc) for moment, argv, rc in state.noted_commands()]

    def requeue(self, job_id: str) -> None:
        """A running job is killed, and will start again with the same id."""
        self._control("requeue", job_id)

    def fail_node(self, job_id: str) -> None:
        """A node of a running job goes down; a job that may be requeued then is."""
        self._control("fail-node", job_id)

    def expire(self, job_id: str) -> None:
        """A job's walltime is over now."""
        self._control("expire", job_id)

    def preempt(self, job_id: str) -> None:
        """A running job has to make room for another one."""
        self._control("preempt", job_id)

    def forget(self, job_id: str) -> None:
        """No command knows the job from now on; if it runs, it runs on."""
        self._control("forget", job_id)

    def release(self, job_id: str) -> None:
        """Lets a job start that was to wait for ever."""
        self._control("release", job_id)

    def _control(self, action: str, *job_ids: str) -> None:
        """In a process of its own: this one may have threads, and must not be forked."""
        for job_id in job_ids:
            self._require(job_id)
        command = [*self._program(), "control", action, *job_ids]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)

    def _require(self, job_id: str) -> None:
        with self._state() as state:
            if state.any_job(job_id) is None:
                raise KeyError(job_id)

    def _state(self) -> State:
        return State(str(self.folder))

    def _program(self) -> list[str]:
        return [sys.executable, "-I", "-S", str(PROGRAM), str(self.folder)]

    def _make_command(self, file: Path) -> None:
        words = [*self._program(), file.name]
        file.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
        file.chmod(0o755)

    def _end(self, pid: int, began: int) -> None:
        """Ends what looks after a job, after all that is below it."""
        end = time.monotonic() + STOP_SECONDS
        while processes.runs(pid, began) and time.monotonic() < end:
            below = processes.tree(pid)
            processes.kill(below or [pid])
            time.sleep(0.002)


def _seen(job: Job) -> FakeJob:
    by_itself = job.is_over and job.state in (COMPLETED, FAILED)
    return FakeJob(
        id=job.id,
        name=job.name,
        key=job.key,
        state=job.state,
        submitted=job.submitted,
        started=job.started,
        ended=job.ended,
        exit_code=(-job.signal if job.signal else job.exit_code) if by_itself else None,
        starts=job.starts,
    )

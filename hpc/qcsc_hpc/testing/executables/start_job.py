"""What looks after one job's processes: it starts them, ends them, and says how they ended."""

from __future__ import annotations

import ctypes
import os
import signal
import time

from qcsc_hpc.testing.executables import job as jobs
from qcsc_hpc.testing.executables import processes
from qcsc_hpc.testing.executables.ending import due, ended, what_comes_of
from qcsc_hpc.testing.executables.files import Unopened, deliver, open_output
from qcsc_hpc.testing.executables.job import Job
from qcsc_hpc.testing.executables.launching import launch, launch_jobs
from qcsc_hpc.testing.executables.scheduling import schedule
from qcsc_hpc.testing.executables.state import State
from qcsc_hpc.testing.executables.systems import system_of
from qcsc_hpc.testing.fault import Fault

SIGNALS = (signal.SIGCHLD, signal.SIGUSR1, signal.SIGTERM)
STRIKES = {
    Fault.NODE_FAILS: jobs.NODE_FAIL,
    Fault.PREEMPTED: jobs.PREEMPTED,
    Fault.REQUEUED: jobs.REQUEUED,
}
STRIKE_SECONDS = 0.2
LONGEST_WAIT = 60.0
PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h


def main(folder: str, arguments: list[str]) -> None:
    """Runs a job to its end, and then starts those that waited for its nodes."""
    number, start = int(arguments[0]), int(arguments[1])
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    # what the job's processes leave behind is found below this one
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    with State(folder) as state:
        job = _job(state, number)
        if state.setting("stopped") or job.starts != start or job.state != jobs.RUNNING:
            return
        state.note_process()
        strike = _strike(state)
        code = _begin(state, job)
    guard = _Guard(folder, number, strike)
    if code is None:
        code = guard.wait()
    processes.kill_below(os.getpid())
    _finish(folder, number, code, guard.max_rss)


def _job(state: State, number: int) -> Job:
    return next(job for job in state.every_job() if job.number == number)


def _strike(state: State) -> tuple[float, str] | None:
    """When a fault hits this job, and how it ends by that."""
    for fault, ending in STRIKES.items():
        if found := state.take(fault):
            seconds = STRIKE_SECONDS if found["seconds"] is None else found["seconds"]
            return state.now + seconds, ending
    return None


def _begin(state: State, job: Job) -> int | None:
    """Starts the script; a wait status if there is nothing to wait for."""
    code: int | None = None
    job.starter = os.getpid()
    if job.ending is not None:
        code = 0
    else:
        try:
            job.process = _spawn(state, job)
        except Unopened as failure:
            job.reason = str(failure)
            code = jobs.UNSTARTABLE
    state.save(job)
    return code


def _spawn(state: State, job: Job) -> int:
    system = system_of(state)
    command = system.command(job)
    environment = {**system.environment(state, job), **job.environment}
    directory = system.directory(state, job)
    output, error = open_output(state.folder, job)
    child = os.fork()
    if child:
        os.close(output)
        os.close(error)
        return child
    try:
        os.setsid()
        nothing = os.open(os.devnull, os.O_RDONLY)
        for target, source in enumerate((nothing, output, error)):
            os.dup2(source, target)
        os.chdir(directory)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        os.execve(command[0], command, environment)
    except OSError as failure:
        os.write(2, f"{command[0]}: {failure.strerror}\n".encode())
    finally:
        os._exit(127)


class _Guard:
    """Waits for a job's end, which it brings about when it has to."""

    def __init__(self, folder: str, number: int, strike: tuple[float, str] | None) -> None:
        self._folder = folder
        self._number = number
        self._strike = strike
        self._kill_at: float | None = None
        self.max_rss = 0

    def wait(self) -> int:
        """The wait status of the job's script."""
        with State(self._folder) as state:
            job = _job(state, self._number)
        while True:
            self._act(job)
            code = self._reap(job.process)
            if code is not None:
                return code
            signal.sigtimedwait(SIGNALS, self._seconds_to_next(job))
            with State(self._folder) as state:
                job = _job(state, self._number)

    def _seconds_to_next(self, job: Job) -> float:
        moments = [time.time() + LONGEST_WAIT]
        if self._kill_at is not None:
            moments.append(self._kill_at)
        elif not job.ending:
            moments += [self._strike[0]] if self._strike else []
            moments += [job.started + job.walltime] if job.started and job.walltime else []
        return max(min(moments) - time.time(), 0.001)

    def _act(self, job: Job) -> None:
        now = time.time()
        if not job.ending and (ending := self._due(job, now)):
            self._will_end(job, ending)
        if job.ending and self._kill_at is None:
            self._kill_at = now + self._ask(job)
        if self._kill_at is not None and now >= self._kill_at:
            processes.kill(processes.tree(os.getpid()))

    def _due(self, job: Job, now: float) -> str | None:
        strikes = self._strike is not None and now >= self._strike[0]
        return self._strike[1] if self._strike and strikes else due(job, now)

    def _will_end(self, job: Job, ending: str) -> None:
        with State(self._folder) as state:
            fresh = _job(state, self._number)
            fresh.ending = fresh.ending or what_comes_of(state, fresh, ending)
            state.save(fresh)
        job.ending = fresh.ending

    def _ask(self, job: Job) -> float:
        """Asks the job to end; seconds that it has for it."""
        if job.ending == jobs.NODE_FAIL:
            return 0.0
        with State(self._folder) as state:
            grace = state.number_setting("grace_seconds")
            number = system_of(state).end_signal(job)
        processes.send(processes.tree(os.getpid()), number)
        return grace

    def _reap(self, script: int | None) -> int | None:
        code = None
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return code
            if pid == 0:
                return code
            self.max_rss = max(self.max_rss, usage.ru_maxrss)
            if pid == script:
                code = status


def _finish(folder: str, number: int, code: int, max_rss: int) -> None:
    with State(folder) as state:
        job = _job(state, number)
        job.max_rss = max_rss
        deliver(state.folder, job)
        ended(state, job, code)
        system_of(state).after_end(state, job)
        launch_jobs(folder, schedule(state))
        if job.requeue_at > state.now and not state.setting("stopped"):
            launch(folder, ["schedule-at", str(job.requeue_at)])

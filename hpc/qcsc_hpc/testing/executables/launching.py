"""Processes that outlive the command which starts them.

They are started before the state is kept, for which they wait: a command that is killed in between
leaves a process that finds nothing to do, rather than a job that nobody looks after.
"""

from __future__ import annotations

import os
import sys

from qcsc_hpc.testing.executables.scheduling import Start


def launch_jobs(folder: str, starts: list[Start]) -> None:
    """Starts what looks after each of the jobs."""
    for number, start in starts:
        launch(folder, ["start-job", str(number), str(start)])


def launch(folder: str, arguments: list[str]) -> None:
    """Starts a part of this program in a session of its own, with nothing from this process."""
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    try:
        os.setsid()
        if os.fork() == 0:  # nobody's child, so nobody has to wait for it
            _become(folder, arguments)
    finally:
        os._exit(0)


def _become(folder: str, arguments: list[str]) -> None:
    nothing = os.open(os.devnull, os.O_RDWR)
    log = os.open(os.path.join(folder, "log"), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.dup2(nothing, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.closerange(3, 256)
    os.chdir("/")
    program = os.path.join(os.path.dirname(__file__), "run.py")
    environment = {"PATH": os.defpath, "HOME": os.environ.get("HOME", "/")}
    if "TZ" in os.environ:
        environment["TZ"] = os.environ["TZ"]
    command = [sys.executable, "-I", "-S", program, folder, *arguments]
    os.execve(sys.executable, command, environment)

"""Commands that cannot block for ever, and daemons known by their pid files."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cluster.failure import ClusterFailed

COMMAND_SECONDS = 60.0  # the longest makes an empty database, on a machine that may be busy
POLL_SECONDS = 0.02
GRACE_SECONDS = 15.0  # from SIGTERM to SIGKILL: the database writes its pages first
TAIL_LINES = 15


def run(command: Sequence[str | Path], environment: Mapping[str, str]) -> str:
    """What a command prints.

    Raises:
        ClusterFailed: it failed or gave no answer in time.
    """
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )
    except FileNotFoundError as error:
        raise ClusterFailed(f"there is no {words[0]}: run `slurm.py install` as root") from error
    except subprocess.TimeoutExpired as error:
        raise ClusterFailed(f"{' '.join(words)}: no answer in {COMMAND_SECONDS:g} s") from error
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip()
        raise ClusterFailed(f"{' '.join(words)} ended with {done.returncode}: {said}")
    return done.stdout


def is_reached(condition: Callable[[], bool], seconds: float) -> bool:
    """Polls until the condition holds; False if it does not in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(POLL_SECONDS)
    return True


@dataclass(frozen=True, kw_only=True)
class Daemon:
    """A program that goes into the background and writes its pid file.

    Attributes:
        command: starts it and returns.
        pid_file: where the program writes its process id.
        log: shown when it does not start.
        environment: all that it is given.
        mark: a variable of that environment which no other process has with this value. By it
            the daemon is known: after a crash the number in the pid file may be another's.
    """

    command: tuple[str | Path, ...]
    pid_file: Path
    log: Path
    environment: Mapping[str, str]
    mark: str

    @property
    def pid(self) -> int | None:
        """Its process id; None if it does not run."""
        with suppress(OSError, ValueError):
            pid = int(self.pid_file.read_text())
            mark = f"{self.mark}={self.environment[self.mark]}"
            if os.fsencode(mark) in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                return pid
        return None

    def start(self, serves: Callable[[], bool], seconds: float) -> None:
        """Starts it unless it runs, and waits until it serves.

        Raises:
            ClusterFailed: it does not, with the end of its log.
        """
        if self.pid is None:
            self.pid_file.unlink(missing_ok=True)
            run(self.command, self.environment)
        if not is_reached(lambda: self.pid is not None and serves(), seconds):
            command = " ".join(map(str, self.command))
            raise ClusterFailed(
                f"{command} does not serve after {seconds:g} s; {self.log}:\n{_tail(self.log)}"
            )


def stop(daemons: Iterable[Daemon]) -> None:
    """Ends them together, kindly and then not; their pid files go with them.

    Raises:
        ClusterFailed: one of them survives even SIGKILL.
    """
    pids = {daemon.pid_file: daemon.pid for daemon in daemons}
    end([pid for pid in pids.values() if pid is not None])
    for pid_file in pids:
        pid_file.unlink(missing_ok=True)


def end(pids: Iterable[int], *, kindly: bool = True) -> None:
    """SIGTERM unless told otherwise, then SIGKILL for those that are still there.

    Raises:
        ClusterFailed: one of them survives even SIGKILL.
    """
    left = [*pids]
    for number in (signal.SIGTERM, signal.SIGKILL) if kindly else (signal.SIGKILL,):
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        left = _still_there(left, GRACE_SECONDS)
    if left:
        raise ClusterFailed(f"processes {left} do not end, not even on SIGKILL")


def tree(root: int) -> list[int]:
    """A process and all that descend from it, parents first."""
    children: dict[int, list[int]] = {}
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            parent = int(_status(int(process.name))[1])
            children.setdefault(parent, []).append(int(process.name))
    found = [root]
    for pid in found:  # grows while it is read
        found += children.get(pid, [])
    return found


def _still_there(pids: Iterable[int], seconds: float) -> list[int]:
    left = [*pids]

    def all_gone() -> bool:
        left[:] = filter(_is_alive, left)
        return not left

    is_reached(all_gone, seconds)
    return left


def _is_alive(pid: int) -> bool:
    """A zombie is not: whoever started it may never ask for it."""
    try:
        return _status(pid)[0] != "Z"
    except OSError:
        return False


def _status(pid: int) -> list[str]:
    """State, parent, and more: what proc(5) has after the name, which may hold blanks."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _tail(log: Path) -> str:
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-TAIL_LINES:])
    except OSError as error:
        return str(error)

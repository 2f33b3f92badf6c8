"""A scheduler's commands: off the event loop, each with a time-out, few in a second."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal

import anyio

from qcsc_hpc.profiles import changes_a_job
from qcsc_hpc.schedulers.scheduler import Answer
from qcsc_loop.concurrency.child import tie_to_this_process
from qcsc_loop.concurrency.deadline import call_with_deadline
from qcsc_loop.errors import JobRefused, SiteUnreachable

# login nodes are shared, and schedulers hold locks while they answer: four commands a second. A
# flood of one kind leaves room for the others
SLOTS = {"ask": 4, "submit": 3, "measure": 2}
WINDOW_SECONDS = 1.25  # a command's own start is not to the millisecond
PAUSE_SECONDS = 0.02
LATE_SECONDS = 5.0  # for a command that was killed to be gone

Kind = Literal["ask", "submit", "measure"]

# what a job may get of the submitter's environment: who it is, and, from the scheduler's class, which
# scheduler; the rest comes from the site's login scripts. (Slurm's own --export=NONE costs a login
# by `su` on each job.)
_PASSED = ("HOME", "USER", "LOGNAME", "SHELL", "LANG")
_PLAIN_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"


class Commands:
    """Runs one site's commands in the order they are asked for.

    Args:
        title: the site, for messages.
        timeout: seconds after which a command counts as unanswered.
        passed: variables that a submission gets, as `Dialect.passed`, and those that a site wants.
    """

    def __init__(self, title: str, timeout: float, passed: Sequence[str] = ()) -> None:
        self._title, self._timeout, self._passed = title, timeout, (*_PASSED, *passed)
        self._starts: deque[float] = deque(maxlen=max(SLOTS.values()))
        self._turns: dict[str, anyio.Lock] = {kind: anyio.Lock() for kind in SLOTS}

    async def ask(
        self,
        argv: Sequence[str],
        *,
        folder: Path | None = None,
        kind: Kind = "ask",
        before: Callable[[], None] = lambda: None,
    ) -> Answer:
        """What the command says, whatever its exit code.

        Args:
            folder: where it runs.
            kind: a submission gets a plain environment, which its job inherits, and dies with this
                process, however that dies; other questions get the driver's, without what would
                have them speak of other jobs (SQUEUE_STATES, SCANCEL_USER).
            before: called last of all; the command is not run if it raises.

        Raises:
            JobRefused: there is no such command here.
            SiteUnreachable: it gave no answer in time.
        """
        found = program_path(self._title, argv)
        program = Path(found).name
        await self._pause(kind)
        submits = kind == "submit"
        words = _tied([found, *argv[1:]]) if submits else [*argv]
        environment = _plain_environment(self._passed) if submits else _asking_environment()
        running: list[subprocess.Popen[bytes]] = []
        try:
            # in a thread, which reaps the child whatever becomes of the event loop meanwhile
            done = await call_with_deadline(
                lambda: _run(words, folder, environment, self._timeout, running, before),
                self._timeout + LATE_SECONDS,
            )
        except (subprocess.TimeoutExpired, TimeoutError):
            why = f"{program} gave no answer in {self._timeout:g} s (command_timeout)"
            raise SiteUnreachable(self._title, why) from None
        except OSError as error:  # the login node has no memory, processes or files left
            why = f"{program} cannot be started: {error.strerror}"
            raise SiteUnreachable(self._title, why) from error
        finally:
            for process in running:  # cancelled: nobody wants its answer
                _kill(process)
        return Answer(argv, done.returncode, _text(done.stdout), _text(done.stderr))

    async def _pause(self, kind: Kind) -> None:
        """Waits until one more command of this kind is not one too many."""
        async with self._turns[kind]:
            while self._recent() >= SLOTS[kind]:  # noqa: ASYNC110  # time is what is waited for
                await anyio.sleep(PAUSE_SECONDS)
            self._starts.append(time.monotonic())

    def _recent(self) -> int:
        since = time.monotonic() - WINDOW_SECONDS
        return sum(start > since for start in self._starts)


def program_path(title: str, argv: Sequence[str]) -> str:
    """Where the command of a site is.

    Raises:
        JobRefused: there is no such command here.
    """
    program = next(word for word in argv if "=" not in word and word != "env")
    if (found := shutil.which(program)) is None:
        why = f"there is no {program} on PATH; run on a login node of the machine"
        raise JobRefused(title, "scheduler", why)
    return found


def _run(
    words: list[str],
    folder: Path | None,
    environment: dict[str, str],
    seconds: float,
    running: list[subprocess.Popen[bytes]],
    before: Callable[[], None],
) -> subprocess.CompletedProcess[bytes]:
    before()
    with subprocess.Popen(
        words,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=folder,
        env=environment,
        start_new_session=True,  # a Ctrl-C at the terminal is not meant for it
    ) as process:
        running.append(process)
        try:
            out, err = process.communicate(timeout=seconds)
        finally:
            _kill(process)
    return subprocess.CompletedProcess(words, process.returncode, out, err)


def _kill(process: subprocess.Popen[bytes]) -> None:
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _text(output: bytes) -> str:
    return output.decode(errors="replace")


def _plain_environment(passed: Sequence[str]) -> dict[str, str]:
    names = {name for name in passed if not name.endswith("*")}
    heads = tuple(name.removesuffix("*") for name in passed if name.endswith("*"))
    return {"PATH": _PLAIN_PATH} | {
        name: value
        for name, value in os.environ.items()
        if name in names or (heads and name.startswith(heads))
    }


def _asking_environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not changes_a_job(name)}
    return {**kept, "LC_ALL": "C.UTF-8"}


def _tied(command: list[str]) -> list[str]:
    """The command as a child that dies with this process.

    By util-linux where there is: it starts at once. Should this process die in the instant before
    that takes effect, the job turns up under its name.
    """
    if (setpriv := shutil.which("setpriv")) is not None:
        return [setpriv, "--pdeathsig", "KILL", "--", *command]
    return tie_to_this_process(command)

"""Interpreters that have imported what the command line needs, and fork for each command.

A command that starts afresh spends most of its time on imports. So `CommandLine` starts those that
it runs to their end from here; what is killed, watched or shown on a terminal is a process of its
own, from the console script on. Prefect reads its settings when it is imported: commands with the
same server have an interpreter of their own, which has imported it with them. Run as a program, this
file reads a command a line, as JSON, from stdin and answers each with its exit code; its words are
what it imports beside what all do.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import subprocess
import sys
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock, Timer

import psutil

SCRIPT = Path(sys.prefix) / "bin" / "qcsc-loop"
IMPORTED = (
    "numpy",
    "scipy",
    "qiskit",
    "qiskit.circuit.library",
    "qiskit_aer",
    "qcsc_loop.cli.main",
    "qcsc_loop.cli.run",
    "qcsc_loop.cli.show",
    "qcsc_hpc.machine",
    "qcsc_algorithms.bitcount.bitcount",
)
WITH_PREFECT = (
    "prefect.client.orchestration",
    "qcsc_loop.prefect.artifacts",
    "qcsc_loop.prefect.flow",
    "qcsc_loop.prefect.restore",
    "qcsc_loop.prefect.server",
    "qcsc_loop.prefect.server_limits",
)
# what is read when an interpreter or a library starts; of a command's own it needs a fresh one
READ_AT_ONCE = ("LC_", "LD_", "MKL_", "OMP_", "OPENBLAS_", "PYTHON", "QISKIT_")
# but for where a site has its flows, and what its Prefect is
OF_A_SITE = ("PYTHONPATH", "PREFECT_")
WORTH_ITS_IMPORTS = 3  # commands of a site from which on it has an interpreter
MOST = 3  # interpreters of sites: the latest

Settings = tuple[tuple[str, str], ...]


class Interpreter:
    """Runs commands one after the other, each in a fork of its own."""

    def __init__(self, environment: Mapping[str, str], *more: str) -> None:
        self._one_at_a_time = Lock()
        self._process = subprocess.Popen(
            [sys.executable, __file__, *more],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    @property
    def busy(self) -> bool:
        """Whether a command runs."""
        return self._one_at_a_time.locked()

    def run(
        self,
        words: Sequence[str],
        *,
        environment: Mapping[str, str],
        folder: Path,
        out: Path,
        err: Path,
        seconds: float,
    ) -> int:
        """The exit code of a command, whose streams are files."""
        assert self._process.stdin is not None and self._process.stdout is not None
        command = [*words], {**environment}, str(folder), str(out), str(err)
        with self._one_at_a_time:
            too_long = Timer(seconds, self._kill)
            too_long.start()
            try:
                self._process.stdin.write(f"{json.dumps(command)}\n")
                self._process.stdin.flush()
                said = self._process.stdout.readline()
            except BrokenPipeError:
                said = ""
            finally:
                too_long.cancel()
        if not said:
            self.end()
        assert said, f"{words} did not end in {seconds:g} s, or its interpreter has died"
        return int(said)

    def end(self) -> None:
        """With the command that it is at; the next one has another interpreter."""
        for settings in [settings for settings, one in _running.items() if one is self]:
            del _running[settings]
        self._kill()
        self._process.communicate(timeout=30)  # closes its pipes, too

    def _kill(self) -> None:
        if self._process.poll() is None:
            for child in psutil.Process(self._process.pid).children(recursive=True):
                child.kill()
            self._process.kill()


_running: dict[Settings, Interpreter] = {}
_asked = Counter[Settings]()
_one_at_a_time = Lock()


@atexit.register
def _end_all() -> None:
    for one in [*_running.values()]:
        one.end()


def interpreter(environment: Mapping[str, str]) -> Interpreter | None:
    """The one that a command with that environment is to be a fork of; None: it starts afresh."""
    if any(
        environment.get(name) != os.environ.get(name)
        for name in {*environment, *os.environ}
        if name.startswith(READ_AT_ONCE) and not name.startswith(OF_A_SITE)
    ):
        return None
    with _one_at_a_time:
        if environment.get("PREFECT_API_URL"):
            return _of_a_site(environment)
        if environment.get("PYTHONPATH") != os.environ.get("PYTHONPATH"):
            return None
        if () not in _running:
            _running[()] = Interpreter(os.environ)
        return _running[()]


def _of_a_site(environment: Mapping[str, str]) -> Interpreter | None:
    settings = tuple(sorted(i for i in environment.items() if i[0].startswith(OF_A_SITE)))
    _asked[settings] += 1
    if settings in _running:
        _running[settings] = _running.pop(settings)  # the latest
    elif _asked[settings] >= WORTH_ITS_IMPORTS:
        free = [one for settings, one in _running.items() if settings and not one.busy]
        for one in free[: len(_running) - MOST]:
            one.end()
        _running[settings] = Interpreter(environment, *WITH_PREFECT)
    ready = _running.get(settings)
    return None if ready is None or ready.busy else ready  # one may wait for what the other does


# the interpreter itself


def main() -> int:
    """Forks for each command; in a fork, the command's exit code."""
    for module in IMPORTED:
        importlib.import_module(module)
    if more := sys.argv[1:]:
        from qcsc_loop.cli.quiet_prefect import quiet_prefect

        quiet_prefect()
        for module in more:
            importlib.import_module(module)
    gc.freeze()
    with open(os.dup(0)) as commands, open(os.dup(1), "w") as answers:
        while line := commands.readline():
            if not (pid := _fork()):
                break
            _, status = os.waitpid(pid, 0)
            print(os.waitstatus_to_exitcode(status), file=answers, flush=True)
    return _run(*json.loads(line)) if line else 0


def _fork() -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numerical libraries have threads, and mind forks
        return os.fork()


def _run(words: list[str], environment: dict[str, str], folder: str, out: str, err: str) -> int:
    streams = (os.devnull, os.O_RDONLY), (out, os.O_WRONLY), (err, os.O_WRONLY)
    for number, (name, way) in enumerate(streams):
        os.dup2(os.open(name, way), number)
    os.closerange(3, 64)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv = [str(SCRIPT), *words]
    sys.path[0] = str(SCRIPT.parent)
    from qcsc_loop.cli.main import main

    main()
    return 0


if __name__ == "__main__":
    sys.exit(main())

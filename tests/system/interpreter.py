"""One interpreter that has imported what the command line needs, and forks for each command.

A command that starts afresh spends most of its time on imports. So `CommandLine` starts those that
it runs to their end from here; what is killed, watched or shown on a terminal is a process of its
own, from the console script on. Run as a program, this file reads a command a line, as JSON, from
stdin and answers each with its exit code.
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
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock, Timer

import psutil

SCRIPT = Path(sys.prefix) / "bin" / "qcsc-loop"
# not Prefect: it reads its settings when it is imported
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
# what is read when an interpreter or a library starts; of a command's own it needs a fresh one
READ_AT_ONCE = ("LC_", "LD_", "MKL_", "OMP_", "OPENBLAS_", "PYTHON", "QISKIT_")


class Interpreter:
    """Runs commands one after the other, each in a fork of its own."""

    def __init__(self) -> None:
        self._environment = {**os.environ}
        self._one_at_a_time = Lock()
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def can_run(self, environment: Mapping[str, str]) -> bool:
        """Whether a command with that environment can have it after the imports."""
        return all(
            environment.get(name) == self._environment.get(name)
            for name in {*environment, *self._environment}
            if name.startswith(READ_AT_ONCE)
        )

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
            too_long = Timer(seconds, self.end)
            too_long.start()
            try:
                self._process.stdin.write(f"{json.dumps(command)}\n")
                self._process.stdin.flush()
                said = self._process.stdout.readline()
            finally:
                too_long.cancel()
        assert said, f"{words} did not end in {seconds:g} s"
        return int(said)

    def end(self) -> None:
        """With the command that it is at; the next one has another interpreter."""
        _running.clear()
        for child in psutil.Process(self._process.pid).children(recursive=True):
            child.kill()
        self._process.kill()
        self._process.communicate(timeout=30)


_running: list[Interpreter] = []


@atexit.register
def _end_all() -> None:
    for one in [*_running]:
        one.end()


def interpreter() -> Interpreter:
    """This process's own."""
    if not _running:
        _running.append(Interpreter())
    return _running[0]


# the interpreter itself


def main() -> int:
    """Forks for each command; in a fork, the command's exit code."""
    for module in IMPORTED:
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

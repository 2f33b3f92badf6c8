"""A process that has imported an algorithm, and lives lives of its runs, one after the other."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from qcsc_loop.algorithm import AnyAlgorithm
from qcsc_loop.concurrency.loading import class_reference
from qcsc_loop.errors import InputError
from qcsc_loop.parameters.compare import to_plain
from qcsc_loop.testing.checking.orders import Life, Lived

THREADS = ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"]
# glibc's, by its name before 2.26 and the one since (mallopt(3), M_PERTURB); others do not mind it
UNWRITTEN = {"MALLOC_PERTURB_": "%d", "GLIBC_TUNABLES": "glibc.malloc.perturb=%d"}
_LIVES = "qcsc_loop.testing.checking.lives"
TAIL_BYTES, TAIL_LINES = 4096, 5  # of what a life has printed that an error ended


@contextmanager
def living_process(
    algorithm: AnyAlgorithm,
    *,
    hash_seed: int = 1,
    threads: int = 1,
    memory: int = 0,
    variables: Mapping[str, str | None] = {},
    elsewhere: str = "",
) -> Iterator[LivingProcess]:
    """One that is there until the block ends.

    Args:
        memory: what each byte of it holds that nobody has written; 0: what happens to be there.
        variables: what else is in its environment; None: taken out.
        elsewhere: the folder in which it imports the algorithm, on what looks like another machine
            at another time; empty: here and now.

    Raises:
        InputError: the algorithm's class cannot be imported elsewhere.
    """
    words = [_reference(algorithm), json.dumps(to_plain(algorithm))]
    others = {**os.environ, **variables}
    perturbed = {name: value % memory for name, value in UNWRITTEN.items()} if memory else {}
    with _output() as said:
        process = subprocess.Popen(
            [sys.executable, "-m", _LIVES, *words, *(["elsewhere"] if elsewhere else ())],
            env={
                **{name: value for name, value in others.items() if value is not None},
                "PYTHONHASHSEED": str(hash_seed),
                "PYTHONPATH": os.pathsep.join(os.path.abspath(path) for path in sys.path if path),
                **dict.fromkeys(THREADS, str(threads)),
                **perturbed,
            },
            cwd=elsewhere or None,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
        )
        with process:
            try:
                yield LivingProcess(process, said)
            finally:
                process.kill()


@contextmanager
def _output() -> Iterator[IO[bytes]]:
    """A file for all that lives print, however much: nobody has to read it meanwhile."""
    with (
        tempfile.TemporaryDirectory(prefix="qcsc-loop-said-") as folder,
        open(Path(folder) / "said", "a+b") as said,
    ):
        yield said


class LivingProcess:
    """Has a process live a life.

    Args:
        said: the file that it prints to, and all that it starts.
    """

    def __init__(self, process: subprocess.Popen[str], said: IO[bytes]) -> None:
        self._process, self._said = process, said
        self._answer()  # it has imported everything

    def __call__(self, life: Life) -> Lived:
        self._said.truncate(0)
        stdin: IO[Any] = self._pipe(self._process.stdin)
        stdin.write(life.to_json() + "\n")
        stdin.flush()
        lived = Lived.from_json(self._answer())
        return replace(lived, said=" | ".join(self._last_lines())) if lived.error else lived

    def _answer(self) -> str:
        stdout = self._pipe(self._process.stdout)
        if line := stdout.readline() if self._is_answered(stdout) else "":
            return line
        said = self._last_lines()
        raise InputError(f"the algorithm cannot be tried: {said[-1] if said else 'no word of why'}")

    def _is_answered(self, stdout: IO[str]) -> bool:
        """Waits for a word; not for one of a process that is dead, whose children hold its pipe."""
        descriptor = os.pidfd_open(self._process.pid)
        try:
            ready, _, _ = select.select([stdout.fileno(), descriptor], [], [])
        finally:
            os.close(descriptor)
        return stdout.fileno() in ready

    def _last_lines(self) -> list[str]:
        end = self._said.seek(0, os.SEEK_END)
        self._said.seek(max(0, end - TAIL_BYTES))
        lines = self._said.read().decode(errors="replace").splitlines()
        return [line.strip() for line in lines if line.strip()][-TAIL_LINES:]

    @staticmethod
    def _pipe(pipe: IO[str] | None) -> IO[str]:
        assert pipe is not None
        return pipe


def _reference(algorithm: AnyAlgorithm) -> str:
    reference = class_reference(type(algorithm))
    if "<locals>" in reference or reference.startswith("__main__:"):
        raise InputError(
            f"{type(algorithm).__qualname__} cannot be tried where it is: its class has to stand in a "
            "file or a module, outside of any function, so that other processes can import it"
        )
    return reference

"""A process that has imported an algorithm, and lives lives of its runs, one after the other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from qcsc_loop.algorithm import AnyAlgorithm
from qcsc_loop.concurrency.loading import class_reference
from qcsc_loop.errors import InputError
from qcsc_loop.parameters.compare import to_plain
from qcsc_loop.testing.checking.orders import Life, Lived

THREADS = ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"]
# glibc's, by its name before 2.26 and the one since (mallopt(3), M_PERTURB); others do not mind it
UNWRITTEN = {"MALLOC_PERTURB_": "%d", "GLIBC_TUNABLES": "glibc.malloc.perturb=%d"}


@contextmanager
def living_process(
    algorithm: AnyAlgorithm, *, hash_seed: int = 1, threads: int = 1, memory: int = 0
) -> Iterator[LivingProcess]:
    """One that is there until the block ends.

    Args:
        memory: what each byte of it holds that nobody has written; 0: what happens to be there.

    Raises:
        InputError: the algorithm's class cannot be imported elsewhere.
    """
    words = [_reference(algorithm), json.dumps(to_plain(algorithm))]
    process = subprocess.Popen(
        [sys.executable, "-m", "qcsc_loop.testing.checking.lives", *words],
        env={
            **os.environ,
            "PYTHONHASHSEED": str(hash_seed),
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            **dict.fromkeys(THREADS, str(threads)),
            **({name: words % memory for name, words in UNWRITTEN.items()} if memory else {}),
        },
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield LivingProcess(process)
        finally:
            process.kill()


class LivingProcess:
    """Has a process live a life."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._answer()  # it has imported everything

    def __call__(self, life: Life) -> Lived:
        stdin: IO[Any] = self._pipe(self._process.stdin)
        stdin.write(life.to_json() + "\n")
        stdin.flush()
        return Lived.from_json(self._answer())

    def _answer(self) -> str:
        line = self._pipe(self._process.stdout).readline()
        if line:
            return str(line)
        said = str(self._pipe(self._process.stderr).read()).strip().splitlines()
        raise InputError(f"the algorithm cannot be tried: {said[-1] if said else 'no word of why'}")

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

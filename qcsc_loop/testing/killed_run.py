"""A run that is killed at a write boundary of its driver, and brought to its end by the next one."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from qcsc_loop.algorithm import AnyAlgorithm
from qcsc_loop.errors import InputError, did_you_mean
from qcsc_loop.testing.checking.comparing import Difference, first_difference_of
from qcsc_loop.testing.checking.orders import Life
from qcsc_loop.testing.checking.process import LivingProcess, living_process
from qcsc_loop.testing.submissions import Submission


@dataclass(frozen=True)
class Killed:
    """What became of a run whose driver was killed.

    Attributes:
        point: the write boundary.
        error: of the driver that went on, in a sentence; empty: it came to its end.
        difference: the first hook that returned something else than in a run that nobody killed.
        submissions: all jobs that a site accepted in both drivers' lives, in their order.
    """

    point: str
    error: str
    difference: Difference | None
    submissions: tuple[Submission, ...]

    @property
    def same_bits(self) -> bool:
        """Whether it came to its end with the states and results of a run that nobody killed."""
        return not self.error and self.difference is None

    @property
    def extra_submissions(self) -> int:
        """How many jobs were accepted for work that had been submitted before.

        Those of this machine die with their driver and are begun again: they do not count.
        """
        accepted = Counter(job.key for job in self.submissions if job.remote)
        return sum(count - 1 for count in accepted.values())


class KillableRun:
    """A run of an algorithm, in processes that may be killed as often as one likes.

    Attributes:
        boundaries: its write boundaries, in the order in which it comes by them.
    """

    def __init__(self, live: LivingProcess, folder: Path, life: Life) -> None:
        self._live, self._folder, self._life = live, folder, life
        self._number = 0
        self._first = folder / "first"
        first = live(replace(life, store=str(self._first)))
        if first.error:
            raise InputError(f"it fails without being killed: {first.error}")
        self.boundaries: Sequence[str] = first.boundaries

    def kill_at(self, point: str) -> Killed:
        """Kills a driver there, with SIGKILL, and has the next one go on to the end.

        Raises:
            InputError: the run does not come by such a boundary.
        """
        if point not in self.boundaries:
            known = ", ".join(self.boundaries)
            raise InputError(
                f"the run has no write boundary {point!r}{did_you_mean(point, self.boundaries)}. "
                f"It comes by: {known}"
            )
        self._number += 1
        folder = self._folder / str(self._number)
        folder.mkdir()
        notes = folder / "submissions"
        life = replace(self._life, store=str(folder / "store"), submissions=str(notes))
        self._live(replace(life, boundary=point))
        lived = self._live(life)
        difference = None
        if not lived.error:
            difference = first_difference_of(self._first, folder / "store")
        lines = notes.read_text().splitlines() if notes.exists() else []
        submissions = tuple(Submission(**json.loads(line)) for line in lines)
        shutil.rmtree(folder)
        return Killed(point, lived.error, difference, submissions)


@contextmanager
def killable_run(
    algorithm: AnyAlgorithm, *, iterations: int = 1, seed: int = 0, keep: int | None = None
) -> Iterator[KillableRun]:
    """A run of the algorithm to be killed again and again; importing it is paid for once.

    Args:
        algorithm: with its parameters; its class in a file or a module, where others find it.
        iterations: how many are driven.
        seed: the run's.
        keep: of how many iterations all that was written; None: of each, as is compared in the end.

    Raises:
        InputError: the class cannot be imported elsewhere, or the run fails without being killed.
    """
    if iterations < 1:
        raise InputError(f"a run to be killed has at least 1 iteration, not {iterations}")
    folder = Path(tempfile.mkdtemp(prefix="qcsc-loop-kill-"))
    try:
        with living_process(algorithm) as live:
            yield KillableRun(live, folder, Life("", iterations, seed, keep=keep))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_boundaries(
    algorithm: AnyAlgorithm, *, iterations: int = 1, seed: int = 0, keep: int | None = None
) -> Sequence[str]:
    """The names of the write boundaries that a run of the algorithm comes by, in their order."""
    with killable_run(algorithm, iterations=iterations, seed=seed, keep=keep) as run:
        return run.boundaries


def kill_at(
    point: str,
    algorithm: AnyAlgorithm,
    *,
    iterations: int = 1,
    seed: int = 0,
    keep: int | None = None,
) -> Killed:
    """Kills a run's driver at a write boundary, has the next one go on, and compares.

    Args:
        point: one of `WRITE_BOUNDARIES`, or of what `write_boundaries` lists for the algorithm.
        algorithm: with its parameters; its class in a file or a module, where others find it.
        iterations: how many are driven.
        seed: the run's.
        keep: of how many iterations all that was written; None: of each, as is compared in the end.

    Raises:
        InputError: there is no such boundary, the class cannot be imported elsewhere, or the run
            fails without being killed.

    Example:
        >>> from qcsc_algorithms.bitcount import BitCount
        >>> killed = kill_at("1/checkpoint/named", BitCount(num_qubits=2, shots=10))
        >>> killed.same_bits, killed.extra_submissions
        (True, 0)
    """
    with killable_run(algorithm, iterations=iterations, seed=seed, keep=keep) as run:
        return run.kill_at(point)

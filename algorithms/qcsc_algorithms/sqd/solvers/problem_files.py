"""A diagonalisation as a program: its problem and its solution in files. A job starts with this."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from qcsc_hpc.mpi.world import RANKS
from qcsc_loop.concurrency.whole_file import write_whole

Arrays = Mapping[str, npt.NDArray[Any]]
LowestState = Callable[[Arrays], dict[str, npt.NDArray[Any]]]

PROBLEM, SOLUTION = "problem.npz", "solution.npz"


def run_as_program(lowest_state: LowestState, *, writes: bool = True) -> None:
    """Reads a problem, writes its solution, as the command line says: PROBLEM.npz SOLUTION.npz.

    Args:
        writes: whether it is this rank that writes.
    """
    source, target = sys.argv[1:]
    with np.load(source, allow_pickle=False) as problem:
        solution = lowest_state(dict(problem))
    if writes:
        save_arrays(Path(target), solution)


def ranks_asked_for() -> int:
    """Of the job that this program is."""
    return int(os.environ.get(RANKS, "1"))


def save_arrays(path: Path, arrays: Arrays) -> None:
    """Writes them, whole."""
    with write_whole(path) as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def load_arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    """All of a file."""
    with np.load(path, allow_pickle=False) as found:
        return dict(found)

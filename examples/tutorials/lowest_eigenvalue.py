"""The lowest eigenvalue of a symmetric matrix, its rows shared by MPI ranks: MATRIX.npy RESULT.json."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from qcsc_hpc import world

STEPS = 500


def main(matrix_file: str, result_file: str) -> None:
    """Power iteration on what the matrix lacks to its largest row sum: it is not negative."""
    ranks = world()
    matrix = np.load(matrix_file)
    bound = np.abs(matrix).sum(axis=1).max()
    mine = np.array_split(bound * np.eye(len(matrix)) - matrix, ranks.size)[ranks.rank]
    vector = np.ones(len(matrix)) / np.sqrt(len(matrix))
    for _ in range(STEPS):
        vector = np.concatenate(ranks.allgather(mine @ vector))
        vector /= np.linalg.norm(vector)
    if ranks.rank == 0:
        lowest = float(vector @ matrix @ vector)
        Path(result_file).write_text(json.dumps({"lowest": lowest, "ranks": ranks.size}))


if __name__ == "__main__":
    main(*sys.argv[1:])

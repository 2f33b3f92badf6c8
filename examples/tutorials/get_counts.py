"""Counts 32-bit integers over MPI ranks: input.bin, as many as there are, becomes output.json."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
from mpi4py import MPI

from qcsc_hpc import world


def main() -> None:
    """Each rank counts its share, of whatever size: none is left out where they do not divide."""
    ranks = world()
    shares = None
    if ranks.rank == 0:
        shares = np.array_split(np.fromfile("input.bin", dtype=np.uint32), ranks.size)
    mine = Counter(ranks.scatter(shares).tolist())
    total = ranks.reduce(mine, op=MPI.SUM)
    if total is not None:
        Path("output.json").write_text(json.dumps({str(k): total[k] for k in sorted(total)}))


if __name__ == "__main__":
    main()

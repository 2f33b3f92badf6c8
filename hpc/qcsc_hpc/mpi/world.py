"""COMM_WORLD as it was asked for, or none. `python -m qcsc_hpc.mpi.world` checks it alone."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mpi4py import MPI

WRONG_SIZE = 3
RANKS = "QCSC_RANKS"  # how many were asked for; set for each rank of a machine's job


def world() -> MPI.Intracomm:
    """COMM_WORLD, if it has as many ranks as QCSC_RANKS says; else the program ends with code 3.

    Some launchers start N programs of one rank each and report success (`srun --mpi=none`).
    Started by hand, without QCSC_RANKS, any number is right.
    """
    from mpi4py import MPI

    ranks = int(os.environ.get(RANKS, MPI.COMM_WORLD.size))
    if MPI.COMM_WORLD.size != ranks:
        print(
            f"COMM_WORLD has {MPI.COMM_WORLD.size} ranks, {ranks} were asked for: "
            "the launcher does not belong to this MPI",
            file=sys.stderr,
        )
        sys.exit(WRONG_SIZE)
    return MPI.COMM_WORLD


if __name__ == "__main__":
    world().Barrier()

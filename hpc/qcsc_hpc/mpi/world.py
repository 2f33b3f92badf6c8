"""COMM_WORLD as it was asked for, or none. `python -m qcsc_hpc.mpi.world RANKS` checks it alone."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mpi4py import MPI

WRONG_SIZE = 3


def world_of(ranks: int) -> MPI.Intracomm:
    """COMM_WORLD, if it has `ranks` ranks; else the program ends with exit code 3.

    Some launchers start N programs of one rank each and report success (`srun --mpi=none`).
    """
    from mpi4py import MPI

    if MPI.COMM_WORLD.size != ranks:
        print(
            f"COMM_WORLD has {MPI.COMM_WORLD.size} ranks, {ranks} were asked for: "
            "the launcher does not belong to this MPI",
            file=sys.stderr,
        )
        sys.exit(WRONG_SIZE)
    return MPI.COMM_WORLD


if __name__ == "__main__":
    world_of(int(sys.argv[1])).Barrier()

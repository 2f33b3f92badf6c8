"""A link of a chain over ranks: NUMBER SAMPLE SECONDS."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from qcsc_hpc.mpi.world import world

MODULUS = (1 << 31) - 1


def link(number: int, sample: int, rank: int) -> int:
    """What one rank adds."""
    return (number * 48271 + sample * (rank + 1)) % MODULUS


def main(number: int, sample: int, seconds: float) -> None:
    """Each rank's part, added up, after a while."""
    comm = world()
    time.sleep(seconds)
    total = comm.allreduce(link(number, sample, comm.rank))
    if comm.rank == 0:
        Path("number").write_text(str(total % MODULUS))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))

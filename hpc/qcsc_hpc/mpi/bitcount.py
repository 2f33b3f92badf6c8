"""Counts bitstrings over MPI ranks. Run as

    mpiexec -n RANKS python -m mpi4py -m qcsc_hpc.mpi.bitcount NUM_BITS SHOTS.npy COUNTS.npz

SHOTS.npy holds packed shots, uint8 of shape (shots, ceil(NUM_BITS / 8)), big-endian, high bits
zero. COUNTS.npz gets `bitstrings`, the distinct rows in ascending order, and `counts`, int64; it
appears by rename, whole or not at all. Every shot is counted, for any number of shots and ranks.
Started through mpi4py, an error on one rank ends all of them.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from qcsc_hpc.mpi.world import world
from qcsc_loop.concurrency.whole_file import write_whole
from qcsc_loop.sampling.counting import count, merge
from qcsc_loop.sampling.packing import Packed
from qcsc_loop.sampling.packing import num_bytes as width

__all__ = ["Rows", "count", "merge", "share", "width"]

Rows = Packed


def share(total: int, rank: int, ranks: int) -> slice:
    """The part of `total` items that one rank takes; all parts together are all items."""
    return slice(total * rank // ranks, total * (rank + 1) // ranks)


def main(arguments: list[str]) -> int:
    """Runs one rank; the first one writes the result."""
    num_bits, source, target = int(arguments[0]), Path(arguments[1]), Path(arguments[2])
    comm = world()
    shots = np.load(source, mmap_mode="r", allow_pickle=False)
    mine = count(np.asarray(shots[share(len(shots), comm.rank, comm.size)]), num_bits)
    parts = comm.gather(mine, root=0)
    if parts is None:
        return 0
    rows, counts = merge(
        np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])
    )
    if int(counts.sum()) != len(shots):
        print(f"counted {counts.sum()} of {len(shots)} shots", file=sys.stderr)
        return 4
    with write_whole(target) as file:
        np.savez(file, bitstrings=rows, counts=counts)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

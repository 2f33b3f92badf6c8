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
from typing import Any

import numpy as np
import numpy.typing as npt

from qcsc_hpc.mpi.world import world
from qcsc_loop.concurrency.whole_file import write_whole

Rows = npt.NDArray[np.uint8]
Counts = npt.NDArray[np.int64]

DENSE_BITS = 20  # up to here a table of all values (8 MB) is faster than sorting
WORD_BITS = 64  # up to here a shot is one number, and sorting numbers is vectorised
CHUNK_SHOTS = 1 << 18  # np.bincount widens its input to 8 bytes a value; this stays in cache


def width(num_bits: int) -> int:
    """Bytes of one packed shot."""
    return -(-num_bits // 8)


def count(shots: Rows, num_bits: int) -> tuple[Rows, Counts]:
    """Distinct packed shots in ascending order, and how often each occurs.

    Args:
        shots: uint8 of shape (shots, ceil(num_bits / 8)).

    Raises:
        ValueError: the shape does not fit, or a bit above `num_bits` is set.
    """
    if shots.ndim != 2 or shots.shape[1] != width(num_bits) or shots.dtype != np.uint8:
        raise ValueError(
            f"shots of {num_bits} bits must be uint8 of shape (shots, {width(num_bits)}), "
            f"not {shots.dtype} of shape {shots.shape}"
        )
    if num_bits % 8 and shots.size and int(shots[:, 0].max()) >> (num_bits % 8):
        raise ValueError(f"a shot has a bit set above the {num_bits} declared")
    if num_bits <= DENSE_BITS:
        return _dense_to_rows(_dense(shots, num_bits), num_bits)
    if num_bits <= WORD_BITS:
        return _one_word(shots, num_bits)
    return merge(shots, np.ones(len(shots), np.int64))


def merge(rows: Rows, counts: Counts) -> tuple[Rows, Counts]:
    """Adds the counts of equal rows; rows in ascending order."""
    if len(rows) == 0:
        return rows, counts
    keys = _keys(rows)
    order = np.lexsort(keys[::-1])
    changed = np.zeros(len(rows), bool)
    changed[0] = True
    for key in keys:
        ordered = key[order]
        changed[1:] |= ordered[1:] != ordered[:-1]
    first = np.flatnonzero(changed)
    return rows[order[first]], np.add.reduceat(counts[order], first)


def _keys(rows: Rows) -> list[npt.NDArray[np.uint64]]:
    """The rows as numbers of 64 bits, most significant first."""
    padded = np.zeros((len(rows), -(-rows.shape[1] // 8) * 8), np.uint8)
    padded[:, padded.shape[1] - rows.shape[1] :] = rows
    words = padded.view(">u8").astype(np.uint64)
    return [words[:, i] for i in range(words.shape[1])]


def _dense(shots: Rows, num_bits: int) -> Counts:
    table = np.zeros(1 << num_bits, np.int64)
    for start in range(0, len(shots), CHUNK_SHOTS):
        table += np.bincount(_values(shots[start : start + CHUNK_SHOTS]), minlength=len(table))
    return table


def _values(shots: Rows) -> npt.NDArray[Any]:
    if shots.shape[1] == 1:
        return shots[:, 0]
    if shots.shape[1] == 2:
        return np.ascontiguousarray(shots).view(">u2")[:, 0]
    return (shots[:, 0].astype(np.int64) << 16) | (shots[:, 1].astype(np.int64) << 8) | shots[:, 2]


def _dense_to_rows(table: Counts, num_bits: int) -> tuple[Rows, Counts]:
    seen = np.flatnonzero(table)
    packed = seen.astype(">u4").view(np.uint8).reshape(-1, 4)
    return np.ascontiguousarray(packed[:, 4 - width(num_bits) :]), table[seen]


def _one_word(shots: Rows, num_bits: int) -> tuple[Rows, Counts]:
    values, counts = np.unique(_keys(shots)[0], return_counts=True)
    packed = values.astype(">u8").view(np.uint8).reshape(-1, 8)
    return np.ascontiguousarray(packed[:, 8 - width(num_bits) :]), counts.astype(np.int64)


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

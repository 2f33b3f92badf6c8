"""Functions that ranks call in tests."""

from __future__ import annotations

import numpy as np

from qcsc_hpc.mpi.world import world
from qcsc_loop.values.arrays import NDArray


def dot(left: NDArray, right: NDArray, scale: float) -> NDArray:
    """Each rank does its part of a scaled product."""
    comm = world()
    mine = slice(comm.rank, None, comm.size)
    return np.array(comm.allreduce(scale * float(left[mine] @ right[mine])))


def sizes() -> dict[str, int]:
    """How many ranks there are."""
    return {"ranks": world().size}


def fails(why: str) -> None:
    """Raises on the last rank."""
    comm = world()
    if comm.rank == comm.size - 1:
        raise ValueError(why)
    comm.Barrier()


def returns_another_type(_value: int) -> int:
    return "one"  # type: ignore[return-value]


def unannotated(value):  # type: ignore[no-untyped-def]
    return value


def starred(*values: int) -> int:
    return sum(values)

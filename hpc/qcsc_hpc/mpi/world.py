"""The ranks that do one piece of work. `python -m qcsc_hpc.mpi.world` checks them alone."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mpi4py import MPI

WRONG_SIZE = 3
RANKS = "QCSC_RANKS"  # how many were asked for; set for each rank of a machine's job

_lent: ContextVar[MPI.Intracomm | None] = ContextVar("qcsc_hpc_lent_ranks", default=None)


def world() -> MPI.Intracomm:
    """The communicator of this work's ranks; the program ends with code 3 if they are not enough.

    In a job of its own that is COMM_WORLD, in a warm one a part of it. Some launchers start N
    programs of one rank each and report success (`srun --mpi=none`). Started by hand, without
    QCSC_RANKS, any number is right.
    """
    from mpi4py import MPI

    comm = _lent.get() or MPI.COMM_WORLD
    ranks = int(os.environ.get(RANKS, comm.size))
    if comm.size != ranks:
        print(
            f"COMM_WORLD has {comm.size} ranks, {ranks} were asked for: "
            "the launcher does not belong to this MPI",
            file=sys.stderr,
        )
        sys.exit(WRONG_SIZE)
    return comm


@contextmanager
def lent(comm: MPI.Intracomm) -> Iterator[None]:
    """Makes `world()` a communicator that is there already."""
    token = _lent.set(comm)
    try:
        yield
    finally:
        _lent.reset(token)


def main(_arguments: list[str]) -> None:
    """All ranks meet once."""
    world().Barrier()


if __name__ == "__main__":
    main(sys.argv[1:])

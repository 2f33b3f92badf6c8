"""What ranks are told to do in tests: FAULT [FOLDER]. Well or not, each says who it is."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from qcsc_hpc.mpi.world import world

FILLER = "filler"


def main(fault: str, *words: str) -> None:
    """Does it."""
    comm = world()
    os.write(1, f"rank {comm.rank} of {comm.size}\n".encode())  # at once: the file is all ranks'
    last = comm.rank == comm.size - 1
    match fault:
        case "all raise":
            raise ValueError("no such thing")
        case "one raises" if last:
            raise ValueError("no such thing")
        case "one raises":
            comm.Barrier()
        case "sys.exit":
            sys.exit(7)
        case "hang" if last:
            signal.pause()
        case "killed" if last:
            os.kill(os.getpid(), signal.SIGKILL)
        case "killed once" if last and not Path(words[0]).exists():
            Path(words[0]).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        case "abort" if last:
            comm.Abort(9)
        case "message left":
            comm.isend("stale", (comm.rank + 1) % comm.size)
            raise ValueError("no such thing")
        case "full disk" if last:
            with Path(FILLER).open("wb", buffering=0) as file:
                while True:
                    file.write(bytes(4096))
        case _:
            pass
    if fault in ("hang", "killed", "killed once", "abort"):
        comm.Barrier()
    total = comm.allreduce(comm.rank + 1)
    passed = comm.sendrecv(comm.rank, (comm.rank + 1) % comm.size)
    assert passed == (comm.rank - 1) % comm.size
    if comm.rank == 0:
        Path("out").write_text(f"{total}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])

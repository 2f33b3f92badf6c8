"""Answers a driver by files in the folder where it runs: how late does one see what the other writes?

hello   it runs
ping    the driver's
pong    its answer
stop    the driver's: it may end
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from qcsc_hpc.mpi.world import world

HELLO, PING, PONG, STOP = "hello", "ping", "pong", "stop"
LOOK_SECONDS = 0.02
LONGEST_SECONDS = 180.0  # for a driver that was killed


def answer(folder: Path) -> None:
    """Until it is told to stop. No name is asked for: a disk may believe the answer for a minute."""
    end = time.monotonic() + LONGEST_SECONDS
    (folder / HELLO).touch()
    while time.monotonic() < end:
        names = os.listdir(folder)
        if PING in names and PONG not in names:
            (folder / PONG).touch()
        if STOP in names:
            return
        time.sleep(LOOK_SECONDS)


def main(_arguments: list[str]) -> None:
    """All ranks meet, and the first one answers."""
    comm = world()
    comm.Barrier()
    if comm.rank == 0:
        answer(Path())


if __name__ == "__main__":
    main(sys.argv[1:])

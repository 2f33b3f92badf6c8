"""How late this machine sees what a job writes on the disk that both share."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

import anyio
from anyio import to_thread

from qcsc_hpc.mpi.echo import HELLO, LOOK_SECONDS, PING, PONG, STOP
from qcsc_loop.steps.step import JOB_SUFFIX

LONGEST_SECONDS = 90.0  # longer than NFS believes an old look by default
AT_ONCE_SECONDS = 1.0


@dataclass(frozen=True)
class Lateness:
    """Of a file that a node made when it saw one of ours: there and back.

    Attributes:
        listed: seconds until it was in the folder's listing; None: it was not in time.
        asked: until it was there by its name, which had been asked for before it was made.
    """

    listed: float | None
    asked: float | None

    @property
    def is_bearable(self) -> bool:
        """Whether runs work with it: they list folders."""
        return self.listed is not None

    def __str__(self) -> str:
        if self.listed is None:
            return f"a file of a node is not seen here in {LONGEST_SECONDS:g} s"
        text = f"a file of a node is seen here after {self.listed:.2f} s, there and back"
        if self.asked is None:
            return f"{text}; not in {LONGEST_SECONDS:g} s by a name that was asked for in vain"
        if self.asked - self.listed < AT_ONCE_SECONDS:
            return text
        return (
            f"{text}; after {self.asked:.0f} s by a name that was asked for in vain before: this disk "
            "believes old looks (as NFS does), so runs list folders and ask for no such name"
        )


async def measure_lateness(work: Path) -> Lateness:
    """Once the one job below `work` runs; it is told to end. Cancel it where that job ends first."""
    folder = await _folder_that_says_hello(work)
    try:
        return await _measure(folder)
    finally:
        (folder / STOP).touch()


async def _folder_that_says_hello(work: Path) -> Path:
    while True:
        for name in await to_thread.run_sync(_names, work):
            if name.endswith(JOB_SUFFIX):
                folder = work / name
                if HELLO in await to_thread.run_sync(_names, folder):
                    return folder
        await anyio.sleep(LOOK_SECONDS)


async def _measure(folder: Path) -> Lateness:
    await to_thread.run_sync((folder / PONG).exists)  # in vain: a disk may go on believing it
    began = time.monotonic()
    (folder / PING).touch()
    listed = asked = None
    with anyio.move_on_after(LONGEST_SECONDS):
        while listed is None or asked is None:
            if listed is None and PONG in await to_thread.run_sync(_names, folder):
                listed = time.monotonic() - began
            if asked is None and await to_thread.run_sync((folder / PONG).exists):
                asked = time.monotonic() - began
            await anyio.sleep(LOOK_SECONDS)
    return Lateness(listed, asked)


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []

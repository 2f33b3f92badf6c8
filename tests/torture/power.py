"""A disk that loses its power: an image on a loop device, copied as it is, without what is in memory.

What the file system has not written is not in the image. So the copy is what a machine finds that was
switched off at that moment, and its journal is replayed as there, when the copy is mounted.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

MKFS = {
    "ext4": ["mkfs.ext4", "-q", "-F"],
    "xfs": ["mkfs.xfs", "-q", "-f"],
    "btrfs": ["mkfs.btrfs", "-q", "-f"],
}
MEGABYTES = {
    "ext4": 16,
    "xfs": 320,
    "btrfs": 128,
}  # the least that mkfs takes; the files are sparse
PAUSES = (0.1, 0.4, 1.6)  # seconds


def why_no_disk(kind: str) -> str | None:
    """Why no such disk can be had here, if so."""
    if os.geteuid() != 0:
        return "only root may mount a disk"
    if not Path("/dev/loop-control").exists():
        return "there are no loop devices here"
    if shutil.which(MKFS[kind][0]) is None:
        return f"{MKFS[kind][0]} is missing: apt-get install e2fsprogs xfsprogs btrfs-progs"
    return None


@dataclass
class Disk:
    """One that is mounted at a folder.

    Attributes:
        options: of mount.
        cuts: how often its power was cut.
    """

    folder: Path
    image: Path
    options: str
    cuts: int = 0

    def cut(self) -> None:
        """The power goes, and comes back."""
        self.cuts += 1
        copy = self.image.with_suffix(f".{self.cuts}")
        _run("cp", "--sparse=always", str(self.image), str(copy))
        self._unmount()
        self.image.unlink()  # what is still open there is nobody's any more
        self.image = copy
        self.mount()

    def mount(self) -> None:
        words = ("mount", "-o", f"loop,{self.options}", str(self.image), str(self.folder))
        for pause in PAUSES:  # of two that want a loop device at once, one may find it taken
            try:
                return _run(*words)
            except NotDone:
                time.sleep(pause)
        return _run(*words)

    def _unmount(self) -> None:
        if self.folder.is_mount():
            _run("umount", "-l", str(self.folder))


@contextmanager
def disk(folder: Path, kind: str, options: str) -> Iterator[Disk]:
    """A new one of this kind, for as long as the block lasts."""
    folder.mkdir()
    image = folder.with_suffix(".image")
    with image.open("wb") as file:
        file.truncate(MEGABYTES[kind] << 20)
    _run(*MKFS[kind], str(image))
    made = Disk(folder, image, options)
    made.mount()
    try:
        yield made
    finally:
        made._unmount()


class NotDone(AssertionError):
    """What a command says that has failed."""


def _run(*words: str) -> None:
    done = subprocess.run(words, check=False, capture_output=True, text=True)
    if done.returncode:
        raise NotDone(f"{words[0]} ended with {done.returncode}: {done.stderr.strip()}")

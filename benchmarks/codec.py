"""What it costs to keep a large array, in time and in memory."""

from __future__ import annotations

import hashlib
import os
import tempfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.figures import MB, Figure, medians, seconds, show
from qcsc_loop import DirectoryStore, NDArray, State
from qcsc_loop.values.codec import Codec

BYTES, REPEATS = 100 * MB, 5
NAME = "large"


class Large(State):
    """A state that is one array."""

    numbers: NDArray


class Kept:
    """A large state and the store that keeps it, beside a plain file of the same bytes."""

    def __init__(self, folder: Path) -> None:
        self._codec: Codec[Large] = Codec(Large)
        self._store, self._plain = DirectoryStore(folder / "store"), folder / "plain"
        self._state = Large(numbers=np.random.default_rng(0).random(BYTES // 8))

    def write(self) -> None:
        self._store.write(NAME, self._codec.encode(self._state))

    def read(self) -> Large:
        return self._codec.decode(self._store.read(NAME))

    def write_plain(self) -> None:
        content = self._state.numbers.data
        hashlib.sha256(content)
        with self._plain.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())

    def read_plain(self) -> bytes:
        content = self._plain.read_bytes()
        hashlib.sha256(content)
        return content


def figures() -> list[Figure]:
    """Time beside the plain file's, and the memory that is needed above the array."""
    with tempfile.TemporaryDirectory() as folder:
        kept = Kept(Path(folder))
        ms = _milliseconds(kept)
        size = BYTES / MB
        return [
            Figure("write", ms["write"], "ms", "plain write, fsync, sha256", ms["plain write"]),
            Figure("read", ms["read"], "ms", "plain read, sha256", ms["plain read"]),
            Figure("peak above it, write", _peak(kept.write), "MB", "the array", size),
            Figure("peak above it, read", _peak(kept.read) - size, "MB", "the array", size),
        ]


def _milliseconds(kept: Kept) -> dict[str, float]:
    found = medians(
        REPEATS,
        {
            "write": lambda: seconds(kept.write),
            "plain write": lambda: seconds(kept.write_plain),
            "read": lambda: seconds(kept.read),
            "plain read": lambda: seconds(kept.read_plain),
        },
    )
    return {name: 1e3 * value for name, value in found.items()}


def _peak(act: Callable[[], object]) -> float:
    """MB that were allocated at once; numpy tells tracemalloc of its arrays."""
    tracemalloc.start()
    act()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak / MB


if __name__ == "__main__":
    show(f"An array of {BYTES // MB} MB", figures())

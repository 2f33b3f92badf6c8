"""A large set of shots on its way: sampled, checked, encoded, written, and read again."""

from __future__ import annotations

import os
import shutil
import tempfile
import tracemalloc
from pathlib import Path

import anyio
from qiskit import QuantumCircuit

from benchmarks.figures import MB, Figure, at_most, medians, seconds, show
from qcsc_loop import DirectoryStore, Samples
from qcsc_loop.sampling.random_bits import RandomSampler
from qcsc_loop.values.codec import Codec

SHOTS, BITS, REPEATS = 10_000_000, 156, 3
NAME = "samples"
ABOVE, SLOWER = 1.5, 3.0


class Way:
    """From the sampler to the disk and back, beside a copy of a file of the same size."""

    def __init__(self, folder: Path) -> None:
        self._codec: Codec[Samples] = Codec(Samples)
        self._store = DirectoryStore(folder / "store")
        self._plain, self._copy = folder / "plain", folder / "copy"
        self._circuit = QuantumCircuit(BITS, BITS)
        self._circuit.measure(range(BITS), range(BITS))
        self._drawn = self.sample()
        (bits,) = self._drawn.bits.values()
        self.size = bits.nbytes
        self._plain.write_bytes(bits.data)

    def sample(self) -> Samples:
        """Draws them; random bits are the fastest source there is."""

        async def draw() -> Samples:
            return await RandomSampler().sample(self._circuit, shots=SHOTS)

        return anyio.run(draw)

    def keep_drawn(self) -> None:
        """What the loop does with what a hook returned."""
        document, _ = self._codec.keep(self._drawn)
        self._store.write(NAME, document)

    def read_back(self) -> Samples:
        """What a resumed run does with what was kept."""
        return self._codec.decode(self._store.read(NAME))

    def all_of_it(self) -> None:
        """The same from the start, for the memory."""
        document, _ = self._codec.keep(self.sample())
        self._store.write(NAME, document)

    def copy(self) -> None:
        """The floor: the same bytes read and written, durably, beside the copy before it."""
        new = self._copy.with_suffix(".new")
        shutil.copyfile(self._plain, new)
        with new.open("rb+") as file:
            os.fsync(file.fileno())
        new.replace(self._copy)


def figures() -> list[Figure]:
    """Time beside a file copy's, and the memory above the set itself."""
    with tempfile.TemporaryDirectory() as folder:
        way = Way(Path(folder))
        found = medians(
            REPEATS,
            {
                "keep": lambda: seconds(way.keep_drawn),
                "back": lambda: seconds(way.read_back),
                "copy": lambda: seconds(way.copy),
            },
        )
        size, above = way.size / MB, _peak(way) - way.size / MB
    ratio = found["keep"] / found["copy"]
    return [
        Figure(
            "codec and store",
            found["keep"],
            "s",
            "file copy, fsync",
            found["copy"],
            at_most(SLOWER, ratio, " x"),
        ),
        Figure("read back", found["back"], "s", "file copy, fsync", found["copy"]),
        Figure("peak above it", above, "MB", "the set", size, at_most(ABOVE, above / size, " x")),
    ]


def _peak(way: Way) -> float:
    tracemalloc.start()
    way.all_of_it()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak / MB


if __name__ == "__main__":
    show(f"{SHOTS:,} shots of {BITS} bits", figures())

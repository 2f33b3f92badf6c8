"""All configurations that a run has sampled so far, each once."""

from __future__ import annotations

import numpy as np

from qcsc_hpc.mpi.bitcount import merge
from qcsc_loop.sampling.packing import num_bytes
from qcsc_loop.sampling.samples import Samples
from qcsc_loop.values.arrays import NDArray
from qcsc_loop.values.record import Record


class Pool(Record):
    """All configurations sampled so far.

    Attributes:
        rows: distinct shots, uint8 (distinct, ceil(bits / 8)), as a sampler packs them.
        counts: int64 (distinct,).
    """

    rows: NDArray
    counts: NDArray

    @classmethod
    def nothing(cls, norb: int) -> Pool:
        """Before the first shot."""
        return cls.of_width(2 * norb)

    @classmethod
    def of_width(cls, num_bits: int) -> Pool:
        """The same, for shots of so many bits."""
        rows = np.empty((0, num_bytes(num_bits)), np.uint8)
        return cls(rows=rows, counts=np.empty(0, np.int64))

    def with_samples(self, samples: Samples) -> Pool:
        """Together with the shots of one register. Blocks."""
        (shots,) = samples.bits.values()
        rows, counts = merge(
            np.concatenate([self.rows, shots]),
            np.concatenate([self.counts, np.ones(len(shots), np.int64)]),
        )
        return Pool(rows=rows, counts=counts)

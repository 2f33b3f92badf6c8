"""A sampler for qcsc-loop: coins that are not fair."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from anyio import to_thread
from pydantic import Field

from qcsc_loop import NDArray, Sampler, Samples, current_step

if TYPE_CHECKING:
    from qiskit import QuantumCircuit


class BiasedSampler(Sampler):
    """Each bit is 1 with the same probability, whatever the circuit does.

    Attributes:
        ones: that probability.
    """

    type: Literal["biased"] = "biased"
    ones: float = Field(default=0.5, ge=0, le=1)

    async def sample(self, circuit: QuantumCircuit, *, shots: int) -> Samples:
        current_step().spend(shots=shots)
        widths = {register.name: register.size for register in circuit.cregs}
        # the step's own generator: after a crash the same bits come again
        rng = current_step().rng
        bits = {
            name: await to_thread.run_sync(toss, rng, shots, width, self.ones)
            for name, width in widths.items()
        }
        provenance = {"source": self.type, "settings": self.model_dump(mode="json")}
        return Samples(bits=bits, num_bits=widths, shots=shots, provenance=provenance)


def toss(rng: np.random.Generator, shots: int, width: int, ones: float) -> NDArray:
    """Shots as Samples has them: a row each, packed big-endian, spare bits zero and first."""
    bits = rng.random((shots, width)) < ones
    return np.packbits(np.pad(bits, ((0, 0), (-width % 8, 0))), axis=1)

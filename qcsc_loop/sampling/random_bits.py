"""Random bits instead of a quantum computer: a control, and a source for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from anyio import to_thread

from qcsc_loop.sampling.batch import Batch
from qcsc_loop.sampling.packing import draw_bits, registers, require_asked
from qcsc_loop.sampling.provenance import sample_provenance
from qcsc_loop.sampling.sample_array import SampleArray
from qcsc_loop.sampling.sampler import Sampler
from qcsc_loop.sampling.samples import Samples
from qcsc_loop.steps.step import current_step

if TYPE_CHECKING:
    from qiskit import QuantumCircuit


class RandomSampler(Sampler):
    """Uniform random bits for every register, whatever the circuit does.

    What a quantum source has to beat: the same loop with this one is its control.
    """

    type: Literal["random"] = "random"

    async def sample(self, circuit: QuantumCircuit, *, shots: int) -> Samples:
        require_asked(circuit, shots)
        current_step().spend(shots=shots)
        rng, widths = current_step().rng, registers(circuit)
        bits = {
            name: await to_thread.run_sync(draw_bits, rng, shots, width)
            for name, width in widths.items()
        }
        return Samples(bits=bits, num_bits=widths, shots=shots, provenance=sample_provenance(self))

    async def sample_batch(self, batch: Batch, *, shots: int) -> SampleArray:
        current_step().spend(shots=shots * batch.size)
        rng, widths = current_step().rng, registers(batch.circuits[0])
        bits = {
            name: (await to_thread.run_sync(draw_bits, rng, shots * batch.size, width)).reshape(
                *batch.shape, shots, -1 if width else 0
            )
            for name, width in widths.items()
        }
        return SampleArray(
            shape=batch.shape,
            bits=bits,
            num_bits=widths,
            shots=shots,
            provenance=sample_provenance(self),
        )

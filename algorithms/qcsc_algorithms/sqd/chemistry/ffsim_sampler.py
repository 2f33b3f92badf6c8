"""Samples from ffsim: for circuits that conserve particle numbers, faster than any simulator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from anyio import to_thread
from pydantic import Field

from qcsc_loop.concurrency.worker import in_worker
from qcsc_loop.errors import SamplingFailed, WorkerDied
from qcsc_loop.sampling.compiling import circuit_facts
from qcsc_loop.sampling.identity import circuit_sha256
from qcsc_loop.sampling.packing import flip_bits, read_registers, require_asked
from qcsc_loop.sampling.provenance import sample_provenance
from qcsc_loop.sampling.sampler import Sampler
from qcsc_loop.sampling.samples import Samples
from qcsc_loop.steps.step import current_step

if TYPE_CHECKING:
    from qiskit import QuantumCircuit


class FfsimSampler(Sampler):
    """ffsim's sampler. The same step of the same run gives the same bits, in any process.

    It takes circuits that begin with the preparation of a determinant and conserve the number of
    electrons of each spin, such as `LUCJ.circuit`.

    Attributes:
        bit_flip: the probability with which each measured bit is flipped: noise.
        depolarizing: the probability with which a shot is uniformly random.
    """

    type: Literal["ffsim"] = "ffsim"
    bit_flip: float = Field(default=0.0, ge=0, le=1, description="readout noise, each bit alike")
    depolarizing: float = Field(default=0.0, ge=0, le=1, description="share of random shots")

    async def sample(self, circuit: QuantumCircuit, *, shots: int) -> Samples:
        require_asked(circuit, shots)
        step = current_step()
        step.spend(shots=shots)
        try:
            bits, widths, facts = await in_worker(
                _simulated, circuit, shots, step.seed, self.depolarizing
            )
        except WorkerDied as error:
            raise SamplingFailed("ffsim", str(error)) from error
        except Exception as error:  # ffsim raises whatever its parts raise
            raise SamplingFailed("ffsim", f"{type(error).__name__}: {error}") from error
        if self.bit_flip:
            rng = step.rng
            bits = {
                name: await to_thread.run_sync(flip_bits, rng, array, widths[name], self.bit_flip)
                for name, array in bits.items()
            }
        return Samples(
            bits=bits,
            num_bits=widths,
            shots=shots,
            provenance=sample_provenance(self, facts, package="ffsim", seed=step.seed),
        )


def _simulated(circuit: QuantumCircuit, shots: int, seed: int, depolarizing: float) -> Any:
    """Bits, widths, and what is to be known of the circuit."""
    from ffsim.qiskit import FfsimSampler as Simulator

    simulator = Simulator(seed=seed, global_depolarizing=depolarizing)
    bits, widths = read_registers(simulator.run([circuit], shots=shots).result()[0].data)
    facts = {"circuit_sha256": circuit_sha256(circuit), "circuit": circuit_facts(circuit)}
    return bits, widths, facts

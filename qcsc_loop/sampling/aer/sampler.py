"""Samples from the Aer simulator, on this machine."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

import anyio
from anyio import to_thread
from pydantic import Field

from qcsc_loop.concurrency.worker import call_in_worker
from qcsc_loop.errors import QcscLoopError, SamplingFailed
from qcsc_loop.parameters.operational import OPERATIONAL
from qcsc_loop.sampling.aer.simulator import aer_backend, simulate
from qcsc_loop.sampling.batch import Batch
from qcsc_loop.sampling.compiling import PassManagerReference, compile_once
from qcsc_loop.sampling.packing import flip_bits, read_arrays, read_registers, require_asked
from qcsc_loop.sampling.provenance import sample_provenance
from qcsc_loop.sampling.sample_array import SampleArray, in_shape
from qcsc_loop.sampling.sampler import Sampler
from qcsc_loop.sampling.samples import Samples
from qcsc_loop.steps.step import current_step

if TYPE_CHECKING:
    from qiskit import QuantumCircuit

Method = Literal[
    "automatic",
    "statevector",
    "density_matrix",
    "stabilizer",
    "matrix_product_state",
    "extended_stabilizer",
]


class AerSampler(Sampler):
    """Qiskit Aer. The same step of the same run gives the same bits, in any process.

    Attributes:
        method: Aer's simulation method; "automatic" takes the stabilizer one for Clifford circuits.
        noise_of: a fake backend, as "fake_manila": its noise, gates and coupling. A circuit of a
            dozen qubits takes minutes.
        bit_flip: the probability with which each measured bit is flipped: noise for any width.
        optimization_level: of qiskit's preset pass manager.
        threads: OpenMP threads; more than one is faster and still gives the same bits.
        timeout: seconds after which the simulation is killed; it then runs in a process of its own,
            which costs a second or two at first, as circuits of 20 qubits and more always do.
    """

    type: Literal["aer"] = "aer"
    method: Method = "automatic"
    noise_of: str = Field(default="", description="a fake backend's name, as fake_manila")
    bit_flip: float = Field(default=0.0, ge=0, le=1, description="readout noise, each bit alike")
    optimization_level: int = Field(default=1, ge=0, le=3)
    pass_manager: str = PassManagerReference
    threads: Annotated[int, OPERATIONAL] = Field(default=1, ge=1)
    timeout: Annotated[float | None, OPERATIONAL] = Field(default=None, gt=0)

    async def sample(self, circuit: QuantumCircuit, *, shots: int) -> Samples:
        require_asked(circuit, shots)
        step = current_step()
        step.spend(shots=shots)
        simulator = await to_thread.run_sync(self._simulator, circuit.num_qubits)
        try:
            ready = await to_thread.run_sync(
                compile_once, circuit, simulator, step, self.optimization_level, self.pass_manager
            )
            bits, widths = await self._simulated(ready, shots, step.seed)
        except QcscLoopError:
            raise
        except Exception as error:  # qiskit and Aer raise whatever their parts raise
            raise SamplingFailed("Aer", f"{type(error).__name__}: {error}") from error
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
            provenance=await to_thread.run_sync(
                partial(
                    sample_provenance, self, package="qiskit-aer", seed=step.seed, circuit=ready
                )
            ),
        )

    async def sample_batch(self, batch: Batch, *, shots: int) -> SampleArray:
        step = current_step()
        step.spend(shots=shots * batch.size)
        width = max(circuit.num_qubits for circuit in batch.circuits)
        simulator = await to_thread.run_sync(self._simulator, width)
        try:
            ready = [
                await to_thread.run_sync(
                    compile_once, each, simulator, step, self.optimization_level, self.pass_manager
                )
                for each in batch.circuits
            ]
            work = partial(self._run_pubs, batch.pubs(ready), shots, step.seed, width)
            results = await self._called(work, width)
        except QcscLoopError:
            raise
        except Exception as error:  # qiskit and Aer raise whatever their parts raise
            raise SamplingFailed("Aer", f"{type(error).__name__}: {error}") from error
        bits, widths, given = in_shape(results, batch.points, batch.shape)
        if self.bit_flip:
            rng = step.rng
            for name, rows in bits.items():
                flat = rows.reshape(-1, rows.shape[-1])
                call = partial(flip_bits, rng, flat, widths[name], self.bit_flip)
                bits[name] = (await to_thread.run_sync(call)).reshape(rows.shape)
        told = partial(
            sample_provenance, self, package="qiskit-aer", seed=step.seed, circuits=ready
        )
        return SampleArray(
            shape=batch.shape,
            bits=bits,
            num_bits=widths,
            shots=given,
            provenance=await to_thread.run_sync(told),
        )

    async def _simulated(self, circuit: QuantumCircuit, shots: int, seed: int) -> Any:
        """Bits and widths of one circuit."""
        return await self._called(partial(self._run, circuit, shots, seed), circuit.num_qubits)

    async def _called(self, work: partial[Any], num_qubits: int) -> Any:
        """What a simulation gives; by a thread, or by a process that can be killed."""
        if self.timeout is None:
            quick = self.method in ("stabilizer", "extended_stabilizer")
            width = 0 if quick else num_qubits
            return await simulate(work, num_qubits=width, threads=self.threads)
        with anyio.move_on_after(self.timeout):
            return await call_in_worker(work, threads=self.threads)
        raise SamplingFailed("Aer", f"the simulation took longer than {self.timeout:g} s")

    def _run(self, circuit: QuantumCircuit, shots: int, seed: int) -> Any:
        from qiskit_aer.primitives import SamplerV2

        simulator = self._simulator(circuit.num_qubits)
        job = SamplerV2.from_backend(simulator, seed=seed).run([circuit], shots=shots)
        return read_registers(job.result()[0].data)

    def _run_pubs(self, pubs: list[Any], shots: int, seed: int, num_qubits: int) -> Any:
        from qiskit_aer.primitives import SamplerV2

        simulator = self._simulator(num_qubits)
        job = SamplerV2.from_backend(simulator, seed=seed).run(pubs, shots=shots)
        results: Any = job.result()  # qiskit does not say that it can be gone through
        return [read_arrays(each.data) for each in results]

    def _simulator(self, num_qubits: int) -> Any:
        return aer_backend(self.method, self.threads, self.noise_of, num_qubits)

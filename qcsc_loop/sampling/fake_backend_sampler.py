"""A fake backend through the IBM client's local mode: a rehearsal without an account."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from anyio import to_thread
from pydantic import Field

from qcsc_loop.errors import QcscLoopError, SamplingFailed
from qcsc_loop.parameters.operational import OPERATIONAL
from qcsc_loop.sampling.batch import Batch
from qcsc_loop.sampling.compiling import PassManagerReference, compile_once
from qcsc_loop.sampling.fake_backends import fake_backend
from qcsc_loop.sampling.packing import (
    read_arrays,
    read_registers,
    require_asked,
    shots_of,
    surplus,
)
from qcsc_loop.sampling.provenance import sample_provenance
from qcsc_loop.sampling.sample_array import SampleArray, in_shape
from qcsc_loop.sampling.sampler import Sampler
from qcsc_loop.sampling.samples import Samples
from qcsc_loop.steps.step import Step, current_step

if TYPE_CHECKING:
    from qiskit import QuantumCircuit


class FakeBackendSampler(Sampler):
    """Samples of a fake backend, with its noise, through the code path of a real one.

    Attributes:
        backend: as "fake_manila". Wide ones are slow: 12 qubits took two minutes.
        options: of the IBM client's simulator, such as `noise_model`; checked by it.
    """

    type: Literal["fake-backend"] = "fake-backend"
    backend: str = "fake_manila"
    optimization_level: int = Field(default=1, ge=0, le=3)
    pass_manager: str = PassManagerReference
    threads: Annotated[int, OPERATIONAL] = Field(default=1, ge=1)

    async def sample(self, circuit: QuantumCircuit, *, shots: int) -> Samples:
        require_asked(circuit, shots)
        step = current_step()
        step.spend(shots=shots)
        return await to_thread.run_sync(self._run, circuit, shots, step, abandon_on_cancel=True)

    async def sample_batch(self, batch: Batch, *, shots: int) -> SampleArray:
        step = current_step()
        step.spend(shots=shots * batch.size)
        return await to_thread.run_sync(self._run_all, batch, shots, step, abandon_on_cancel=True)

    def _run_all(self, batch: Batch, shots: int, step: Step) -> SampleArray:
        ready, results = self._results(batch, shots, step)
        found = [read_arrays(result.data) for result in results]
        bits, widths, given = in_shape(found, batch.points, batch.shape)
        step.spend(shots=(given - shots) * batch.size)
        provenance = sample_provenance(
            self,
            surplus(shots, given),
            backend=self.backend,
            package="qiskit-ibm-runtime",
            seed=step.seed,
            circuits=ready,
        )
        return SampleArray(
            shape=batch.shape, bits=bits, num_bits=widths, shots=given, provenance=provenance
        )

    def _results(self, batch: Batch, shots: int, step: Step) -> tuple[list[QuantumCircuit], Any]:
        """The circuits as they were compiled, and each one's result."""
        from qiskit_ibm_runtime.executor_sampler import Sampler as IBMSampler

        try:
            backend: Any = fake_backend(self.backend)
            ready = [
                compile_once(each, backend, step, self.optimization_level, self.pass_manager)
                for each in batch.circuits
            ]
            backend.set_options(max_parallel_threads=self.threads)
            sampler = IBMSampler(mode=backend)
            sampler.options.simulator.seed_simulator = step.seed
            return ready, sampler.run(batch.pubs(ready), shots=shots).result()
        except QcscLoopError:
            raise
        except Exception as error:  # the client and Aer raise whatever their parts raise
            why = f"{type(error).__name__}: {error}"
            raise SamplingFailed(self.backend, why) from error

    def _run(self, circuit: QuantumCircuit, shots: int, step: Step) -> Samples:
        (ready,), results = self._results(Batch((circuit,), None, ()), shots, step)
        data = results[0].data
        bits, widths = read_registers(data)
        given = shots_of(bits)
        step.spend(shots=given - shots)
        return Samples(
            bits=bits,
            num_bits=widths,
            shots=given,
            provenance=sample_provenance(
                self,
                surplus(shots, given),
                backend=self.backend,
                package="qiskit-ibm-runtime",
                seed=step.seed,
                circuit=ready,
            ),
        )

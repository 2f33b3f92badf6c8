"""Samples from the Aer simulator, on this machine."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Annotated, Literal

from anyio import to_thread
from pydantic import Field

from qcsc_loop.errors import SamplingFailed
from qcsc_loop.operational import OPERATIONAL
from qcsc_loop.provenance import installed
from qcsc_loop.sampling.sampler import Sampler
from qcsc_loop.sampling.samples import Samples
from qcsc_loop.step import current_step

if TYPE_CHECKING:
    from qiskit import QuantumCircuit
    from qiskit.primitives.containers import DataBin

Method = Literal[
    "automatic", "statevector", "stabilizer", "matrix_product_state", "extended_stabilizer"
]


class AerSampler(Sampler):
    """Qiskit Aer. The same step of the same run gives the same bits, in any process.

    Attributes:
        method: Aer's simulation method; "automatic" takes the stabilizer one for Clifford circuits.
        optimization_level: of qiskit's preset pass manager.
        threads: OpenMP threads; more than one is faster and still gives the same bits.
    """

    type: Literal["aer"] = "aer"
    method: Method = "automatic"
    optimization_level: int = Field(default=1, ge=0, le=3)
    threads: Annotated[int, OPERATIONAL] = Field(default=1, ge=1)

    async def sample(self, circuit: QuantumCircuit, *, shots: int) -> Samples:
        seed = current_step().seed
        # the simulation is C++ that cannot be interrupted: do not make a Ctrl-C wait for it
        return await to_thread.run_sync(
            self._simulate, circuit, shots, seed, abandon_on_cancel=True
        )

    def _simulate(self, circuit: QuantumCircuit, shots: int, seed: int) -> Samples:
        # importing qiskit takes a second, and reading a run that sampled needs none of it
        from qiskit import qasm3
        from qiskit.transpiler import generate_preset_pass_manager
        from qiskit_aer import AerSimulator
        from qiskit_aer.primitives import SamplerV2

        try:
            simulator = AerSimulator(
                method=self.method,
                max_parallel_threads=self.threads,
                # else the width that a statevector of this machine's memory would allow
                n_qubits=circuit.num_qubits,
            )
            compiled = generate_preset_pass_manager(
                self.optimization_level, backend=simulator, seed_transpiler=seed
            ).run(circuit)
            job = SamplerV2.from_backend(simulator, seed=seed).run([compiled], shots=shots)
            data = job.result()[0].data
            program = qasm3.dumps(compiled)
        except Exception as error:  # qiskit and Aer raise whatever their parts raise
            raise SamplingFailed("Aer", f"{type(error).__name__}: {error}") from error
        return Samples(
            bits={name: register.array for name, register in _registers(data)},
            num_bits={name: register.num_bits for name, register in _registers(data)},
            shots=shots,
            provenance={
                "source": self.type,
                "settings": self.model_dump(mode="json"),
                "version": installed("qiskit-aer"),
                "seed": seed,
                "circuit_sha256": hashlib.sha256(program.encode()).hexdigest(),
            },
        )


def _registers(data: DataBin):  # type: ignore[no-untyped-def]  # qiskit types items as Any
    return data.items()

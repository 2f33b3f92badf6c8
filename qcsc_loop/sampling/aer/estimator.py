"""Expectation values from the Aer simulator, on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field

from qcsc_loop.errors import InvalidParameters, QcscLoopError, SamplingFailed
from qcsc_loop.sampling.aer.simulator import aer_backend, most_threads, simulate
from qcsc_loop.sampling.estimator import Estimates, Estimator
from qcsc_loop.sampling.identity import circuit_sha256
from qcsc_loop.sampling.provenance import sample_provenance
from qcsc_loop.steps.step import current_step

if TYPE_CHECKING:
    from qiskit import QuantumCircuit
    from qiskit.quantum_info import SparsePauliOp


SERIAL_QUBITS = 14  # Aer's own threshold: up to here one thread does all


class AerEstimator(Estimator):
    """Qiskit Aer: exact values, to which normal noise of the asked precision is added.

    The same step of the same run gives the same values, in any process.

    Attributes:
        method: Aer's simulation method.
        noise_of: a fake backend whose noise there is, as "fake_manila".
        threads: OpenMP threads. From 15 qubits on each number adds up in an order of its own, which
            changes the last bits: it is one of those parameters that change results.
    """

    type: Literal["aer-estimator"] = "aer-estimator"
    method: Literal["automatic", "statevector", "density_matrix", "matrix_product_state"] = (
        "automatic"
    )
    noise_of: str = ""
    threads: int = Field(default=1, ge=1)

    async def estimate(
        self,
        circuit: QuantumCircuit,
        observables: Sequence[SparsePauliOp],
        *,
        precision: float,
    ) -> Estimates:
        step = current_step()
        self._require_threads(circuit.num_qubits)
        work = partial(self._estimate, circuit, list(observables), precision, step.seed)
        return await simulate(work, num_qubits=circuit.num_qubits, threads=self.threads)

    def _require_threads(self, num_qubits: int) -> None:
        """Fewer threads than asked for, of which Aer says nothing, would give other bits."""
        most = most_threads()
        if num_qubits > SERIAL_QUBITS and self.threads > most:
            problem = (
                f"threads: {self.threads} are more than there are here ({most}: cores, or "
                "OMP_NUM_THREADS), and fewer would give other last bits"
            )
            raise InvalidParameters("aer-estimator", [problem], [])

    def _estimate(
        self,
        circuit: QuantumCircuit,
        observables: list[SparsePauliOp],
        precision: float,
        seed: int,
    ) -> Estimates:
        from qiskit import transpile
        from qiskit_aer.primitives import EstimatorV2

        try:
            backend = aer_backend(self.method, self.threads, self.noise_of, circuit.num_qubits)
            # simulated as it stands: only the gates are made Aer's own
            # by its target, taken once: Aer makes it anew each time it is asked for
            ready = transpile(circuit, target=backend.target, optimization_level=0)
            placed = [observable.apply_layout(ready.layout) for observable in observables]
            options = {"run_options": {"seed_simulator": seed}}
            job = EstimatorV2.from_backend(backend, options=options).run(
                [(ready, placed)], precision=precision
            )
            data: Any = job.result()[0].data  # its fields are made for each result
        except QcscLoopError:
            raise
        except Exception as error:  # qiskit and Aer raise whatever their parts raise
            raise SamplingFailed("Aer", f"{type(error).__name__}: {error}") from error
        return Estimates(
            values=np.asarray(data.evs, np.float64),
            standard_errors=np.asarray(data.stds, np.float64),
            provenance=sample_provenance(
                self,
                {"circuit_sha256": circuit_sha256(ready)},
                package="qiskit-aer",
                seed=seed,
            ),
        )

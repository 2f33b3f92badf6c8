"""Expectation values from the Aer simulator, on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from anyio import to_thread
from pydantic import Field

from qcsc_loop.errors import QcscLoopError, SamplingFailed
from qcsc_loop.parameters.operational import OPERATIONAL
from qcsc_loop.sampling.aer.simulator import aer_backend
from qcsc_loop.sampling.compiling import circuit_sha256
from qcsc_loop.sampling.estimator import Estimates, Estimator
from qcsc_loop.sampling.provenance import sample_provenance
from qcsc_loop.steps.step import Step, current_step

if TYPE_CHECKING:
    from qiskit import QuantumCircuit
    from qiskit.quantum_info import SparsePauliOp


class AerEstimator(Estimator):
    """Qiskit Aer: exact values, to which normal noise of the asked precision is added.

    The same step of the same run gives the same values, in any process.

    Attributes:
        method: Aer's simulation method.
        noise_of: a fake backend whose noise there is, as "fake_manila".
    """

    type: Literal["aer-estimator"] = "aer-estimator"
    method: Literal["automatic", "statevector", "density_matrix", "matrix_product_state"] = (
        "automatic"
    )
    noise_of: str = ""
    threads: Annotated[int, OPERATIONAL] = Field(default=1, ge=1)

    async def estimate(
        self,
        circuit: QuantumCircuit,
        observables: Sequence[SparsePauliOp],
        *,
        precision: float,
    ) -> Estimates:
        step = current_step()
        return await to_thread.run_sync(
            self._estimate, circuit, list(observables), precision, step, abandon_on_cancel=True
        )

    def _estimate(
        self,
        circuit: QuantumCircuit,
        observables: list[SparsePauliOp],
        precision: float,
        step: Step,
    ) -> Estimates:
        from qiskit import transpile
        from qiskit_aer.primitives import EstimatorV2

        try:
            backend = aer_backend(self.method, self.threads, self.noise_of, circuit.num_qubits)
            # simulated as it stands: only the gates are made Aer's own
            # by its target, taken once: Aer makes it anew each time it is asked for
            ready = transpile(circuit, target=backend.target, optimization_level=0)
            placed = [observable.apply_layout(ready.layout) for observable in observables]
            options = {"run_options": {"seed_simulator": step.seed}}
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
                seed=step.seed,
            ),
        )

"""The lowest energy of a spin chain in a small circuit: a loop that can be killed."""

from __future__ import annotations

import anyio
import numpy as np
import numpy.typing as npt
from qiskit.circuit.library import efficient_su2
from qiskit.primitives import StatevectorEstimator
from qiskit.quantum_info import SparsePauliOp

from qcsc_algorithms.minimization import Minimization
from qcsc_loop import MaxIterations

HAMILTONIAN = SparsePauliOp.from_list([("ZZ", 1.0), ("XI", 0.5), ("IX", 0.5)])
ANSATZ = efficient_su2(2, reps=1)
START = np.full(ANSATZ.num_parameters, 0.1)


def energy(angles: npt.NDArray[np.float64]) -> float:
    """Of the circuit at these angles."""
    job = StatevectorEstimator().run([(ANSATZ.assign_parameters(angles), HAMILTONIAN)])
    return float(job.result()[0].data["evs"])


class Energy(Minimization):
    async def value(self, parameters: npt.NDArray[np.float64]) -> float:
        return await anyio.to_thread.run_sync(energy, parameters)


if __name__ == "__main__":
    chain = Energy(start=tuple(START))
    found = anyio.run(lambda: chain.run(run_id="chain", stop=MaxIterations(300)))
    print(f"{found.state.best_value:.4f}")

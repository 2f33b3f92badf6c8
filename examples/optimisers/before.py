"""The lowest energy of a spin chain in a small circuit: a script around scipy's `minimize`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from qiskit.circuit.library import efficient_su2
from qiskit.primitives import StatevectorEstimator
from qiskit.quantum_info import SparsePauliOp
from scipy.optimize import minimize

HAMILTONIAN = SparsePauliOp.from_list([("ZZ", 1.0), ("XI", 0.5), ("IX", 0.5)])
ANSATZ = efficient_su2(2, reps=1)
START = np.full(ANSATZ.num_parameters, 0.1)


def energy(angles: npt.NDArray[np.float64]) -> float:
    """Of the circuit at these angles."""
    job = StatevectorEstimator().run([(ANSATZ.assign_parameters(angles), HAMILTONIAN)])
    return float(job.result()[0].data["evs"])


if __name__ == "__main__":
    found = minimize(energy, START, method="Nelder-Mead", options={"maxiter": 300})
    print(f"{found.fun:.4f}")

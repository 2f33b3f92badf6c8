"""A sum of Pauli strings among sampled bit strings, projected by qiskit-addon-sqd's `qubit` module."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from qcsc_algorithms.sqd.determinants.configurations import Strings, unique_rows

if TYPE_CHECKING:
    from qiskit.quantum_info import SparsePauliOp

MAX_QUBITS = 63
DENSE = 50  # bit strings whose matrix is diagonalised whole
IMAGINARY = 1e-10


class PauliState(NamedTuple):
    """The lowest eigenstate among bit strings.

    Attributes:
        energy: of the operator, whose terms with the identity count.
        rows: the distinct strings, uint8 (strings, ceil(qubits / 8)), ascending, as they were given.
        probabilities: float64 (strings,).
        residual: the norm of H|c> - E|c>.
    """

    energy: float
    rows: Strings
    probabilities: npt.NDArray[Any]
    residual: float


def lowest_pauli_state(hamiltonian: SparsePauliOp, rows: Strings) -> PauliState:
    """The lowest eigenstate in the space of these bit strings.

    Args:
        hamiltonian: Hermitian, of at most 63 qubits.
        rows: packed shots as a sampler gives them, qubit 0 in the last bit; repeated ones count once.

    Raises:
        ValueError: it is too wide, not Hermitian, or there is no string.
    """
    from qiskit_addon_sqd.qubit import project_operator_to_subspace

    qubits = int(hamiltonian.num_qubits or 0)
    if qubits > MAX_QUBITS:
        raise ValueError(f"Pauli strings on at most {MAX_QUBITS} qubits, not {qubits}")
    if not len(rows):
        raise ValueError("no bit string was sampled: there is no space to diagonalise in")
    imaginary = np.imag(np.array(hamiltonian.simplify().coeffs))
    if abs(imaginary).max(initial=0) > IMAGINARY:
        raise ValueError("a Hamiltonian's coefficients are real: this operator is not Hermitian")
    distinct, _, _ = unique_rows(rows)
    bits = np.unpackbits(distinct, axis=1)[:, -qubits:].astype(bool)
    projected: Any = project_operator_to_subspace(bits, hamiltonian)
    matrix = projected.tocsr()
    energy, vector = _lowest(matrix)
    residual = np.linalg.norm(matrix @ vector - energy * vector)
    return PauliState(energy, distinct, abs(vector) ** 2, float(residual))


def _lowest(matrix: Any) -> tuple[float, npt.NDArray[Any]]:
    size = matrix.shape[0]
    if size <= DENSE:
        values, vectors = np.linalg.eigh(matrix.toarray())
        return float(values[0]), vectors[:, 0]
    from scipy.sparse.linalg import eigsh

    # a start of its own would be random; that of all strings alike may miss a symmetry
    start = np.cos(np.arange(size) * np.sqrt(2)) + 1j * np.sin(np.arange(size) * np.sqrt(3))
    if abs(matrix.imag).nnz == 0:
        matrix, start = matrix.real, start.real
    values, vectors = eigsh(matrix, k=1, which="SA", v0=start)
    return float(values[0]), vectors[:, 0]

"""A sum of Pauli strings among sampled bit strings.

qiskit-addon-sqd's `qubit` module has such a projection. It is compiled anew for each number of bit
strings, which took 4 s of CPU, and takes powers of i in single precision: elements are off by 1e-7.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from qcsc_algorithms.sqd.determinants.configurations import Strings, as_integers, unique_rows

if TYPE_CHECKING:
    from qiskit.quantum_info import SparsePauliOp

MAX_QUBITS = 63  # a bit string is an integer
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
        ValueError: it is too wide, not Hermitian, or there is no string, or one of other qubits.
    """
    qubits = int(hamiltonian.num_qubits or 0)
    if qubits > MAX_QUBITS:
        raise ValueError(f"Pauli strings on at most {MAX_QUBITS} qubits, not {qubits}")
    if not len(rows):
        raise ValueError("no bit string was sampled: there is no space to diagonalise in")
    _require_qubits(rows, qubits)
    imaginary = np.imag(np.array(hamiltonian.simplify().coeffs))
    if abs(imaginary).max(initial=0) > IMAGINARY:
        raise ValueError("a Hamiltonian's coefficients are real: this operator is not Hermitian")
    distinct, _, _ = unique_rows(rows)
    matrix = projected(hamiltonian, as_integers(distinct))
    energy, vector = _lowest(matrix)
    residual = np.linalg.norm(matrix @ vector - energy * vector)
    return PauliState(energy, distinct, abs(vector) ** 2, float(residual))


def _require_qubits(rows: Strings, qubits: int) -> None:
    width = -(-qubits // 8)
    if rows.ndim != 2 or rows.shape[1] != width or rows.dtype != np.uint8:
        raise ValueError(
            f"packed bit strings of {qubits} qubits are uint8 (strings, {width}), not {rows.dtype} "
            f"{rows.shape}"
        )
    if np.any(rows[:, 0] >> (qubits - 8 * (width - 1))):
        raise ValueError(
            f"a bit string has a bit for each of the operator's {qubits} qubits, and some of these "
            "have more: pack those of these qubits alone"
        )


def projected(hamiltonian: SparsePauliOp, strings: npt.NDArray[np.int64]) -> Any:
    """The operator's matrix among bit strings, a sparse one; real where all its terms are.

    A Pauli string takes |b> to i^n (-1)^(ones of b under Y and Z) |b with those under X and Y
    flipped>, n being its Y. Strings that flip the same bits share one look-up.

    Args:
        strings: distinct ones, ascending.
    """
    from scipy.sparse import csr_matrix

    size = len(strings)
    masks, phases = _masks(hamiltonian)
    rows, columns, values = [], [], []
    for flips, group in masks.items():
        to = strings ^ flips
        there = np.minimum(np.searchsorted(strings, to), size - 1)
        found = np.flatnonzero(strings[there] == to)
        amplitudes = np.zeros(len(found), complex)
        for signs, number in group:
            odd = np.bitwise_count(strings[found] & signs) & 1
            amplitudes += phases[number] * (1 - 2 * odd.astype(float))
        rows.append(there[found])
        columns.append(found)
        values.append(amplitudes)
    entries: Any = np.concatenate(values)
    if not entries.imag.any():
        entries = entries.real
    place = np.concatenate(rows), np.concatenate(columns)
    return csr_matrix((entries, place), shape=(size, size))


def _masks(hamiltonian: SparsePauliOp) -> tuple[dict[int, list[tuple[int, int]]], list[complex]]:
    """By the bits that terms flip: the bits they take signs of, and which term it is; and phases."""
    powers = 1, 1j, -1, -1j
    coefficients: Any = hamiltonian.coeffs
    masks: dict[int, list[tuple[int, int]]] = {}
    phases: list[complex] = []
    for number, (flips, signs) in enumerate(
        zip(hamiltonian.paulis.x, hamiltonian.paulis.z, strict=True)
    ):
        masks.setdefault(_integer(flips), []).append((_integer(signs), number))
        phases.append(complex(coefficients[number]).real * powers[int((flips & signs).sum()) % 4])
    return masks, phases


def _integer(bits: npt.NDArray[np.bool_]) -> int:
    """Bit 0 first."""
    return sum(1 << int(bit) for bit in np.flatnonzero(bits))


def spectrum_ends(hamiltonian: SparsePauliOp) -> tuple[float, float]:
    """The lowest and the highest eigenvalue, exactly. Takes 2^qubits numbers: for a few qubits."""
    matrix = projected(hamiltonian, np.arange(2 ** int(hamiltonian.num_qubits or 0)))
    return _lowest(matrix)[0], -_lowest(-matrix)[0]


def _lowest(matrix: Any) -> tuple[float, npt.NDArray[Any]]:
    size = matrix.shape[0]
    if size <= DENSE:
        values, vectors = np.linalg.eigh(matrix.toarray())
        return float(values[0]), vectors[:, 0]
    from scipy.sparse.linalg import eigsh

    # a start of its own would be random; that of all strings alike may miss a symmetry
    start = np.cos(np.arange(size) * np.sqrt(2)) + 1j * np.sin(np.arange(size) * np.sqrt(3))
    if not np.iscomplexobj(matrix):
        start = start.real
    values, vectors = eigsh(matrix, k=1, which="SA", v0=start)
    return float(values[0]), vectors[:, 0]

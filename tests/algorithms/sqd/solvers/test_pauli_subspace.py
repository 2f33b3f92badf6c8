"""Pauli sums among bit strings, beside their matrices."""

from __future__ import annotations

import numpy as np
import pytest
from qiskit.quantum_info import SparsePauliOp

from qcsc_algorithms.sqd.solvers.pauli_subspace import (
    lowest_pauli_state,
    projected,
    spectrum_ends,
)


def heisenberg(sites: int) -> SparsePauliOp:
    terms = [
        (pauli * 2, [i, (i + 1) % sites], 1.0 + 0.1 * i) for i in range(sites) for pauli in "XYZ"
    ]
    return SparsePauliOp.from_sparse_list([*terms, ("Z", [0], 0.3)], sites)


def rows_of(numbers: np.ndarray, qubits: int) -> np.ndarray:
    wide = numbers.astype(">u4").reshape(-1, 1).view(np.uint8)
    return np.ascontiguousarray(wide[:, 4 - -(-qubits // 8) :])


@pytest.mark.parametrize(("qubits", "count"), [(6, 20), (9, 200), (9, 512), (10, 1)])
def test_it_is_the_lowest_state_of_the_matrix(qubits: int, count: int) -> None:
    rng = np.random.default_rng(qubits)
    chosen = rng.permutation(2**qubits)[:count]
    shots = np.concatenate([chosen, chosen[:5]])
    operator = heisenberg(qubits)
    matrix = operator.to_matrix()[np.ix_(np.sort(chosen), np.sort(chosen))]
    values, vectors = np.linalg.eigh(matrix)

    found = lowest_pauli_state(operator, rows_of(shots, qubits))

    assert found.energy == pytest.approx(values[0], abs=1e-9)
    assert found.residual < 1e-6
    assert len(found.rows) == count
    if count == 1 or values[1] - values[0] > 1e-3:
        np.testing.assert_allclose(found.probabilities, abs(vectors[:, 0]) ** 2, atol=1e-6)


def test_a_matrix_with_imaginary_elements_is_one() -> None:
    operator = SparsePauliOp(["XYZ", "YXI", "ZIY", "IIZ"], np.array([1.0, 0.7, -0.4, 0.2]))
    found = lowest_pauli_state(operator, rows_of(np.arange(8), 3))
    assert found.energy == pytest.approx(np.linalg.eigvalsh(operator.to_matrix())[0], abs=1e-9)


def test_what_cannot_be_solved_is_said() -> None:
    rows = rows_of(np.arange(3), 3)
    with pytest.raises(ValueError, match="not Hermitian"):
        lowest_pauli_state(SparsePauliOp(["XYZ"], np.array([1j])), rows)
    with pytest.raises(ValueError, match="no bit string was sampled"):
        lowest_pauli_state(SparsePauliOp(["XYZ"]), rows[:0])
    with pytest.raises(ValueError, match="at most 63 qubits, not 64"):
        lowest_pauli_state(SparsePauliOp(["X" * 64]), np.zeros((1, 8), np.uint8))


def test_its_matrix_is_qiskits_among_the_strings_and_its_ends_are_the_spectrums() -> None:
    operator = SparsePauliOp(
        ["XYZ", "YXI", "ZIY", "YYX", "IIZ"], np.array([1, 0.7, -0.4, 0.3, 0.2])
    )
    chosen = np.array([0, 1, 3, 4, 6])
    whole = operator.to_matrix()
    wanted = whole[np.ix_(chosen, chosen)]
    np.testing.assert_allclose(projected(operator, chosen).toarray(), wanted, atol=1e-14)
    values = np.linalg.eigvalsh(whole)
    assert spectrum_ends(operator) == pytest.approx((values[0], values[-1]))


@pytest.mark.parametrize(
    ("rows", "qubits", "why"),
    [
        ([[9]], 2, "a bit for each of the operator's 2 qubits, and some of these have more"),
        ([[1, 0], [2, 0]], 9, "operator's 9 qubits"),
        ([[0, 1]], 8, r"8 qubits are uint8 \(strings, 1\), not uint8 \(1, 2\)"),
        ([1, 2], 8, r"not uint8 \(2,\)"),
    ],
)
def test_bit_strings_of_other_qubits_are_refused(rows: list[object], qubits: int, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        lowest_pauli_state(SparsePauliOp(["X" * qubits]), np.array(rows, np.uint8))


@pytest.mark.parametrize("qubits", [1, 8, 9, 16, 63])
def test_the_highest_bit_string_is_one_of_the_qubits(qubits: int) -> None:
    full = np.packbits(np.pad(np.ones((1, qubits), bool), ((0, 0), (-qubits % 8, 0))), axis=1)
    assert lowest_pauli_state(SparsePauliOp(["Z" * qubits]), full).energy == (-1) ** qubits

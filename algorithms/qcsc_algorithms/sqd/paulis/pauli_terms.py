"""A sum of Pauli strings, as data that is stored once."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from qcsc_loop.values.arrays import NDArray
from qcsc_loop.values.record import Record

if TYPE_CHECKING:
    from qiskit.quantum_info import SparsePauliOp

# <P> of a qubit in each state of a product, by the letters of qiskit's Statevector.from_label
MEANS = {
    "0": {"X": 0.0, "Y": 0.0, "Z": 1.0},
    "1": {"X": 0.0, "Y": 0.0, "Z": -1.0},
    "+": {"X": 1.0, "Y": 0.0, "Z": 0.0},
    "-": {"X": -1.0, "Y": 0.0, "Z": 0.0},
    "r": {"X": 0.0, "Y": 1.0, "Z": 0.0},
    "l": {"X": 0.0, "Y": -1.0, "Z": 0.0},
}


class PauliTerms(Record):
    """Real coefficients of Pauli strings, in the order in which a product formula takes them.

    Attributes:
        labels: a letter I, X, Y or Z for each qubit, qubit 0 on the right.
        coefficients: float64 (terms,), in the Hamiltonian's unit.
    """

    labels: tuple[str, ...]
    coefficients: NDArray

    @property
    def num_qubits(self) -> int:
        """How many qubits each label has a letter for."""
        return len(self.labels[0])

    def operator(self) -> SparsePauliOp:
        """As qiskit has it, in this order."""
        from qiskit.quantum_info import SparsePauliOp

        return SparsePauliOp(list(self.labels), self.coefficients)

    def mean(self, product: str) -> float:
        """The energy of a product of one-qubit states, a letter for each; see `MEANS`."""
        total = 0.0
        for label, size in zip(self.labels, self.coefficients.tolist(), strict=True):
            means = (
                MEANS[state].get(pauli, 1.0) for pauli, state in zip(label, product, strict=True)
            )
            total += float(size) * math.prod(means)
        return total

    def width_at_most(self) -> float:
        """No two eigenvalues are further apart: twice the coefficients' sizes, identity left out."""
        sizes = zip(self.labels, self.coefficients.tolist(), strict=True)
        return 2 * float(sum(abs(size) for label, size in sizes if set(label) != {"I"}))

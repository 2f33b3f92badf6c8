"""Hamiltonians as coefficients of Pauli strings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
)

if TYPE_CHECKING:
    pass

# H2 in STO-3G at 0.735 angstrom: parity mapping, two qubits tapered off, as in Qiskit's tutorials,
# with the nuclear repulsion of 0.7199689945 hartree in II
HYDROGEN = {
    "II": -0.33240425132387933,
    "IZ": 0.39793742484318045,
    "ZI": -0.39793742484318045,
    "ZZ": -0.01128010425623538,
    "XX": 0.18093119978423156,
}


def _real(value: object) -> object:
    if isinstance(value, complex):
        raise ValueError("a Hermitian operator has real coefficients")
    return value


def _pauli_sum(terms: dict[str, float]) -> dict[str, float]:
    if wrong := [label for label in terms if not label or set(label) - set("IXYZ")]:
        raise ValueError(f"{wrong[0]!r} is no Pauli label: a letter I, X, Y or Z for each qubit")
    if len(widths := sorted({len(label) for label in terms})) > 1:
        raise ValueError(f"all labels have a letter for each qubit, and these have {widths}")
    if not any(set(label) - {"I"} for label in terms):
        raise ValueError("it has no term but the identity: there is nothing to minimise")
    return terms


Coefficient = Annotated[float, BeforeValidator(_real), Field(allow_inf_nan=False)]
PauliSum = Annotated[dict[str, Coefficient], AfterValidator(_pauli_sum)]
"""Coefficients by Pauli label, qubit 0 on the right, as Qiskit writes them."""

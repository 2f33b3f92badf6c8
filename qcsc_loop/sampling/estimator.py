"""Where expectation values come from, for loops that need no bitstrings."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

from qcsc_loop.parameters.resource import Resource
from qcsc_loop.plain import Json
from qcsc_loop.values.arrays import NDArray
from qcsc_loop.values.record import Record

if TYPE_CHECKING:
    from qiskit import QuantumCircuit
    from qiskit.quantum_info import SparsePauliOp


class Estimates(Record):
    """Expectation values of one circuit.

    Attributes:
        values: float64 (observables,), in the order in which they were given.
        standard_errors: float64 (observables,); 0 where a value is exact.
        provenance: as in `Samples`.
    """

    values: NDArray
    standard_errors: NDArray
    provenance: Json = {}


class Estimator(Resource, ABC):
    """Settings of a source of expectation values."""

    @abstractmethod
    async def estimate(
        self,
        circuit: QuantumCircuit,
        observables: Sequence[SparsePauliOp],
        *,
        precision: float,
    ) -> Estimates:
        """Expectation values of Hermitian observables in the state of a circuit without measurements.

        Draws on the current step's randomness alone, and never blocks the event loop.

        Args:
            precision: the standard error that is aimed at; 0: exact, where the source can be.

        Raises:
            SamplingFailed: the source gave no values.
        """

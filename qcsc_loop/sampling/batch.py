"""Several circuits that are asked for at once: one after the other, or one at many parameters."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from qcsc_loop.sampling.identity import by_names_of, circuit_bytes
from qcsc_loop.sampling.packing import registers, require_measured
from qcsc_loop.values.arrays import real_numbers

if TYPE_CHECKING:
    from qiskit import QuantumCircuit

Floats = npt.NDArray[np.float64]

_UNNAMED = re.compile(r"[a-z]+\d+")  # what qiskit calls registers that nobody named


@dataclass(frozen=True)
class Batch:
    """Circuits with the same classical registers, all at the same parameters.

    Attributes:
        circuits: at least one.
        parameters: float64 (*points, parameters), in the order of `circuit.parameters`; None: the
            circuits have none.
        shape: of the results: (circuits, *points), or (*points,) of a circuit that was given alone.
    """

    circuits: tuple[QuantumCircuit, ...]
    parameters: Floats | None
    shape: tuple[int, ...]

    @classmethod
    def of(
        cls,
        circuits: QuantumCircuit | Sequence[QuantumCircuit],
        parameters: npt.ArrayLike | None,
    ) -> Batch:
        """What a caller asks for, checked before it costs anything.

        Raises:
            NothingMeasured: nothing would be read of one.
            ValueError: there is none, registers differ, or parameters do not fit.
        """
        if isinstance(circuits, str | bytes):
            raise ValueError(f"what is sampled is circuits, not {circuits!r:.60}")
        several = tuple(circuits) if isinstance(circuits, Sequence) else (circuits,)
        if not several:
            raise ValueError("there are no circuits to sample: give at least one")
        for number, circuit in enumerate(several):
            require_measured(circuit)
            _require_same_registers(several[0], circuit, number)
        values = None if parameters is None else real_numbers(parameters, "parameters")
        for number, circuit in enumerate(several):
            _require_parameters(circuit, values, number)
        points = () if values is None else values.shape[:-1]
        shape = (len(several), *points) if isinstance(circuits, Sequence) else points
        if not math.prod(shape):
            raise ValueError(f"there is nothing to sample: the shape {shape} has no entry")
        return cls(several, values, shape)

    @property
    def points(self) -> tuple[int, ...]:
        """The shape of one circuit's results."""
        return () if self.parameters is None else self.parameters.shape[:-1]

    @property
    def size(self) -> int:
        """How many times shots are taken."""
        return math.prod(self.shape)

    @cached_property
    def fingerprint(self) -> bytes:
        """Equal for equal batches, in any process."""
        digest = hashlib.sha256(repr(self.shape).encode())
        for circuit in self.circuits:
            digest.update(hashlib.sha256(circuit_bytes(circuit)).digest())
        if self.parameters is not None:
            digest.update(np.ascontiguousarray(self.parameters, "<f8").tobytes())
        return digest.digest()

    def pubs(self, ready: Sequence[QuantumCircuit]) -> list[tuple[Any, ...]]:
        """For a primitive: the circuits as they were compiled, with their parameters.

        Compilation may have taken parameters out of a circuit that nothing depends on.
        """
        return [pub_of(*pair, self.parameters) for pair in zip(self.circuits, ready, strict=True)]

    def bound(self) -> list[QuantumCircuit]:
        """A circuit for each entry of the shape, in C order."""
        if self.parameters is None:
            return list(self.circuits)
        rows = self.parameters.reshape(-1, self.parameters.shape[-1])
        return [circuit.assign_parameters(row) for circuit in self.circuits for row in rows]

    def found_in(
        self, results: Sequence[tuple[Mapping[str, Any], Mapping[str, int]]]
    ) -> list[tuple[dict[str, Any], dict[str, int]]]:
        """Each circuit's results by register, in the order of its registers here."""
        return [
            (_in_order(circuit, bits), _in_order(circuit, widths))
            for circuit, (bits, widths) in zip(self.circuits, results, strict=True)
        ]


def _in_order(circuit: QuantumCircuit, found: Mapping[str, Any]) -> dict[str, Any]:
    mine = by_names_of(circuit, found)
    order = [register.name for register in circuit.cregs]
    return {name: mine[name] for name in order if name in mine}


def pub_of(given: QuantumCircuit, ready: QuantumCircuit, values: Floats | None) -> tuple[Any, ...]:
    """A compiled circuit with the values of those parameters that it still has."""
    if values is None:
        return (ready,)
    names = [parameter.name for parameter in given.parameters]
    return (ready, values[..., [names.index(parameter.name) for parameter in ready.parameters]])


def _require_same_registers(first: QuantumCircuit, other: QuantumCircuit, number: int) -> None:
    mine, theirs = list(registers(first).items()), list(registers(other).items())
    same = [width for _, width in mine] == [width for _, width in theirs] and all(
        one == two or (_UNNAMED.fullmatch(one) and _UNNAMED.fullmatch(two))
        for (one, _), (two, _) in zip(mine, theirs, strict=True)
    )
    if not same:
        raise ValueError(
            f"circuits that are sampled together have the same classical registers: the first has "
            f"{dict(mine)}, circuit {number} {dict(theirs)}. Sample them in calls of their own"
        )


def _require_parameters(circuit: QuantumCircuit, values: Floats | None, number: int) -> None:
    asked = circuit.num_parameters
    if values is None and asked:
        raise ValueError(
            f"circuit {number} has {asked} parameters without a value: give parameters, an array of "
            "shape (..., parameters), or bind them with assign_parameters()"
        )
    if values is not None and (not values.ndim or values.shape[-1] != asked):
        raise ValueError(
            f"circuit {number} has {asked} parameters, and the values have the shape {values.shape}: "
            "the last axis is one circuit's parameters, in the order of circuit.parameters"
        )
    if values is not None and not np.isfinite(values).all():
        raise ValueError("parameters are finite numbers, and these have NaN or infinity among them")

"""What differs between equal circuits of two processes, taken out of them.

Qiskit numbers circuits and registers as they are made, and gives each variable, stretch and parameter
a random UUID. A driver that resumes a run makes the same circuit anew, and has to find its job.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

if TYPE_CHECKING:
    from qiskit import QuantumCircuit
    from qiskit.circuit import Operation

_NUMBERED = re.compile(r"[a-z]+(\d+)")  # what qiskit calls registers that nobody named
_PLACED = re.compile(r"[a-z]:(\d+)")  # what we call them


def circuit_bytes(circuit: QuantumCircuit, *more: QuantumCircuit) -> bytes:
    """A circuit, or several, as QPY that is equal for equal circuits, in any process.

    An expression of several parameters, of which nothing can be run yet, is a parameter that is named
    after it: QPY writes the table of its symbols in a random order.
    """
    from qiskit import qpy

    plain = [_with_named_expressions(bare(each), {}) for each in (circuit, *more)]
    file = io.BytesIO()
    qpy.dump(plain, file)
    content = file.getvalue()
    for each in plain:
        for random, ours in _uuids(each).items():
            # as QPY writes them: nothing else in it has these sixteen bytes
            content = content.replace(random.bytes, ours.bytes)
    return content


def circuit_sha256(circuit: QuantumCircuit) -> str:
    """A hash that is equal for equal circuits, in any process."""
    return hashlib.sha256(circuit_bytes(circuit)).hexdigest()


def bare(circuit: QuantumCircuit) -> QuantumCircuit:
    """A copy without names that differ between equal circuits."""
    copy = _of_known_gates(_renamed(circuit))
    # its registers are written in any order, and no result depends on it
    copy._layout = None
    copy.name, copy.metadata = "", {}
    return copy


def by_names_of(circuit: QuantumCircuit, found: Mapping[str, Any]) -> dict[str, Any]:
    """What was found by register, under the names that the registers have in this process."""
    mine = [register.name for register in circuit.cregs]
    places = {name: _PLACED.fullmatch(name) for name in found if name not in mine}
    found = {
        mine[int(place[1])] if (place := places.get(name)) else name: value
        for name, value in found.items()
    }
    theirs = [name for name in found if name not in mine]
    unnamed = [name for name in mine if name not in found]
    if len(theirs) != len(unnamed) or not all(map(_NUMBERED.fullmatch, [*theirs, *unnamed])):
        return dict(found)
    names = dict(zip(sorted(theirs, key=_number), sorted(unnamed, key=_number), strict=True))
    return {names.get(name, name): value for name, value in found.items()}


def _number(name: str) -> int:
    numbered = _NUMBERED.fullmatch(name)
    return int(numbered[1]) if numbered else -1


def _renamed(circuit: QuantumCircuit, names: dict[str, str] | None = None) -> QuantumCircuit:
    """The circuit with registers that nobody named called by their place in it.

    Args:
        names: of registers of the circuit that this one is a block of; added to.
    """
    registers = [*circuit.qregs, *circuit.cregs]
    if not any(_NUMBERED.fullmatch(register.name) for register in registers):
        return circuit
    ours = {} if names is None else names
    for place, register in [*enumerate(circuit.qregs), *enumerate(circuit.cregs)]:
        if _NUMBERED.fullmatch(register.name):
            first = place if names is None else len(ours)
            ours.setdefault(register.name, f"{register.name[0]}:{first}")
    fresh = _with_registers(circuit, ours)
    fresh.compose(circuit, fresh.qubits, fresh.clbits, inplace=True, inline_captures=False)
    for number, part in enumerate(fresh.data):
        if blocks := getattr(part.operation, "blocks", ()):
            inner = part.operation.replace_blocks(_renamed(block, ours) for block in blocks)
            fresh.data[number] = part.replace(operation=inner)
    return fresh


def _with_registers(circuit: QuantumCircuit, names: Mapping[str, str]) -> QuantumCircuit:
    """No operations, on bits in the same order; in registers of these names."""
    from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
    from qiskit.circuit import Clbit, Qubit

    registers = [*circuit.qregs, *circuit.cregs]
    called = [names.get(register.name, register.name) for register in registers]
    kinds = [QuantumRegister] * len(circuit.qregs) + [ClassicalRegister] * len(circuit.cregs)
    if [bit for each in registers for bit in each] == [*circuit.qubits, *circuit.clbits]:
        sized = zip(kinds, registers, called, strict=True)
        return QuantumCircuit(*(kind(each.size, name) for kind, each, name in sized))
    # loose bits, or in several registers, or in another order, which blocks depend on
    fresh = QuantumCircuit([Qubit() for _ in circuit.qubits], [Clbit() for _ in circuit.clbits])
    same = dict(
        zip([*circuit.qubits, *circuit.clbits], [*fresh.qubits, *fresh.clbits], strict=True)
    )
    for kind, each, name in zip(kinds, registers, called, strict=True):
        fresh.add_register(kind(name=name, bits=[same[bit] for bit in each]))
    return fresh


def _with_named_expressions(circuit: QuantumCircuit, known: dict[str, Any]) -> QuantumCircuit:
    """The circuit with parameters for its expressions of several.

    Args:
        known: those that stand for one already, by name; added to.
    """
    if not any(map(_has_expressions, circuit.data)) and not _is_of_several(circuit.global_phase):
        return circuit
    named = circuit.copy_empty_like()
    named.global_phase = _named(circuit.global_phase, known)
    for part in circuit.data:
        if not _has_expressions(part):
            named.append(part)
            continue
        if blocks := getattr(part.operation, "blocks", ()):
            inner = (_with_named_expressions(block, known) for block in blocks)
            operation = part.operation.replace_blocks(inner)
        else:
            operation = part.operation.to_mutable()
            operation.params = [_named(parameter, known) for parameter in part.params]
        named.append(part.replace(operation=operation))
    return named


def _has_expressions(part: Any) -> bool:
    if any(map(_is_of_several, part.params)):
        return True
    blocks = getattr(part.operation, "blocks", ())
    return any(
        _is_of_several(block.global_phase) or any(map(_has_expressions, block.data))
        for block in blocks
    )


def _is_of_several(value: Any) -> bool:
    from qiskit.circuit import ParameterExpression

    is_expression: bool = isinstance(value, ParameterExpression)
    return is_expression and len(value.parameters) > 1


def _named(value: Any, known: dict[str, Any]) -> Any:
    from qiskit.circuit import Parameter

    if not _is_of_several(value):
        return value
    # as QPY has it: the operations in their order, with exact numbers
    steps = [[str(step.op), _operand(step.lhs), _operand(step.rhs)] for step in value._qpy_replay]
    name = f"expression {hashlib.sha256(json.dumps(steps).encode()).hexdigest()}"
    return known.setdefault(name, Parameter(name))


def _operand(value: object) -> list[str]:
    """A parameter, a number, or None for what an operation before gave."""
    return [type(value).__name__, str(getattr(value, "name", repr(value)))]


def _uuids(circuit: QuantumCircuit) -> dict[UUID, UUID]:
    """What every random identity stands for: its place among those of the circuit."""
    from qiskit.circuit import ParameterVectorElement

    ours: dict[UUID, UUID] = {}
    for thing in _identities(circuit):
        if isinstance(thing, ParameterVectorElement):  # its vector's, and its index
            root = UUID(int=thing.uuid.int - thing.index)
            ours.setdefault(root, _numbered(len(ours)))
            ours[thing.uuid] = UUID(int=ours[root].int + thing.index)
        else:
            ours.setdefault(
                thing.uuid if hasattr(thing, "uuid") else thing.var, _numbered(len(ours))
            )
    return ours


def _numbered(number: int) -> UUID:
    digest = hashlib.sha256(f"identity {number}".encode()).digest()
    # room for an index
    return UUID(bytes=digest[:12] + bytes(4))


def _identities(circuit: QuantumCircuit) -> Iterator[Any]:
    """Variables, stretches and parameters by their names, then those of blocks in their order."""
    own = [*circuit.iter_vars(), *circuit.iter_stretches(), *circuit.parameters]
    yield from sorted(own, key=lambda thing: thing.name)
    for part in circuit.data:
        for parameter in part.params:
            if hasattr(parameter, "uuid"):  # what a for loop counts with
                yield parameter
        for block in getattr(part.operation, "blocks", ()):
            yield from _identities(block)


def _of_known_gates(circuit: QuantumCircuit) -> QuantumCircuit:
    """A copy in gates of qiskit's own.

    Gates that were made of a circuit, or come from another library, are written by QPY in an order
    and under names that differ from process to process.
    """
    copy = circuit.copy()
    while made := {
        part.name
        for part in copy.data
        if not part.is_standard_gate() and _is_made(part.operation)  # cheapest first
    }:
        copy = copy.decompose(sorted(made))
    return copy


def _is_made(operation: Operation) -> bool:
    from qiskit.circuit import ControlledGate, Gate, Instruction

    kind: type = getattr(operation, "base_class", type(operation))
    own = kind.__module__.startswith("qiskit.") and kind not in (Instruction, Gate, ControlledGate)
    return not own and getattr(operation, "definition", None) is not None

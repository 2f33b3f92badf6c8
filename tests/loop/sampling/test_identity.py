"""Circuits that are made twice are the same circuit, whatever qiskit numbers or draws for them."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister, qpy
from qiskit.circuit import Parameter, ParameterVector
from qiskit.circuit.classical import expr, types
from qiskit.circuit.library import RZGate

from qcsc_loop.sampling.identity import by_names_of, circuit_bytes, circuit_sha256

Make = Callable[[], QuantumCircuit]


def with_variables() -> QuantumCircuit:
    circuit = QuantumCircuit(2, 2)
    names = [circuit.add_var(name, expr.lift(3, types.Uint(8))) for name in "dacb"]
    circuit.measure(0, 0)
    with circuit.if_test(expr.equal(names[0], names[2])):
        circuit.x(1)
        inner = circuit.add_var("inner", expr.lift(False))
        with circuit.if_test(inner):
            circuit.store(names[1], names[3])
    circuit.measure(1, 1)
    return circuit


def with_stretches() -> QuantumCircuit:
    circuit = QuantumCircuit(2, 2)
    first, second = circuit.add_stretch("first"), circuit.add_stretch("second")
    circuit.delay(second, 0)
    circuit.delay(expr.mul(2, first), 1)
    circuit.measure([0, 1], [0, 1])
    return circuit


def with_loops() -> QuantumCircuit:
    circuit = QuantumCircuit(2, 2)
    with circuit.for_loop(range(3), Parameter("turn")) as turn:
        circuit.rx(turn, 0)
    with circuit.while_loop((circuit.clbits[0], 1)):
        circuit.measure(0, 0)
    with circuit.switch(circuit.cregs[0]) as case, case(1):
        circuit.h(1)
    circuit.measure(1, 1)
    return circuit


def with_parameters() -> QuantumCircuit:
    circuit = QuantumCircuit(1, 1)
    angle, vector = Parameter("angle"), ParameterVector("vector", 3)
    circuit.rx(2 * angle, 0)
    circuit.rz(vector[2], 0)
    circuit.rz(vector[0], 0)
    circuit.measure(0, 0)
    return circuit


def with_expressions() -> QuantumCircuit:
    """Of several parameters each, one of them twice, and in a block."""
    x, y, z = (Parameter(name) for name in "xyz")
    vector = ParameterVector("v", 5)
    circuit = QuantumCircuit(2, 2, global_phase=x - y)
    circuit.rx(x * y + z / 3, 0)
    circuit.u(x * y + z / 3, (y + vector[1]).sin(), 0.1, 1)
    circuit.append(RZGate(sum(vector[k] * (k + 1) for k in range(5))).control(1), [0, 1])
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.rz(z - 2 * y, 1)
        with circuit.if_test((circuit.clbits[0], 1)):
            circuit.rz(x - y, 1)
    circuit.measure(1, 1)
    return circuit


def with_registers_without_names() -> QuantumCircuit:
    circuit = QuantumCircuit(
        QuantumRegister(1), QuantumRegister(2, "named"), ClassicalRegister(1), ClassicalRegister(2)
    )
    circuit.h(0)
    circuit.measure([0, 1, 2], [0, 1, 2])
    with circuit.if_test((circuit.cregs[1], 1)):
        circuit.x(0)
    return circuit


ALL: list[Make] = [
    with_variables,
    with_stretches,
    with_loops,
    with_parameters,
    with_expressions,
    with_registers_without_names,
]


@pytest.mark.parametrize("make", ALL)
def test_a_circuit_that_is_made_again_is_the_same(make: Make) -> None:
    assert len({circuit_sha256(make()) for _ in range(6)}) == 1


@pytest.mark.parametrize("make", ALL)
def test_a_circuit_without_its_identities_is_still_the_circuit(make: Make) -> None:
    circuit = make()
    (read,) = qpy.load(io.BytesIO(circuit_bytes(circuit)))
    assert read.count_ops() == circuit.count_ops()
    assert circuit_sha256(read) == circuit_sha256(circuit)


def test_the_hash_is_that_of_any_other_process() -> None:
    code = (
        "import sys; sys.path[:0] = sys.argv[1:]\n"
        "from loop.sampling.test_identity import ALL, circuit_sha256\n"
        "print(*(circuit_sha256(make()) for make in ALL))"
    )
    words = [sys.executable, "-c", code, str(Path(__file__).parents[2])]
    here = [circuit_sha256(make()) for make in ALL]
    for seed in ("0", "1", "random"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run(words, capture_output=True, text=True, check=True, env=environment)
        assert done.stdout.split() == here


@pytest.mark.parametrize(
    "other",
    [
        lambda x, y: x + y,
        lambda x, y: y - x,
        lambda x, y: 2 * (x - y),
        lambda x, y: (x - y) * (1 + 1e-6),
        lambda x, y: (x - y).sin(),
        lambda x, _: x - Parameter("z"),
        lambda x, _: x - Parameter("x - y"),
        lambda x, _: x - ParameterVector("y", 2)[0],
        lambda *_: Parameter("x - y"),
    ],
)
def test_another_expression_makes_another_circuit(other: Callable[..., Any]) -> None:
    x, y = Parameter("x"), Parameter("y")
    made = []
    for expression in (x - y, other(x, y)):
        circuit = QuantumCircuit(1)
        circuit.rx(expression, 0)
        made.append(circuit)
    assert circuit_sha256(made[0]) != circuit_sha256(made[1])


def test_variables_that_change_places_make_another_circuit() -> None:
    def stored(*, swapped: bool) -> QuantumCircuit:
        circuit = QuantumCircuit(1, 1)
        one, two = (circuit.add_var(name, expr.lift(False)) for name in "ab")
        circuit.store(*((two, one) if swapped else (one, two)))
        circuit.measure(0, 0)
        return circuit

    assert circuit_sha256(stored(swapped=True)) != circuit_sha256(stored(swapped=False))


def test_a_result_of_another_process_has_the_names_of_this_one() -> None:
    before, now = with_registers_without_names(), with_registers_without_names()
    theirs = {register.name: register.size for register in before.cregs}
    assert by_names_of(now, theirs) == {register.name: register.size for register in now.cregs}


def test_a_result_of_a_circuit_without_its_identities_has_the_names_of_the_circuit() -> None:
    circuit = with_registers_without_names()
    (read,) = qpy.load(io.BytesIO(circuit_bytes(circuit)))
    theirs = {register.name: register.size for register in read.cregs}
    assert theirs.keys().isdisjoint(register.name for register in circuit.cregs)
    assert by_names_of(circuit, theirs) == {r.name: r.size for r in circuit.cregs}


def test_names_that_somebody_gave_are_left_alone() -> None:
    circuit = QuantumCircuit(QuantumRegister(1), ClassicalRegister(1, "mine"))
    assert by_names_of(circuit, {"yours": 1}) == {"yours": 1}

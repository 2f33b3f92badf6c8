"""LUCJ circuits on a device: two lines of qubits, the same state, fewer gates."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.quantum_info import Statevector
from qiskit.transpiler import generate_preset_pass_manager

from qcsc_algorithms.sqd import LUCJ, lucj_layout
from qcsc_algorithms.sqd.chemistry.device_layout import NoLayout
from qcsc_loop.errors import InputError
from qcsc_loop.sampling.fake_backends import fake_backend


def circuit(norb: int, electrons: tuple[int, int]) -> Any:
    """Of random amplitudes."""
    filled, empty = electrons[0], norb - electrons[0]
    t2 = np.random.default_rng(1).normal(size=(filled, filled, empty, empty)) / 10
    t2 = t2 + t2.transpose(1, 0, 3, 2)
    ansatz = LUCJ()
    sizes: Any = type("Sizes", (), {"norb": norb, "electrons": electrons, "closed_shell": True})()
    parameters = ansatz.parameters(np.zeros((filled, empty)), t2, electrons)
    return ansatz.circuit(parameters, sizes)


def two_qubit_depth(compiled: Any) -> int:
    depth: int = compiled.depth(lambda gate: gate.operation.num_qubits == 2)
    return depth


def qubits_of(compiled: QuantumCircuit) -> list[int]:
    """Of the device, where each qubit of the circuit is in the end."""
    assert compiled.layout is not None
    return list(compiled.layout.final_index_layout())


def test_opposite_spins_meet_without_a_swap_on_a_large_device() -> None:
    device, given = fake_backend("fake_torino"), circuit(16, (5, 5))
    preset = generate_preset_pass_manager(3, backend=device, seed_transpiler=1).run(given)
    found = lucj_layout(device, 1).run(given)
    assert found.num_nonlocal_gates() < 0.95 * preset.num_nonlocal_gates()
    assert two_qubit_depth(found) < 0.7 * two_qubit_depth(preset)
    again = lucj_layout(device, 1).run(given)
    assert qubits_of(found) == qubits_of(again)


def test_the_state_is_that_of_the_circuit() -> None:
    given = circuit(2, (1, 1))
    found = lucj_layout(fake_backend("fake_nairobi"), 1).run(given)
    where = qubits_of(found)
    for each in (given, found):
        each.remove_final_measurements()
    wanted = Statevector(given).probabilities()
    np.testing.assert_allclose(Statevector(found).probabilities(where), wanted, atol=1e-9)


def test_a_device_without_two_such_lines_is_refused() -> None:
    with pytest.raises(
        NoLayout, match=r"fake_nairobi: it has no two such lines of 3 qubits\. Take"
    ):
        lucj_layout(fake_backend("fake_nairobi"), 1).run(circuit(3, (1, 1)))


def test_a_simulator_that_couples_all_is_refused() -> None:
    from qiskit_aer import AerSimulator

    with pytest.raises(InputError, match="couples all qubits with all"):
        lucj_layout(AerSimulator(), 1)

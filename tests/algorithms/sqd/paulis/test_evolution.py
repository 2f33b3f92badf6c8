"""Circuits of Pauli evolution, beside the exponential of the whole matrix."""

from __future__ import annotations

import numpy as np
import pytest
from qiskit.quantum_info import Statevector
from scipy.sparse.linalg import expm_multiply

from qcsc_algorithms.sqd.paulis.evolution import pauli_evolution, product_state
from qcsc_algorithms.sqd.paulis.pauli_model import Heisenberg

CHAIN = Heisenberg(sites=4, x=0.7, field=0.3).terms()
START = "01+l"


def lost(steps: int, time_step: float, trotter_steps: int, order: int = 2) -> float:
    """How far the circuit's state is from that at steps times the time."""
    circuit = pauli_evolution(START, CHAIN, steps, time_step, trotter_steps, order)
    circuit.remove_final_measurements()
    matrix = CHAIN.operator().to_matrix(sparse=True)
    start = Statevector.from_label(START).data
    exact = expm_multiply(-1j * steps * time_step * matrix, start, traceA=0.0)
    return float(1 - abs(np.vdot(exact, Statevector(circuit).data)) ** 2)


@pytest.mark.parametrize("label", ["01", "+-", "rl", "1r0-"])
def test_products_are_qiskits(label: str) -> None:
    found, wanted = Statevector(product_state(label)), Statevector.from_label(label)
    assert abs(np.vdot(found.data, wanted.data)) == pytest.approx(1)


@pytest.mark.parametrize("steps", [0, 1, 3])
def test_the_state_after_k_steps_is_that_of_k_times_the_time(steps: int) -> None:
    # a formula whose time is divided by its repeats once more gives an earlier state
    assert lost(steps, 0.1, 10) < 1e-5


@pytest.mark.parametrize("order", [1, 2])
def test_more_trotter_steps_come_closer_as_the_order_says(order: int) -> None:
    few, more = lost(2, 0.2, 2, order), lost(2, 0.2, 4, order)
    assert few / more == pytest.approx(4**order, rel=0.4)


def test_a_step_of_a_chain_is_as_deep_for_many_spins_as_for_few() -> None:
    short, long = (
        pauli_evolution("0" * n, Heisenberg(sites=n).terms(), 1, 0.1, 1, 1) for n in (6, 12)
    )
    assert short.depth() == long.depth()

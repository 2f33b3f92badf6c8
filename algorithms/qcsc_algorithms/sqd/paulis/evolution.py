"""Circuits of a product state that evolves in time under a sum of Pauli strings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qcsc_algorithms.sqd.paulis.pauli_terms import PauliTerms

if TYPE_CHECKING:
    from qiskit import QuantumCircuit


def product_state(letters: str) -> QuantumCircuit:
    """A state of each qubit, as qiskit's labels of states: 0, 1, +, -, r, l; qubit 0 on the right."""
    from qiskit import QuantumCircuit

    circuit = QuantumCircuit(len(letters))
    for qubit, letter in enumerate(reversed(letters)):
        if letter in "1-":
            circuit.x(qubit)
        if letter in "+-rl":
            circuit.h(qubit)
        if letter in "rl":
            (circuit.s if letter == "r" else circuit.sdg)(qubit)
    return circuit


def pauli_evolution(
    start: str, terms: PauliTerms, steps: int, time_step: float, trotter_steps: int, order: int
) -> QuantumCircuit:
    """The measured circuit of a product state after so many time steps.

    Args:
        start: as for `product_state`.
        steps: 0: the state itself.
        time_step: in hbar by the Hamiltonian's unit.
        trotter_steps: in each time step.
        order: of the product formula: 1, Lie and Trotter's, or 2, the symmetric one.
    """
    from qiskit.circuit.library import PauliEvolutionGate
    from qiskit.synthesis import LieTrotter, SuzukiTrotter

    circuit = product_state(start)
    if steps:
        repeats = steps * trotter_steps
        formula = LieTrotter(reps=repeats) if order == 1 else SuzukiTrotter(order=2, reps=repeats)
        # the formula divides this time by its repeats
        gate = PauliEvolutionGate(terms.operator(), time=steps * time_step)
        circuit.compose(formula.synthesize(gate), inplace=True)
    circuit.measure_all()
    return circuit

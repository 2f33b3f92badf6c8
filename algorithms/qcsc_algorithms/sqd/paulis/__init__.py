"""Hamiltonians of qubits: sums of Pauli strings, and circuits that evolve by them."""

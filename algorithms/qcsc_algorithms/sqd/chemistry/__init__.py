"""Molecules, their Hamiltonians and reference energies, and circuits for them."""

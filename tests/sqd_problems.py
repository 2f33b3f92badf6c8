"""Molecules and subspaces of a size that every eigensolver's program solves in a second."""

from __future__ import annotations

from functools import cache
from itertools import combinations
from typing import Any

import numpy as np

from qcsc_algorithms.sqd.chemistry.hamiltonian import Hamiltonian
from qcsc_algorithms.sqd.chemistry.system import Molecule
from qcsc_algorithms.sqd.determinants.configurations import Strings, as_integers, from_integers
from qcsc_algorithms.sqd.determinants.subspace import Subspace
from qcsc_algorithms.sqd.solvers.selected_ci import lowest_state

CLOSED = Molecule(frozen_core=1)
CATION = Molecule(frozen_core=1, charge=1, spin=1)
HYDROGEN = Molecule(geometry="H 0 0 0; H 0 0 0.735", basis="sto-3g")
MOLECULES = {"closed": CLOSED, "cation": CATION, "hydrogen": HYDROGEN}
STRINGS = {"closed": (40, 40), "cation": (40, 33), "hydrogen": (2, 2)}


@cache
def hamiltonian(name: str) -> Hamiltonian:
    return MOLECULES[name].hamiltonian()


@cache
def subspace(name: str) -> Subspace:
    """The Hartree-Fock string, then others of few excitations; not in their order."""
    h = hamiltonian(name)
    alpha, beta = (
        _strings(h.norb, n, count) for n, count in zip(h.electrons, STRINGS[name], strict=True)
    )
    return Subspace(alpha=alpha, beta=beta)


def _strings(norb: int, electrons: int, count: int) -> Strings:
    every = [sum(1 << p for p in chosen) for chosen in combinations(range(norb), electrons)]
    first, rest = every[0], every[1:]
    excitations = [(value & ~first).bit_count() for value in rest]
    near = np.array(rest)[np.argsort(excitations, kind="stable")][: count - 1]
    shuffled = np.random.default_rng(7).permutation(near)
    return from_integers(np.concatenate([[first], shuffled]), norb)


@cache
def expected(name: str) -> dict[str, Any]:
    """By pyscf, to its rounding."""
    h, space = hamiltonian(name), subspace(name)
    found = lowest_state(
        {
            "one_body": np.array(h.one_body),
            "two_body": np.array(h.two_body),
            "electrons": np.array(h.electrons),
            "alpha": as_integers(space.alpha),
            "beta": as_integers(space.beta),
            "tolerance": np.array(1e-14),
            "max_cycles": np.array(200),
            "threads": np.array(1),
            "spin_square": np.array(np.nan),
        }
    )
    return {**found, "energy": float(found["energy"]) + h.constant}

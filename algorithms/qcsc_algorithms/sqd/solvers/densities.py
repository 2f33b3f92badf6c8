"""Reduced density matrices of a state over pairs of strings."""

from __future__ import annotations

from typing import Any

import numpy as np

from qcsc_algorithms.sqd.determinants.configurations import as_integers
from qcsc_algorithms.sqd.solvers.compiling import compiled
from qcsc_algorithms.sqd.solvers.product_space import ProductSpace
from qcsc_algorithms.sqd.solvers.string_tables import Counts, Floats, Moves


def one_body_density(space: ProductSpace, state: Floats) -> Floats:
    """<a+(p) a(q)> of alpha and of beta electrons, float64 (2, norb, norb), symmetric.

    Args:
        state: float64 (beta strings, alpha strings), normalised.
    """
    density = np.zeros((2, *space.integrals.one_body.shape))
    turned = np.ascontiguousarray(state.T)
    for spin, (own, vector) in enumerate(((space.alpha, turned), (space.beta, state))):
        share = (vector * vector).sum(axis=1)
        np.fill_diagonal(density[spin], np.add.reduce(own.occupied * share[:, None]))
        _add_coherences(vector, own.moves, own.pairs, density[spin])
    return density


def two_body_density(space: ProductSpace, state: Floats) -> Floats:
    """<a+(p) a+(r) a(s) a(q)>, summed over spins, float64 (norb,) * 4 in the order p, q, r, s.

    By pyscf on one thread, to 63 orbitals; the energy is the trace with (pq|rs), halved.
    """
    from pyscf import lib
    from pyscf.fci import selected_ci

    alpha, beta = (as_integers(strings) for strings in space.strings)
    orders = np.argsort(alpha, kind="stable"), np.argsort(beta, kind="stable")
    amplitudes = np.ascontiguousarray(state.T[np.ix_(*orders)])
    wrap: Any = selected_ci._as_SCIvector
    vector = wrap(amplitudes, (alpha[orders[0]], beta[orders[1]]))
    norb = len(space.integrals.one_body)
    make: Any = selected_ci.make_rdm2
    with lib.with_omp_threads(1):  # on more it sums in another order
        return np.asarray(make(vector, norb, space.electrons))


@compiled
def _add_coherences(vector: Floats, moves: Moves, pairs: Counts, density: Floats) -> None:
    """Adds what is beside the diagonal, of the rows' spin."""
    p = 0
    for number in range(len(pairs)):
        while (p + 1) * (p + 2) // 2 <= pairs[number]:
            p += 1
        q = pairs[number] - p * (p + 1) // 2
        total = 0.0
        for t in range(moves.first[number], moves.first[number + 1]):
            if moves.upward[t]:
                overlap = 0.0
                for k in range(vector.shape[1]):
                    overlap += vector[moves.to[t], k] * vector[moves.source[t], k]
                total += moves.sign[t] * overlap
        density[p, q] = density[q, p] = total

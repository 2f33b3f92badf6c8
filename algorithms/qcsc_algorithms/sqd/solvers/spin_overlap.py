"""S^2 of a state whose alpha and beta orbitals differ, from its density matrices and their overlap."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

MAX_ORBITALS = 63


def spin_square_by_overlap(
    amplitudes: Floats,
    strings: tuple[Any, Any],
    norb: int,
    electrons: tuple[int, int],
    overlap: Floats,
) -> float:
    """<S^2>, on one thread: by pyscf's density matrices, which sum in another order on more.

    S^2 is Sz (Sz + 1) and S- S+, where S+ turns a beta electron's spin and leaves it where it is; in
    orbitals of each spin that is a sum over alpha orbitals, by their overlap S with it: the
    expectation value is Sz (Sz + 1), and the beta electrons, less the sum of
    S_pq S_rs <a+(p) a(r) b+(s) b(q)>. Frozen orbitals count as filled ones.

    Args:
        amplitudes: float64 (alpha strings, beta strings), normalised.
        strings: int64, ascending.
        overlap: float64 (frozen + norb, frozen + norb), as of `BetaIntegrals`; empty if not known.

    Returns:
        NaN if the overlap is not known, or there are more than 63 orbitals.
    """
    if not overlap.size or norb > MAX_ORBITALS:
        return math.nan
    from pyscf import lib
    from pyscf.fci import selected_ci
    from threadpoolctl import threadpool_limits

    wrap: Any = selected_ci._as_SCIvector
    solver: Any = selected_ci.SelectedCI()
    with threadpool_limits(1), lib.with_omp_threads(1):
        vector = wrap(np.ascontiguousarray(amplitudes), strings)
        (alpha, beta), (_, both, _) = solver.make_rdm12s(vector, norb, electrons)
        return _expectation(alpha, beta, both, overlap, electrons)


def _expectation(
    alpha: Floats, beta: Floats, both: Floats, overlap: Floats, electrons: tuple[int, int]
) -> float:
    """From densities of one and of two electrons; pyscf's `both` is <a+(p) a(q) b+(r) b(s)>."""
    frozen = len(overlap) - len(alpha)
    core, active = slice(None, frozen), slice(frozen, None)
    inner = overlap[active, active]
    turned = np.einsum("pq,rs,prsq->", inner, inner, both, optimize=True)
    turned += np.square(overlap[core, core]).sum()
    turned += np.einsum("iq,is,sq->", overlap[core, active], overlap[core, active], beta)
    turned += np.einsum("pj,rj,pr->", overlap[active, core], overlap[active, core], alpha)
    spin = (electrons[0] - electrons[1]) / 2
    return float(spin * (spin + 1) + electrons[1] + frozen - turned)

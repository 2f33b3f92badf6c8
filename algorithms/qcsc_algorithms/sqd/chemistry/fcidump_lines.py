"""What lines of an FCIDUMP say: a value and four indices each, made into arrays of integrals."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

SAME = 1e-7  # hartree: two values of one integral that differ by rounding


def one_body(values: Floats, indices: Indices, norb: int) -> Floats:
    """Float64 (norb, norb), symmetric."""
    chosen = (indices[:, :2] > 0).all(axis=1) & (indices[:, 2:] == 0).all(axis=1)
    p, q = (indices[chosen, :2] - 1).T
    matrix = np.full((norb, norb), np.nan)
    set_once(matrix, (np.maximum(p, q), np.minimum(p, q)), values[chosen], "one-electron")
    lower: Floats = np.nan_to_num(matrix)
    whole: Floats = lower + np.tril(lower, -1).T
    return whole


def require_known_lines(indices: Indices) -> None:
    """Refuses lines that are neither integrals, nor orbital energies, nor the core's."""
    some = (indices > 0).sum(axis=1)
    wrong = (some == 3) | ((some == 2) & ~(indices[:, :2] > 0).all(axis=1))
    wrong |= (some == 1) & (indices[:, 0] == 0)
    if wrong.any():
        raise ValueError(f"has a line with the indices {indices[wrong][0].tolist()}")


def two_body(values: Floats, indices: Indices, norb: int) -> Floats:
    """Each of eight equal ones once."""
    chosen = (indices > 0).all(axis=1)
    p, q, r, s = (indices[chosen] - 1).T
    bra, ket = pair(p, q), pair(r, s)
    count = norb * (norb + 1) // 2
    packed = np.full(count * (count + 1) // 2, np.nan)
    set_once(packed, (pair(bra, ket),), values[chosen], "two-electron")
    whole: Floats = np.nan_to_num(packed)
    return whole


def mixed_body(values: Floats, indices: Indices, norb: int) -> Floats:
    """Of two alpha and two beta orbitals, float64 (pairs, pairs): each of four equal ones once."""
    chosen = (indices > 0).all(axis=1)
    p, q, r, s = (indices[chosen] - 1).T
    _require_both_triangles(values[chosen], pair(p, q) - pair(r, s))
    table = np.full((norb * (norb + 1) // 2,) * 2, np.nan)
    set_once(table, (pair(p, q), pair(r, s)), values[chosen], "two-electron")
    whole: Floats = np.nan_to_num(table)
    return whole


def _require_both_triangles(values: Floats, offsets: Indices) -> None:
    """Refuses integrals of which those with two equal ones more were left out: they have one."""
    beside = offsets[values != 0]
    if beside.any() and ((beside >= 0).all() or (beside <= 0).all()):
        raise ValueError(
            "has one triangle of the integrals between alpha and beta orbitals: (pq|rs) and (rs|pq) "
            "differ where the spins' orbitals do; write both"
        )


def pair(p: Indices, q: Indices) -> Indices:
    """Where two orbitals stand in a packed lower triangle."""
    high, low = np.maximum(p, q), np.minimum(p, q)
    found: Indices = high * (high + 1) // 2 + low
    return found


def set_once(target: Floats, where: tuple[Indices, ...], values: Floats, kind: str) -> None:
    """Writes values; equal ones may come twice, as files without the symmetry have them."""
    target[where] = values
    off = np.abs(target[where] - values)
    if (off > SAME).any():
        first = int(np.flatnonzero(off > SAME)[0])
        raise ValueError(
            f"says a {kind} integral twice, as {values[first]:.9g} and as "
            f"{target[where][first]:.9g}: it is not of real orbitals"
        )

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


def require_whole(indices: Indices, norb: int, whole_line: bool) -> None:
    """Refuses a file that was cut off, as far as that can be seen.

    Zeros may be left out. But a line without indices at the end says that nothing is missing; and
    without it, blocks of integrals end with the last orbital's.
    """
    one, two = indices[(indices[:, 1] > 0) & (indices[:, 2] == 0), :2], indices[indices[:, 3] > 0]
    used = np.unique(two)
    lost = used[~np.isin(used, one)]
    integrals = indices[(indices[:, 1] > 0) | ~indices.any(axis=1)]
    ended = len(integrals) > 0 and not integrals[-1].any()
    cut = not ended and (not whole_line or _lacks_its_last(one, norb) or _lacks_its_last(two, norb))
    if len(lost) or cut:
        which = (
            f"orbital {lost[0]} has no one-electron integrals"
            if len(lost)
            else "the last are missing"
        )
        raise ValueError(f"is no whole FCIDUMP: {which}; was it cut off?")


def _lacks_its_last(block: Indices, norb: int) -> bool:
    """Whether all orbitals but the last one have an integral with themselves, more than one."""
    alone = np.unique(block[(block == block[:, :1]).all(axis=1)]) if len(block) else block
    return norb > 2 and np.array_equal(alone, np.arange(1, norb))  # 1: an impurity's repulsion


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
    table = np.full((norb * (norb + 1) // 2,) * 2, np.nan)
    set_once(table, (pair(p, q), pair(r, s)), values[chosen], "two-electron")
    whole: Floats = np.nan_to_num(table)
    return whole


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

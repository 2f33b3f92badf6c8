"""Whether a file was cut off, as far as its lines tell.

Zeros may be left out, so that a line that is not there says little. A core energy at the end says
that nothing is missing. Without it, what is there has to be complete: a molecule's orbitals all have
levels, and repel themselves. Models need not: of an impurity's orbitals few do, of free electrons none.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from qcsc_algorithms.sqd.chemistry.fcidump_lines import Floats, Indices, pair

Chosen = npt.NDArray[np.bool_]

LEFT_OUT = 1e-6  # hartree: what programs leave out is smaller
NAMED = 6  # orbitals in a sentence
END = "or put the core energy at the end"


def require_whole(
    values: Floats, indices: Indices, norb: int, whole_line: bool, *, of_spin: bool = False
) -> tuple[str, ...]:
    """What may be missing, in sentences, where it cannot be known.

    Args:
        whole_line: whether the last line has an end.
        of_spin: whether orbitals are of one spin each, and need not repel themselves.

    Raises:
        ValueError: the file was cut off.
    """
    one = indices[(indices[:, 1] > 0) & (indices[:, 2] == 0), :2]
    two = indices[:, 3] > 0
    _require_one_body(one, indices[two])
    integrals = indices[(indices[:, 1] > 0) | ~indices.any(axis=1)]
    ended = not integrals[-1].any()
    unused = _without(np.concatenate([one.ravel(), indices[two].ravel()]), norb)
    if not ended:
        _require_last(one, indices[two], norb, whole_line)
        if len(unused):
            raise ValueError(_cut(f"orbital {unused[0]} has no integrals", unused[0], 2))
        core = np.abs(values[~indices.any(axis=1)]).max(initial=0.0)
        if not two.any() and core > 0:
            raise ValueError(_cut("there are no two-electron integrals", 1, 4))
        _require_molecule(values[two], indices[two], one, norb)
    remarks = [*_remarks(indices[two], unused, norb, ended, of_spin)]
    if two.any() and indices.any(axis=1).all() and _beyond_models(values[two], indices[two]):
        remarks.append("there is no core energy, the nuclei's with it: it is taken to be 0")
    return tuple(remarks)


def _remarks(two: Indices, unused: Indices, norb: int, ended: bool, of_spin: bool) -> Iterator[str]:
    wrong = "; if the file was cut off there, what is computed is wrong"
    if len(unused):
        yield f"{_named(unused)} in no integral{wrong}"
    if not len(two):
        yield f"there are no two-electron integrals, so that electrons do not repel each other{wrong}"
        return
    lacking = _without(_alone(two), norb)
    if not ended and len(lacking) and not (of_spin and len(lacking) == norb):
        yield f"{_named(lacking)} without repulsion in itself, as of an impurity's bath{wrong}"


def _require_one_body(one: Indices, two: Indices) -> None:
    if not len(one) and not len(two):
        raise ValueError("is no whole FCIDUMP: it has no integrals; was it cut off?")
    used = np.unique(two)
    lost = used[~np.isin(used, one)]
    if len(lost):
        which = f"orbital {lost[0]} has no one-electron integrals"
        raise ValueError(_cut(which, lost[0], 2, also=""))


def _require_last(one: Indices, two: Indices, norb: int, whole_line: bool) -> None:
    if not whole_line or _lacks_its_last(one, norb) or _lacks_its_last(two, norb):
        raise ValueError("is no whole FCIDUMP: the last are missing; was it cut off?")


def _lacks_its_last(block: Indices, norb: int) -> bool:
    """Whether all orbitals but the last one have an integral with themselves, more than one."""
    return norb > 2 and np.array_equal(_alone(block), np.arange(1, norb))  # 1: an impurity


def _require_molecule(values: Floats, two: Indices, one: Indices, norb: int) -> None:
    """Refuses some of a molecule's integrals, and those that others have to be beside."""
    repelled = _alone(two)
    if not len(repelled):
        return
    molecule = _beyond_models(values, two)
    lacking = _without(repelled, norb)
    if molecule and len(lacking):
        which = f"{_named(lacking)} without repulsion in itself"
        raise ValueError(_cut(which, lacking[0], 4))
    level = _without(_alone(one), norb)
    if molecule and len(level):
        raise ValueError(_cut(f"{_named(level)} without a level", level[0], 2))
    first = _unbounded(values, two, norb)
    if first is not None:
        p, q, r, s = first
        raise ValueError(
            f"is no whole FCIDUMP: ({p} {q}|{r} {s}) is there, and ({p} {q}|{p} {q}), "
            f"({r} {s}|{r} {s}) or what these need are not; was it cut off? If they are zero, write "
            f"them, as 0.0 {p} {p} {p} {p}, {END}"
        )


def _beyond_models(values: Floats, two: Indices) -> bool:
    """Whether integrals are of more than sites, Kanamori's exchange, or one site in other orbitals."""
    p, q, r, s = two.T
    plain = (pair(p, q) == pair(r, s)) | ((p == q) & (r == s))
    return bool((np.abs(values[~plain]) > LEFT_OUT).any()) and not _of_one_site(values, two)


def _of_one_site(values: Floats, two: Indices) -> bool:
    """Whether (pq|rs) is U times the shares that p, q, r and s have of one site."""
    alone = (two == two[:, :1]).all(axis=1)
    if not alone.any():
        return False
    most = int(np.argmax(np.where(alone, np.abs(values), -1.0)))
    site, repulsion = int(two[most, 0]), float(values[most])
    shares = np.zeros(int(two.max()) + 1)
    high, low = np.maximum(two[:, ::2], two[:, 1::2]), np.minimum(two[:, ::2], two[:, 1::2])
    others = np.where((high == site) & (low == site), 0, high + low - site)
    with_site = ((high == site) | (low == site)).all(axis=1) & ((others == 0).sum(axis=1) == 1)
    shares[others[with_site].max(axis=1)] = np.abs(values[with_site] / repulsion)
    shares[site] = 1.0
    expected = abs(repulsion) * shares[two].prod(axis=1)
    return bool(np.allclose(np.abs(values), expected, rtol=1e-6, atol=LEFT_OUT))


def _unbounded(values: Floats, two: Indices, norb: int) -> Indices | None:
    """Orbitals of an integral that Schwarz's inequality forbids beside those that are not there.

    (pq|rs)^2 <= (pq|pq) (rs|rs), and (pq|pq)^2 <= (pp|pp) (qq|qq) where charges repel each other.
    """
    p, q, r, s = two.T - 1
    bra, ket = pair(p, q), pair(r, s)
    same = bra == ket
    most = np.full(norb * (norb + 1) // 2, LEFT_OUT)
    there = np.zeros(len(most), bool)
    most[bra[same]] = np.maximum(np.abs(values[same]), LEFT_OUT)
    there[bra[same]] = True
    bra, ket = np.where(same, pair(p, p), bra), np.where(same, pair(q, q), ket)
    forbidden = (values**2 > most[bra] * most[ket]) & ~(there[bra] & there[ket])
    return two[int(np.argmax(forbidden))] if forbidden.any() else None


def _alone(block: Indices) -> Indices:
    """Orbitals that have an integral with themselves."""
    found: Indices = np.unique(block[(block == block[:, :1]).all(axis=1)][:, 0])
    return found


def _without(some: Indices, norb: int) -> Indices:
    return np.setdiff1d(np.arange(1, norb + 1), some)


def _named(orbitals: Indices) -> str:
    first = ", ".join(str(orbital) for orbital in orbitals[:NAMED])
    more = ", ..." if len(orbitals) > NAMED else ""
    return f"orbital {first} is" if len(orbitals) == 1 else f"each of orbitals {first}{more} is"


def _cut(which: str, orbital: int, several: int, also: str = f", {END}") -> str:
    line = " ".join(["0.0", *[str(orbital)] * several, *["0"] * (4 - several)])
    zeros = f"If they are zero, write them, as {line}{also}"
    return f"is no whole FCIDUMP: {which}; was it cut off? {zeros}"

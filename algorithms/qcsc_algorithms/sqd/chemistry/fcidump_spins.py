"""FCIDUMP files with orbitals of each spin, in the three layouts that programs write.

Blocks: those of alpha orbitals, of beta orbitals and of both, then the one-electron ones of each, and
the core energy; a line of zeros ends each block but the last (Molpro, block2). Or indices of spin
orbitals: alpha and beta in turns (NECI, Psi4, TREXIO), or all alpha ones before all beta ones
(qiskit-fermions). Of the last two NORB may count the orbitals of one spin, or of both.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from qcsc_algorithms.sqd.chemistry.fcidump_lines import (
    SAME,
    Floats,
    Indices,
    mixed_body,
    one_body,
    two_body,
)
from qcsc_algorithms.sqd.chemistry.fcidump_whole import require_whole
from qcsc_algorithms.sqd.chemistry.unrestricted import BetaIntegrals

BLOCKS = 6


class SpinIntegrals(NamedTuple):
    """Integrals of alpha orbitals, and those that beta orbitals are in.

    Attributes:
        constant: the core energy; None where it is on the one line without indices, if there is one.
        remarks: what may be missing.
    """

    one_body: Floats
    two_body: Floats
    beta: BetaIntegrals
    constant: float | None = None
    remarks: tuple[str, ...] = ()


class _Layout(NamedTuple):
    """Spins, 0 or 1, and orbitals, from 1, of indices; orbital 0 for index 0."""

    spins: Indices
    orbitals: Indices


def spin_integrals(values: Floats, indices: Indices, said: int, whole_line: bool) -> SpinIntegrals:
    """What the lines say of each spin.

    Args:
        said: the head's NORB.
        whole_line: whether the last line has an end.

    Raises:
        ValueError: the lines are cut off, or of no layout that is known.
    """
    ends = np.flatnonzero(~indices.any(axis=1))
    if len(ends) > 1 and indices.max() <= said:
        return _of_blocks(values, indices, said, ends)
    count = 2 * said if indices.max() > said else said
    if count % 2:
        raise ValueError(
            f"says that each spin has orbitals of its own, and counts {count} of both: of an odd "
            "number half are none"
        )
    remarks = require_whole(values, indices, count, whole_line, of_spin=True)
    return _of_spin_orbitals(values, indices, count // 2)._replace(remarks=remarks)


def _of_blocks(values: Floats, indices: Indices, norb: int, ends: Indices) -> SpinIntegrals:
    between = np.abs(values[ends[:-1]])
    if len(ends) != BLOCKS or between.max() > SAME or ends[-1] != len(values) - 1:
        raise ValueError(
            f"has {len(ends)} lines without indices: with integrals of each spin in blocks there are "
            f"{BLOCKS}, five of zeros, each at the end of a block, and at last the core energy; was it "
            "cut off?"
        )
    parts = np.split(np.arange(len(values)), ends)
    for number, (part, several) in enumerate(zip(parts, [4, 4, 4, 2, 2], strict=False)):
        counts = (indices[part] > 0).sum(axis=1)
        if not np.isin(counts, (0, 1, several)).all():
            kind = "two-electron" if several == 4 else "one-electron"
            raise ValueError(
                f"has something else than {kind} integrals in block {number + 1} of {BLOCKS}"
            )
    alpha, beta, both, first, second = ((values[part], indices[part]) for part in parts[:5])
    return SpinIntegrals(
        one_body(*first, norb),
        two_body(*alpha, norb),
        BetaIntegrals(
            one_body=one_body(*second, norb),
            two_body=two_body(*beta, norb),
            mixed=mixed_body(*both, norb),
        ),
        float(values[ends[-1]]),
    )


def _of_spin_orbitals(values: Floats, indices: Indices, norb: int) -> SpinIntegrals:
    some = (values != 0) & (indices[:, 1] > 0)
    values, indices = values[some], indices[some]
    turns = _Layout((indices - 1) % 2 * (indices > 0), (indices + 1) // 2)
    halves = _Layout((indices > norb).astype(np.int64), indices - norb * (indices > norb))
    layouts = [layout for layout in (turns, halves) if _keeps_spins(layout.spins, indices)]
    if len(layouts) != 1:
        how = "either way" if layouts else "neither way"
        raise ValueError(
            "says that each spin has orbitals of its own; read with alpha and beta orbitals in turns, "
            f"or with all alpha ones first, its integrals keep spins {how}, which does not tell what "
            "is meant; write them in blocks (IUHF=1)"
        )
    return _told(values, layouts[0], norb)


def _keeps_spins(spins: Indices, indices: Indices) -> bool:
    two = indices[:, 2] > 0
    same = spins[:, 0] == spins[:, 1]
    return bool(same.all() and (spins[two, 2] == spins[two, 3]).all())


def _told(values: Floats, layout: _Layout, norb: int) -> SpinIntegrals:
    bra, ket = layout.spins[:, 0], layout.spins[:, 2]
    orbitals, two = layout.orbitals, layout.orbitals[:, 2] > 0
    alone = [(~two | (ket == spin)) & (bra == spin) for spin in (0, 1)]
    turned = np.where((bra == 1)[:, None], orbitals[:, [2, 3, 0, 1]], orbitals)
    both = two & (bra != ket)
    ones = [one_body(values[own], orbitals[own], norb) for own in alone]
    twos = [two_body(values[own], orbitals[own], norb) for own in alone]
    mixed = mixed_body(values[both], turned[both], norb)
    return SpinIntegrals(
        ones[0], twos[0], BetaIntegrals(one_body=ones[1], two_body=twos[1], mixed=mixed)
    )


def unrestricted_lines(integrals: SpinIntegrals, electrons: tuple[int, int]) -> Iterator[str]:
    """The file's lines, in blocks, with all digits."""
    norb, (up, down), beta = len(integrals.one_body), electrons, integrals.beta
    yield f"&FCI NORB={norb},NELEC={up + down},MS2={up - down},IUHF=1,UHF=.TRUE.,\n"
    yield f" ORBSYM={'1,' * norb}\n ISYM=1,\n&END\n"
    p, q = np.tril_indices(norb)
    pairs = np.stack([p, q], axis=1) + 1
    bra, ket = np.tril_indices(len(pairs))
    indices = np.concatenate([pairs[bra], pairs[ket]], axis=1)
    end = " 0 0 0 0 0\n"
    for packed in (integrals.two_body, beta.two_body):
        yield from _lines(np.asarray(packed), indices)
        yield end
    every, other = np.indices((len(pairs), len(pairs))).reshape(2, -1)
    both = np.concatenate([pairs[every], pairs[other]], axis=1)
    yield from _lines(np.asarray(beta.mixed).ravel(), both)
    yield end
    alone = np.concatenate([pairs, np.zeros_like(pairs)], axis=1)
    for matrix in (integrals.one_body, beta.one_body):
        yield from _lines(np.asarray(matrix)[p, q], alone)
        yield end
    yield f" {integrals.constant or 0.0:.17g} 0 0 0 0\n"


def _lines(values: Floats, indices: Indices) -> Iterator[str]:
    for value, (p, q, r, s) in zip(values.tolist(), indices.tolist(), strict=True):
        if value:
            yield f" {value:.17g} {p} {q} {r} {s}\n"

"""Which determinants are diagonalised: all pairs of an alpha and a beta string."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from qcsc_algorithms.sqd.determinants.configurations import (
    Configurations,
    Floats,
    Strings,
    hartree_fock,
    pack,
    unique_rows,
)
from qcsc_loop.values.arrays import NDArray
from qcsc_loop.values.record import Record

Draw = Literal["weighted", "heaviest"]
"""How strings are taken from sampled ones: drawn with their weights, or those of the largest."""


class Subspace(Record):
    """Strings of each spin, whose products span the space.

    Attributes:
        alpha, beta: distinct strings, uint8 (strings, ceil(norb / 8)) as `pack` makes them; the
            Hartree-Fock string first.
        carried: how many of the strings after the first were carried over.
    """

    alpha: NDArray
    beta: NDArray
    carried: int = 0

    @property
    def dimension(self) -> int:
        """Determinants."""
        return len(self.alpha) * len(self.beta)


@dataclass(frozen=True)
class Candidates:
    """What one spin's strings are chosen from.

    Attributes:
        strings: distinct, uint8 (strings, ceil(norb / 8)).
        weights: float64 (strings,), not negative.
    """

    strings: Strings
    weights: Floats


def subsample(
    configurations: Configurations,
    electrons: tuple[int, int],
    max_strings: int,
    carryover: tuple[Strings, Strings],
    max_carryover: int,
    rng: np.random.Generator,
    draw: Draw = "weighted",
    *,
    same_orbitals: bool = True,
) -> Subspace:
    """At most `max_strings` strings of each spin, exactly so many if there are.

    The Hartree-Fock string always; then the first of the carried-over ones, at most
    `max_carryover`; then strings of the configurations, drawn without replacement with their
    weights. With as many alpha as beta electrons both spins have the same strings, so that the
    space holds a singlet's spin-flipped determinants too.

    Args:
        draw: "heaviest": those of the largest weights instead, equal ones in ascending order.
        configurations: with the right number of electrons; may be none.
        carryover: strings of each spin, the most important first.
        same_orbitals: whether a string of one spin says something of the other spin's.
    """
    norb = configurations.norb
    alpha, beta = _strings(configurations)
    if electrons[0] == electrons[1] and same_orbitals:
        both = _merged(alpha, beta)
        kept = _interleaved(*carryover)
        chosen, carried = _chosen(
            hartree_fock(norb, electrons[0]), both, max_strings, kept[:max_carryover], rng, draw
        )
        return Subspace(alpha=chosen, beta=chosen, carried=carried)
    kept_alpha, kept_beta = (strings[:max_carryover] for strings in carryover)
    first, carried_alpha = _chosen(
        hartree_fock(norb, electrons[0]), alpha, max_strings, kept_alpha, rng, draw
    )
    second, carried_beta = _chosen(
        hartree_fock(norb, electrons[1]), beta, max_strings, kept_beta, rng, draw
    )
    return Subspace(alpha=first, beta=second, carried=max(carried_alpha, carried_beta))


def _strings(configurations: Configurations) -> tuple[Candidates, Candidates]:
    """The strings of each spin with their marginal weights."""
    return (
        _candidates(pack(configurations.alpha), configurations.weights),
        _candidates(pack(configurations.beta), configurations.weights),
    )


def _merged(alpha: Candidates, beta: Candidates) -> Candidates:
    return _candidates(
        np.concatenate([alpha.strings, beta.strings]),
        np.concatenate([alpha.weights, beta.weights]),
    )


def _candidates(rows: Strings, weights: Floats) -> Candidates:
    strings, _, which = unique_rows(rows)
    sums: Floats = np.bincount(which, weights, len(strings)).astype(np.float64)
    return Candidates(strings, sums)


def _interleaved(alpha: Strings, beta: Strings) -> Strings:
    """Both lists in turns, so that the most important of either spin come first."""
    shared = min(len(alpha), len(beta))
    turns = np.stack([alpha[:shared], beta[:shared]], axis=1).reshape(-1, alpha.shape[1])
    return _distinct(np.concatenate([turns, alpha[shared:], beta[shared:]]))


def _chosen(
    first: Strings,
    candidates: Candidates,
    limit: int,
    kept: Strings,
    rng: np.random.Generator,
    draw: Draw,
) -> tuple[Strings, int]:
    """Strings in the order of their claims, and how many of them were carried over."""
    if draw == "heaviest":
        order = np.argsort(-candidates.weights, kind="stable")
    else:
        with np.errstate(divide="ignore"):
            times = rng.standard_exponential(len(candidates.weights)) / candidates.weights
        order = np.argsort(times)
    head = _distinct(np.concatenate([first, kept]))
    everything = np.concatenate([head, candidates.strings[order]])
    chosen = _distinct(everything)[:limit]
    return chosen, min(len(head), len(chosen)) - 1


def _distinct(rows: Strings) -> Strings:
    """Without repetitions, in the order of first appearance."""
    _, first, _ = unique_rows(rows)
    return rows[np.sort(first)]

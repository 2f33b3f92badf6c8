"""Strings that are chosen without a quantum computer, to see what a circuit's samples are worth.

Both ways look at the Hamiltonian only, cost no shot, and give the same strings whatever the seed.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any, Literal, NamedTuple

import numpy as np

from qcsc_algorithms.sqd.chemistry.hamiltonian import Hamiltonian
from qcsc_algorithms.sqd.chemistry.reference import mean_field
from qcsc_algorithms.sqd.determinants.configurations import (
    Bits,
    Floats,
    Strings,
    hartree_fock,
    pack,
    unique_rows,
    unpack,
)
from qcsc_algorithms.sqd.determinants.subspace import Subspace
from qcsc_algorithms.sqd.solvers.native_program import lowest_state
from qcsc_algorithms.sqd.solvers.one_process import problem_of

Method = Literal["cisd", "hci"]

CISD_CYCLES = 200
GROWTH = 2  # times as many strings after each cycle of the heat bath
TOLERANCE = 1e-4  # hartree: of the residuals of the states between, which only say what matters
MAX_CYCLES = 100  # of their eigensolver


class Found(NamedTuple):
    """The strings.

    Attributes:
        converged: whether the states that they were chosen by are.
    """

    subspace: Subspace
    converged: bool


class _Ranked(NamedTuple):
    """One spin's strings, each once, with what speaks for them."""

    strings: Strings
    weights: Floats


def select_strings(
    method: Method, hamiltonian: Hamiltonian, max_strings: int, spin_square: float
) -> Found:
    """At most `max_strings` strings of each spin, the Hartree-Fock string first. Blocks.

    With as many alpha as beta electrons both spins have the same strings.

    Args:
        method: "cisd": those of the largest probability in configuration interaction of single and
            double excitations, of which there may be fewer. "hci": the heat bath (Holmes, Tubman and
            Umrigar, J. Chem. Theory Comput. 12, 3674, 2016), over strings instead of determinants:
            those of the largest |H_ai c_i| are added to the space, which is diagonalised, until there
            are so many. Its threshold is none that is given, but what the number of strings makes it.
        spin_square: S^2 of the states of the heat bath; NaN for any.
    """
    if method == "cisd":
        return _by_singles_and_doubles(hamiltonian, max_strings)
    return _by_heat_bath(hamiltonian, max_strings, spin_square)


def _by_singles_and_doubles(hamiltonian: Hamiltonian, limit: int) -> Found:
    from pyscf import ci
    from threadpoolctl import threadpool_limits

    alpha, beta = hamiltonian.electrons
    with threadpool_limits(1):
        method: Any = (ci.cisd.RCISD if alpha == beta else ci.ucisd.UCISD)(mean_field(hamiltonian))
        method.verbose, method.max_cycle = 0, CISD_CYCLES
        method.kernel()
        reference, singles, doubles = method.cisdvec_to_amplitudes(method.ci)
    if alpha == beta:
        same = doubles - doubles.transpose(1, 0, 2, 3)
        singles, doubles = (singles, singles), (same, doubles, same)
    squares = [np.square(each) for each in singles]
    aa, ab, bb = (np.square(each) for each in doubles)
    norb = hamiltonian.norb
    ones = _excited(
        norb, alpha, reference**2 + squares[1].sum() + bb.sum() / 4, squares[0], ab.sum((1, 3)), aa
    )
    others = _excited(
        norb, beta, reference**2 + squares[0].sum() + aa.sum() / 4, squares[1], ab.sum((0, 2)), bb
    )
    chosen = [_heaviest(each, limit) for each in (ones, others)]
    if alpha == beta:
        chosen = [chosen[0]] * 2
    return Found(Subspace(alpha=chosen[0], beta=chosen[1]), bool(method.converged))


def _excited(
    norb: int, electrons: int, reference: float, alone: Floats, beside: Floats, doubles: Floats
) -> _Ranked:
    """One spin's strings, Hartree-Fock's first, with their probabilities.

    Args:
        reference: of the Hartree-Fock string.
        alone, beside: float64 (filled, empty), of one excitation of this spin: nothing else, or one
            of the other spin, too.
        doubles: float64 (filled, filled, empty, empty), of two of this spin.
    """
    strings, weights = [np.arange(norb) < electrons], [reference]

    def add(holes: tuple[int, ...], particles: tuple[int, ...], weight: float) -> None:
        string = strings[0].copy()
        string[list(holes)], string[[electrons + each for each in particles]] = False, True
        strings.append(string)
        weights.append(weight)

    for i, a in np.ndindex(alone.shape):
        add((i,), (a,), float(alone[i, a] + beside[i, a]))
    for holes in combinations(range(electrons), 2):
        for particles in combinations(range(norb - electrons), 2):
            add(holes, particles, float(doubles[(*holes, *particles)]))
    return _Ranked(pack(np.array(strings)), np.array(weights))


def _heaviest(ranked: _Ranked, limit: int) -> Strings:
    """The first string, and those of the largest weights; equal ones in their order."""
    order = 1 + np.argsort(-ranked.weights[1:], kind="stable")
    return np.asarray(ranked.strings[np.concatenate([[0], order])[:limit]])


def _by_heat_bath(hamiltonian: Hamiltonian, limit: int, spin_square: float) -> Found:
    norb, electrons = hamiltonian.norb, hamiltonian.electrons
    closed = electrons[0] == electrons[1]
    two_body = hamiltonian.full_two_body()
    chosen, converged = [hartree_fock(norb, n) for n in electrons], True
    while min(len(chosen[0]), len(chosen[1])) < limit:
        problem = problem_of(
            hamiltonian,
            alpha=chosen[0],
            beta=chosen[1],
            tolerance=TOLERANCE,
            max_cycles=MAX_CYCLES,
            threads=1,
            spin_square=spin_square,
            keep="amplitudes",
        )
        state = lowest_state(problem)
        converged = converged and bool(state["converged"])
        amplitudes = np.abs(state["amplitudes"][0])
        alpha, beta = (unpack(strings, norb) for strings in chosen)
        wider = [
            _widened(chosen[0], limit, _reached(hamiltonian, two_body, alpha, beta, amplitudes)),
            _widened(chosen[1], limit, _reached(hamiltonian, two_body, beta, alpha, amplitudes.T)),
        ]
        if closed:
            wider = [wider[0]] * 2
        if all(len(now) == len(before) for now, before in zip(wider, chosen, strict=True)):
            break  # the Hamiltonian connects them with no other ones
        chosen = wider
    return Found(Subspace(alpha=chosen[0], beta=chosen[1]), converged)


def _widened(strings: Strings, limit: int, reached: _Ranked) -> Strings:
    """The strings, and those of the largest weights that are none of them."""
    order = np.argsort(-reached.weights, kind="stable")
    every = np.concatenate([strings, reached.strings[order[reached.weights[order] > 0]]])
    _, first, _ = unique_rows(every)
    return every[np.sort(first)][: min(limit, GROWTH * len(strings))]


def _reached(
    hamiltonian: Hamiltonian, two_body: Floats, own: Bits, other: Bits, amplitudes: Floats
) -> _Ranked:
    """The strings of one spin that the Hamiltonian leads to, with the largest |H_ai c_i|.

    Args:
        own, other: bool (strings, norb), of the spin that is moved and of the other one.
        amplitudes: float64 (own strings, other strings), absolute values.
    """
    pair = _largest_beside(two_body, other)
    coulomb = np.einsum("pqrr->pqr", two_body)
    exchange = np.einsum("prrq->pqr", two_body)
    field = np.einsum("pqr,tr->tpq", coulomb, other.astype(float))
    exchanged = np.abs(two_body.transpose(0, 2, 1, 3) - two_body.transpose(0, 2, 3, 1))  # <pr||qs>
    moved: list[Bits] = []
    weights: list[Floats] = []
    for string, row in zip(own, amplitudes, strict=True):
        filled, empty = np.flatnonzero(string), np.flatnonzero(~string)
        base = np.asarray(hamiltonian.one_body) + (coulomb - exchange) @ string.astype(float)
        largest = np.maximum(np.abs(base + field), pair)[:, empty[:, None], filled]
        single = (largest * row[:, None, None]).max(axis=0)
        moved.append(_moves(string, filled[:, None], empty[:, None]))
        weights.append(single.T.reshape(-1))
        holes, particles = _pairs(filled), _pairs(empty)
        double = exchanged[
            particles[None, :, 0], particles[None, :, 1], holes[:, None, 0], holes[:, None, 1]
        ]
        moved.append(_moves(string, holes, particles))
        weights.append(row.max() * double.reshape(-1))
    strings, _, which = unique_rows(pack(np.concatenate(moved)))
    best = np.zeros(len(strings))
    np.maximum.at(best, which, np.concatenate(weights))
    return _Ranked(strings, best)


def _largest_beside(two_body: Floats, other: Bits) -> Floats:
    """float64 (other strings, norb, norb): the largest |(pq|rs)| where r and s move that string."""
    sizes = np.abs(two_body)
    found = np.zeros((len(other), *two_body.shape[:2]))
    for place, string in enumerate(other):
        allowed = sizes[:, :, ~string][:, :, :, string]
        if allowed.size:
            found[place] = allowed.max(axis=(2, 3))
    return found


def _pairs(orbitals: Any) -> Any:
    """int64 (pairs, 2), each two once."""
    return np.array(list(combinations(orbitals.tolist(), 2)), np.int64).reshape(-1, 2)


def _moves(string: Bits, holes: Any, particles: Any) -> Bits:
    """The string with each of these emptied and each of those filled: holes vary slowest."""
    emptied = np.repeat(np.arange(len(holes)), len(particles))
    filled = np.tile(np.arange(len(particles)), len(holes))
    rows = np.tile(string, (len(emptied), 1))
    place = np.arange(len(rows))[:, None]
    rows[place, holes[emptied]] = False
    rows[place, particles[filled]] = True
    return rows

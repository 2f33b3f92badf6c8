"""Strings without a circuit: those that the Hamiltonian's whole matrix says."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from qcsc_algorithms.sqd.chemistry.hamiltonian import Hamiltonian
from qcsc_algorithms.sqd.chemistry.system import Molecule
from qcsc_algorithms.sqd.classical import select_strings
from qcsc_algorithms.sqd.determinants.configurations import as_integers, hartree_fock

Floats = npt.NDArray[np.float64]

SYSTEMS = {
    "closed": Molecule(geometry="H 0 0 0; H 0 0 1.1; H 0 0 2; H 0 0 3.2", basis="sto-3g"),
    "open": Molecule(geometry="Be 0 0 0; H 0 0 1.3", basis="sto-3g", spin=1, frozen_core=1),
}
ASKED = {"closed": 0.0, "open": 0.75}


class Whole:
    """All determinants of a small system, and the Hamiltonian among them."""

    def __init__(self, hamiltonian: Hamiltonian) -> None:
        from pyscf import fci

        self.electrons = hamiltonian.electrons
        self.strings = [
            np.asarray(fci.cistring.make_strings(range(hamiltonian.norb), n))
            for n in self.electrons
        ]
        shape = tuple(len(each) for each in self.strings)
        size = math.prod(shape)
        solver: Any = fci.direct_spin1
        addresses, matrix = solver.pspace(
            np.array(hamiltonian.one_body),
            hamiltonian.full_two_body(),
            hamiltonian.norb,
            self.electrons,
            np=size,
        )
        order = np.argsort(addresses)
        self.matrix: Floats = matrix[np.ix_(order, order)]
        # (alpha, beta) of each row
        self.alpha, self.beta = (each.reshape(-1) for each in np.indices(shape))

    def lowest(self, kept: npt.NDArray[np.bool_]) -> Floats:
        """The lowest vector among these determinants, zero on all others."""
        places = np.flatnonzero(kept)
        found = np.zeros(len(kept))
        found[places] = np.linalg.eigh(self.matrix[np.ix_(places, places)])[1][:, 0]
        return found

    def places(self, spin: int, strings: Iterable[int]) -> list[int]:
        """Where strings stand, in all of their spin."""
        known = self.strings[spin].tolist()
        return [known.index(each) for each in strings]

    def excitations(self) -> npt.NDArray[np.int64]:
        """Of each determinant, from the first."""
        counts = [
            np.array([(int(s) ^ int(each[0])).bit_count() // 2 for s in each])
            for each in self.strings
        ]
        return np.asarray(counts[0][self.alpha] + counts[1][self.beta])


@pytest.fixture(scope="module", params=SYSTEMS)
def case(request: pytest.FixtureRequest) -> tuple[str, Hamiltonian, Whole]:
    hamiltonian = SYSTEMS[request.param].hamiltonian()
    return request.param, hamiltonian, Whole(hamiltonian)


def chosen(case: Any, method: Any, limit: int) -> list[list[int]]:
    name, hamiltonian, _ = case
    found = select_strings(method, hamiltonian, limit, ASKED[name])
    assert found.converged
    space = found.subspace
    return [as_integers(np.asarray(each)).tolist() for each in (space.alpha, space.beta)]


@pytest.mark.parametrize("limit", [1, 3, 5])
def test_cisd_s_strings_are_those_of_its_largest_probabilities(case: Any, limit: int) -> None:
    _, _, whole = case
    state = whole.lowest(whole.excitations() <= 2)
    strings = chosen(case, "cisd", limit)
    for spin, rows in enumerate((whole.alpha, whole.beta)):
        probability = np.bincount(rows, state**2)
        assert len(set(strings[spin])) == limit
        mine = probability[whole.places(spin, strings[spin])]
        assert np.all(np.diff(mine[1:]) <= 1e-9)
        best = np.sort(probability[1:])[::-1][: limit - 1]
        assert mine[1:] == pytest.approx(best, abs=1e-6)


def greedy(whole: Whole, limit: int) -> list[list[int]]:
    """The heat bath by its definition: as many strings again in each cycle, the largest |H_ai c_i|."""
    kept = [[0], [0]]
    while len(kept[0]) < limit:
        inside = np.isin(whole.alpha, kept[0]) & np.isin(whole.beta, kept[1])
        reach = np.abs(whole.matrix * whole.lowest(inside))
        np.fill_diagonal(reach, 0.0)
        largest = reach.max(axis=1)
        before = [list(each) for each in kept]
        for spin, rows in enumerate((whole.alpha, whole.beta)):
            value = np.zeros(len(whole.strings[spin]))
            np.maximum.at(value, rows, largest)
            value[before[spin]] = -1
            order = np.argsort(-value, kind="stable")
            more = min(limit, 2 * len(before[spin])) - len(before[spin])
            kept[spin] = before[spin] + [int(k) for k in order[:more] if value[k] > 1e-9]
        if kept == before:
            break
    return kept


@pytest.mark.parametrize("limit", [2, 4, 5])
def test_the_heat_bath_adds_what_the_matrix_reaches_most(case: Any, limit: int) -> None:
    _, _, whole = case
    strings, expected = chosen(case, "hci", limit), greedy(whole, limit)
    for spin in (0, 1):
        assert set(whole.places(spin, strings[spin])) == set(expected[spin])


def test_the_heat_bath_ends_where_nothing_more_is_reached(case: Any) -> None:
    _, _, whole = case
    strings = chosen(case, "hci", 1000)
    for spin, each in enumerate(greedy(whole, 1000)):
        found = whole.places(spin, strings[spin])
        assert set(found) >= set(each) and len(set(found)) == len(found)


@pytest.mark.parametrize("method", ["cisd", "hci"])
def test_hartree_fock_is_the_first_and_equal_spins_have_equal_strings(
    case: Any, method: Any
) -> None:
    name, hamiltonian, _ = case
    alpha, beta = chosen(case, method, 4)
    for strings, electrons in zip((alpha, beta), hamiltonian.electrons, strict=True):
        assert strings[0] == as_integers(hartree_fock(hamiltonian.norb, electrons))[0]
    assert (alpha == beta) == (name == "closed")


def test_more_strings_are_the_fewer_ones_and_others(case: Any) -> None:
    for few, more in itertools.pairwise((1, 2, 4)):
        for method in ("cisd", "hci"):
            for one, other in zip(
                chosen(case, method, few), chosen(case, method, more), strict=True
            ):
                assert one == other[:few]

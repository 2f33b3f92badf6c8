"""The default eigensolver beside full CI by pyscf, and beside matrices written out by hand."""

from __future__ import annotations

import math
import sys
from functools import cache, partial
from itertools import combinations
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from qcsc_algorithms.sqd import SQD, FCIDump, Hamiltonian, Molecule, NativeSolver, Subspace
from qcsc_algorithms.sqd.chemistry.hamiltonian import lowest_spin_square
from qcsc_algorithms.sqd.determinants.configurations import Strings, from_integers, pack
from qcsc_algorithms.sqd.solvers.native_program import CompilerMissing, lowest_state
from qcsc_algorithms.sqd.solvers.solver import Solution
from qcsc_hpc.machine import LocalMachine
from qcsc_loop import DirectoryStore, MaxIterations, MemoryStore
from qcsc_loop.errors import ParametersChanged
from qcsc_loop.steps.step import Step, stepping
from thorough import first

AGREE = 1e-8  # hartree
SMALL = 400  # determinants whose matrix is written out
Electrons = tuple[int, int]


def molecule(geometry: str, **settings: Any) -> Hamiltonian:
    with threadpool_limits(1):
        return Molecule(geometry=geometry, **{"basis": "sto-3g", **settings}).hamiltonian()


def packed(two_body: Any) -> Any:
    """Each of eight equal integrals once."""
    from pyscf import ao2mo

    return np.asarray(ao2mo.restore(8, np.ascontiguousarray(two_body), len(two_body)))


def hubbard(sites: int, electrons: Electrons, repulsion: float) -> Hamiltonian:
    """A ring in the basis of its sites."""
    hopping, two_body = np.zeros((sites, sites)), np.zeros((sites,) * 4)
    for i in range(sites):
        hopping[i, (i + 1) % sites] = hopping[(i + 1) % sites, i] = -1
        two_body[i, i, i, i] = repulsion
    return made(electrons, hopping, two_body)


def ladder(electrons: Electrons, repulsion: float) -> Hamiltonian:
    """Two rows of three sites."""
    hopping, two_body = np.zeros((6, 6)), np.zeros((6,) * 4)
    for i, j in ((0, 1), (1, 2), (3, 4), (4, 5), (0, 3), (1, 4), (2, 5)):
        hopping[i, j] = hopping[j, i] = -1
    for i in range(6):
        two_body[i, i, i, i] = repulsion
    return made(electrons, hopping, two_body)


def impurity(electrons: Electrons, repulsion: float) -> Hamiltonian:
    """One site with repulsion, coupled to five levels of a bath (Anderson's model)."""
    one_body, two_body = np.diag([-repulsion / 2, -1, -0.4, 0, 0.4, 1]), np.zeros((6,) * 4)
    one_body[0, 1:] = one_body[1:, 0] = 0.3
    two_body[0, 0, 0, 0] = repulsion
    return made(electrons, one_body, two_body)


def made(electrons: Electrons, one_body: Any, two_body: Any) -> Hamiltonian:
    return Hamiltonian(
        norb=len(one_body),
        num_alpha=electrons[0],
        num_beta=electrons[1],
        constant=0.5,
        one_body=one_body,
        two_body=packed(two_body),
    )


def random_system(norb: int, electrons: Electrons, seed: int) -> Hamiltonian:
    rng = np.random.default_rng(seed)
    one_body = np.diag(np.arange(norb) / 2) + rng.normal(size=(norb, norb)) / 4
    factors = rng.normal(size=(3, norb, norb)) / 4
    factors += factors.transpose(0, 2, 1)
    two_body = np.einsum("lpq,lrs->pqrs", factors, factors)
    return made(electrons, one_body + one_body.T, two_body)


def every(norb: int, electrons: int) -> Strings:
    chosen = combinations(range(norb), electrons)
    return from_integers(np.array([sum(1 << p for p in orbitals) for orbitals in chosen]), norb)


def problem(hamiltonian: Hamiltonian, alpha: Strings, beta: Strings, **settings: Any) -> Any:
    return {
        "one_body": np.array(hamiltonian.one_body),
        "two_body": np.array(hamiltonian.two_body),
        "electrons": np.array(hamiltonian.electrons),
        "alpha": alpha,
        "beta": beta,
        "tolerance": np.array(1e-6),
        "max_cycles": np.array(200),
        "threads": np.array(1),
        "spin_square": np.array(lowest_spin_square(hamiltonian.electrons)),
        **settings,
    }


def solved(hamiltonian: Hamiltonian, alpha: Strings, beta: Strings, **settings: Any) -> Any:
    return lowest_state(problem(hamiltonian, alpha, beta, **settings))


# matrices by the Slater-Condon rules, over determinants of spin orbitals


def matrices(hamiltonian: Hamiltonian, alpha: Strings, beta: Strings) -> tuple[Any, Any]:
    """H and S^2 between all pairs of strings, the beta string counting first."""
    h, eri, norb = hamiltonian.one_body, hamiltonian.full_two_body(), hamiltonian.norb
    words = [[int.from_bytes(row.tobytes(), "big") for row in strings] for strings in (alpha, beta)]
    dets = [a | b << norb for b in words[1] for a in words[0]]
    energies, spins = np.zeros((len(dets),) * 2), np.zeros((len(dets),) * 2)
    for i, bra in enumerate(dets):
        for j in range(i + 1):
            if (bra ^ dets[j]).bit_count() <= 4:
                energies[i, j] = energies[j, i] = element(bra, dets[j], norb, h, eri)
                spins[i, j] = spins[j, i] = spin_element(bra, dets[j], norb)
    return energies, spins


def orbitals(word: int) -> list[int]:
    return [p for p in range(word.bit_length()) if word >> p & 1]


def sign(word: int, removed: list[int], created: list[int]) -> int:
    """Of removing electrons from a determinant, the last one first, and creating others there."""
    total = 0
    for p in removed:
        total += (word & ((1 << p) - 1)).bit_count()
        word ^= 1 << p
    for p in reversed(created):
        total += (word & ((1 << p) - 1)).bit_count()
        word ^= 1 << p
    return -1 if total % 2 else 1


def element(bra: int, ket: int, norb: int, h: Any, eri: Any) -> float:
    def two(p: int, q: int, r: int, s: int) -> float:  # <pq||rs>
        direct = eri[p % norb, r % norb, q % norb, s % norb]
        exchange = eri[p % norb, s % norb, q % norb, r % norb]
        return float(
            direct * (p // norb == r // norb and q // norb == s // norb)
            - exchange * (p // norb == s // norb and q // norb == r // norb)
        )

    new, old, both = orbitals(bra & ~ket), orbitals(ket & ~bra), orbitals(bra & ket)
    if not new:
        pairs = sum(two(p, q, p, q) for p in both for q in both) / 2
        return float(sum(h[p % norb, p % norb] for p in both) + pairs)
    phase = sign(ket, old, new)
    if len(new) == 1:
        (p,), (q,) = new, old
        one = h[p % norb, q % norb] * (p // norb == q // norb)
        return phase * float(one + sum(two(p, k, q, k) for k in both))
    return phase * two(new[0], new[1], old[0], old[1])


def spin_element(bra: int, ket: int, norb: int) -> float:
    """Of S^2 = Sz (Sz + 1) + sum of a+(p beta) a(p alpha) a+(q alpha) a(q beta)."""
    alpha = (ket & ((1 << norb) - 1)).bit_count()
    beta = (ket >> norb).bit_count()
    spin = (alpha - beta) / 2
    total = spin * (spin + 1) if bra == ket else 0.0
    for p in range(norb):
        for q in range(norb):
            word, odd = ket, 0
            for orbital, fills in ((q + norb, 0), (q, 1), (p, 0), (p + norb, 1)):
                if (word >> orbital & 1) == fills:
                    break
                odd += (word & ((1 << orbital) - 1)).bit_count()
                word ^= 1 << orbital
            else:
                total += (-1) ** odd * (word == bra)
    return total


def lowest_of_spin(energies: Any, spins: Any, asked: float) -> float:
    """Where the space is whole, so that the two commute."""
    values, vectors = np.linalg.eigh(spins)
    chosen = vectors[:, abs(values - asked) < 1e-6]
    return float(np.linalg.eigvalsh(chosen.T @ energies @ chosen)[0])


# full spaces

SYSTEMS: dict[str, Any] = {
    "hydrogen": lambda: molecule("H 0 0 0; H 0 0 0.735"),
    "one electron": lambda: molecule("H 0 0 0; H 0 0 1", charge=1, spin=1),
    "lithium": lambda: molecule("Li 0 0 0", basis="6-31g", spin=1),
    "C2, whose lowest determinant is a triplet's": lambda: molecule(
        "C 0 0 0; C 0 0 1.2425", frozen_core=2
    ),
    "BN": lambda: molecule("B 0 0 0; N 0 0 1.28", frozen_core=2),
    "square hydrogen": lambda: molecule(
        "H 0 0 0; H 1 0 0; H 0 1 0; H 1 1 0", basis="6-31g", symmetry=False
    ),
    "oxygen, a triplet": lambda: molecule("O 0 0 0; O 0 0 1.2", frozen_core=2, spin=2),
    "stretched nitrogen": lambda: molecule("N 0 0 0; N 0 0 2.2", frozen_core=2),
    "water's cation": lambda: molecule(
        "O 0 0 0.117790; H 0 0.755453 -0.471161; H 0 -0.755453 -0.471161", charge=1, spin=1
    ),
    "stretched CN": lambda: molecule("C 0 0 0; N 0 0 1.9", frozen_core=2, spin=1),
    "Hubbard ring": lambda: hubbard(6, (3, 3), 4.0),
    "strongly coupled Hubbard ring": lambda: hubbard(6, (3, 3), 50.0),
    "doped Hubbard ring": lambda: hubbard(6, (3, 2), 8.0),
    "Hubbard ring without repulsion": lambda: hubbard(4, (2, 2), 0.0),
    "attractive Hubbard ring": lambda: hubbard(6, (3, 3), -4.0),
    "Hubbard ladder": lambda: ladder((3, 3), 6.0),
    "polarised Hubbard ladder": lambda: ladder((4, 1), 6.0),
    "impurity": lambda: impurity((3, 3), 4.0),
    "impurity without a partner": lambda: impurity((3, 2), 10.0),
    "random": lambda: random_system(6, (3, 2), 3),
    "lithium hydride": lambda: molecule("Li 0 0 0; H 0 0 1.6", basis="6-31g"),
    "beryllium": lambda: molecule("Be 0 0 0", basis="6-31g"),
    "boron hydride": lambda: molecule("B 0 0 0; H 0 0 1.23", basis="6-31g", frozen_core=1),
    "water": lambda: molecule(WATER, frozen_core=1),
    "water of twice the bonds": lambda: molecule(
        "O 0 0 0.235580; H 0 1.510906 -0.942322; H 0 -1.510906 -0.942322", frozen_core=1
    ),
    "stretched fluorine": lambda: molecule("F 0 0 0; F 0 0 2.6", frozen_core=2),
    "methylene, a singlet": lambda: molecule(METHYLENE, frozen_core=1),
    "methylene, a triplet": lambda: molecule(METHYLENE, frozen_core=1, spin=2),
    "imidogen, a triplet": lambda: molecule("N 0 0 0; H 0 0 1.04", frozen_core=1, spin=2),
    "carbon, a triplet": lambda: molecule("C 0 0 0", basis="6-31g", frozen_core=1, spin=2),
    "stretched hydrogen chain": lambda: molecule(
        "; ".join(f"H 0 0 {2 * i}" for i in range(6)), symmetry=False
    ),
    "hydrogen iodide, with core potentials": lambda: molecule(
        "H 0 0 0; I 0 0 1.61", basis="lanl2dz"
    ),
    "silver hydride, with core potentials": lambda: molecule(
        "Ag 0 0 0; H 0 0 1.6", basis="lanl2dz", active_space={"electrons": 6, "orbitals": 8}
    ),
    "copper hydride": lambda: molecule(
        "Cu 0 0 0; H 0 0 1.46", active_space={"electrons": 6, "orbitals": 7}
    ),
    "scandium hydride": lambda: molecule(
        "Sc 0 0 0; H 0 0 1.77", active_space={"electrons": 4, "orbitals": 8}
    ),
}

METHYLENE = "C 0 0 0; H 0 0.98 0.56; H 0 -0.98 0.56"
WATER = "O 0 0 0.117790; H 0 0.755453 -0.471161; H 0 -0.755453 -0.471161"


def full_ci(hamiltonian: Hamiltonian) -> float:
    """The lowest energy of the lowest spin."""
    from pyscf import fci

    electrons, norb = hamiltonian.electrons, hamiltonian.norb
    asked = lowest_spin_square(electrons)
    if math.comb(norb, electrons[0]) * math.comb(norb, electrons[1]) <= SMALL:
        return lowest_of_spin(*matrices(hamiltonian, *(every(norb, n) for n in electrons)), asked)
    solver: Any = fci.addons.fix_spin_(fci.direct_spin1.FCI(), ss=asked)
    solver.conv_tol, solver.max_cycle = 1e-13, 300
    with threadpool_limits(1):
        energy, _ = solver.kernel(
            np.array(hamiltonian.one_body), np.array(hamiltonian.two_body), norb, electrons
        )
    return float(energy)


@pytest.mark.parametrize("name", SYSTEMS)
def test_in_the_whole_space_it_is_full_ci_and_of_the_right_spin(name: str) -> None:
    hamiltonian = SYSTEMS[name]()
    alpha, beta = (every(hamiltonian.norb, n) for n in hamiltonian.electrons)

    found = solved(hamiltonian, alpha, beta)

    assert found["converged"] and found["residual"] < 1e-6
    assert found["energy"] == pytest.approx(full_ci(hamiltonian), abs=AGREE)
    asked = lowest_spin_square(hamiltonian.electrons)
    assert found["spin_square"] == pytest.approx(asked, abs=1e-6)


# spaces of some strings


def some(norb: int, electrons: int, count: int, rng: np.random.Generator) -> Strings:
    return rng.permutation(every(norb, electrons))[:count]


@pytest.mark.parametrize("seed", first(4, range(40)))
def test_among_any_strings_it_is_the_lowest_state_of_their_matrix(seed: int) -> None:
    rng = np.random.default_rng(seed)
    norb = int(rng.integers(1, 8))
    electrons = int(rng.integers(0, norb + 1)), int(rng.integers(0, norb + 1))
    hamiltonian = random_system(norb, electrons, seed)
    alpha, beta = (some(norb, n, int(rng.integers(1, 14)), rng) for n in electrons)
    energies, spins = matrices(hamiltonian, alpha, beta)
    values, vectors = np.linalg.eigh(energies)

    found = solved(hamiltonian, alpha, beta, spin_square=np.array(np.nan))

    assert found["converged"]
    assert found["energy"] == pytest.approx(values[0], abs=AGREE)
    if len(values) == 1 or values[1] - values[0] > 1e-3:
        weights = (vectors[:, 0] ** 2).reshape(len(beta), len(alpha))
        np.testing.assert_allclose(found["alpha_weights"], weights.sum(axis=0), atol=1e-5)
        np.testing.assert_allclose(found["beta_weights"], weights.sum(axis=1), atol=1e-5)
        expected = vectors[:, 0] @ spins @ vectors[:, 0]
        assert found["spin_square"] == pytest.approx(expected, abs=1e-4)
        assert found["occupancies"].sum(axis=1) == pytest.approx(electrons)


@pytest.mark.parametrize(("asked", "mirrored"), [(0.0, 1), (2.0, -1)])
@pytest.mark.parametrize("seed", first(2, range(20)))
def test_among_the_same_strings_even_and_odd_spins_are_kept_apart(
    seed: int, asked: float, mirrored: int
) -> None:
    hamiltonian = random_system(6, (3, 3), seed)
    strings = some(6, 3, 9, np.random.default_rng(seed))
    energies, _ = matrices(hamiltonian, strings, strings)
    exchange = np.eye(81).reshape(9, 9, 81).transpose(1, 0, 2).reshape(81, 81)
    values, vectors = np.linalg.eigh(exchange)
    chosen = vectors[:, abs(values - mirrored) < 1e-6]

    found = solved(hamiltonian, strings, strings, spin_square=np.array(asked))

    lowest = np.linalg.eigvalsh(chosen.T @ energies @ chosen)[0]
    if abs(found["spin_square"] - asked) < 0.5:
        assert found["energy"] == pytest.approx(lowest, abs=AGREE)
    assert found["energy"] > lowest - AGREE


def test_a_spin_that_is_not_the_lowest_can_be_asked_for() -> None:
    hamiltonian = random_system(5, (3, 2), 5)
    alpha, beta = every(5, 3), every(5, 2)

    found = solved(hamiltonian, alpha, beta, spin_square=np.array(3.75))

    expected = lowest_of_spin(*matrices(hamiltonian, alpha, beta), 3.75)
    assert found["spin_square"] == pytest.approx(3.75, abs=1e-4)
    assert found["energy"] == pytest.approx(expected, abs=1e-6)


def test_the_state_is_the_asked_spin_s_though_a_higher_one_is_lower() -> None:
    """A strong field of exchange: the quartet of three electrons is below their doublets."""
    two_body = np.zeros((3,) * 4)
    for p, q in combinations(range(3), 2):
        for i, j, k, m in ((p, q, p, q), (p, q, q, p), (q, p, p, q), (q, p, q, p)):
            two_body[i, j, k, m] = 0.3
    hamiltonian = made((2, 1), np.diag([0.0, 0.01, 0.03]), two_body)
    alpha, beta = every(3, 2), every(3, 1)

    found, lowest = (
        solved(hamiltonian, alpha, beta, spin_square=np.array(spin)) for spin in (0.75, np.nan)
    )

    assert lowest["spin_square"] == pytest.approx(3.75, abs=1e-6)
    assert found["spin_square"] == pytest.approx(0.75, abs=1e-6)
    expected = lowest_of_spin(*matrices(hamiltonian, alpha, beta), 0.75)
    assert found["energy"] == pytest.approx(expected, abs=AGREE)
    assert found["energy"] > lowest["energy"] + 0.1


HYDROGENS = "; ".join(f"H 0 0 {i}" for i in range(4))

EVEN: dict[str, Any] = {
    "four hydrogens": lambda: molecule(HYDROGENS),
    "four hydrogens in a larger basis": lambda: molecule(HYDROGENS, basis="6-31g"),
    "C2": SYSTEMS["C2, whose lowest determinant is a triplet's"],
    "nitrogen": lambda: molecule("N 0 0 0; N 0 0 1.1", frozen_core=2),
    "methylene": SYSTEMS["methylene, a singlet"],
}


def of_more_alpha(hamiltonian: Hamiltonian, pairs: int) -> float:
    """The lowest energy with so many beta electrons turned: that of spins which reach so high."""
    alpha, beta = hamiltonian.electrons
    turned = {"num_alpha": alpha + pairs, "num_beta": beta - pairs}
    found = hamiltonian.model_copy(update=turned)
    return float(solved(found, *(every(found.norb, n) for n in found.electrons))["energy"])


@pytest.mark.parametrize(("pairs", "asked"), [(1, 2.0), (2, 6.0)])
@pytest.mark.parametrize("name", EVEN)
def test_the_state_is_the_asked_spin_s_though_a_lower_one_is_lower(
    name: str, pairs: int, asked: float
) -> None:
    hamiltonian = EVEN[name]()
    strings = every(hamiltonian.norb, hamiltonian.num_alpha)
    expected = of_more_alpha(hamiltonian, pairs)

    for beta in (strings, strings[::-1]):  # the same ones, in their order and in another
        found = solved(hamiltonian, strings, beta, spin_square=np.array(asked))

        assert found["converged"] and found["residual"] < 1e-5
        assert found["spin_square"] == pytest.approx(asked, abs=1e-6)
        assert found["energy"] == pytest.approx(expected, abs=AGREE)


@pytest.mark.parametrize("name", EVEN)
def test_among_strings_of_which_one_spin_lacks_one_it_is_the_asked_spin_s(name: str) -> None:
    hamiltonian = EVEN[name]()
    strings = every(hamiltonian.norb, hamiltonian.num_alpha)

    found = solved(hamiltonian, strings, strings[:-1], spin_square=np.array(2.0))

    expected = of_more_alpha(hamiltonian, 1)
    assert found["spin_square"] == pytest.approx(2, abs=0.01)
    assert found["energy"] == pytest.approx(expected, abs=0.01) and found["energy"] > expected


@pytest.mark.parametrize(("electrons", "asked"), [((3, 1), 6.0), ((3, 2), 8.75), ((2, 2), 6.0)])
def test_of_all_spins_that_there_are_each_is_found(electrons: Electrons, asked: float) -> None:
    hamiltonian = random_system(5, electrons, 4)
    alpha, beta = (every(5, n) for n in electrons)

    found = solved(hamiltonian, alpha, beta, spin_square=np.array(asked))

    expected = lowest_of_spin(*matrices(hamiltonian, alpha, beta), asked)
    assert found["spin_square"] == pytest.approx(asked, abs=1e-6)
    assert found["energy"] == pytest.approx(expected, abs=AGREE)


@pytest.mark.parametrize("roots", [1, 3])
def test_among_strings_without_the_asked_spin_another_one_is_told(roots: int) -> None:
    hamiltonian = random_system(8, (4, 4), 3)
    strings = every(8, 4)[:3]

    found = solved(hamiltonian, strings, strings, spin_square=np.array(6.0), roots=np.array(roots))

    assert found["spin_square"] < 3 and np.isfinite(found["energy"])


def test_strings_in_another_order_keep_what_is_theirs() -> None:
    hamiltonian, strings = random_system(6, (3, 3), 1), every(6, 3)
    order = np.random.default_rng(1).permutation(len(strings))
    settings = {"keep": np.array("rdm"), "roots": np.array(2)}

    same, other = (
        solved(hamiltonian, strings, beta, **settings) for beta in (strings, strings[order])
    )

    np.testing.assert_array_equal(other["alpha_weights"], same["alpha_weights"])
    np.testing.assert_array_equal(other["beta_weights"], same["beta_weights"][order])
    np.testing.assert_array_equal(other["amplitudes"], same["amplitudes"][:, :, order])
    np.testing.assert_array_equal(other["pair_density"], same["pair_density"])


# several states


@pytest.mark.parametrize("seed", first(2, range(12)))
def test_the_lowest_states_of_any_spin_are_the_matrix_s(seed: int) -> None:
    rng = np.random.default_rng(seed)
    hamiltonian = random_system(6, (3, 2), seed)
    alpha, beta = some(6, 3, 12, rng), some(6, 2, 10, rng)
    energies, _ = matrices(hamiltonian, alpha, beta)

    found = solved(hamiltonian, alpha, beta, spin_square=np.array(np.nan), roots=np.array(4))

    assert found["converged"]
    np.testing.assert_allclose(found["levels"][:, 0], np.linalg.eigvalsh(energies)[:4], atol=AGREE)


@pytest.mark.parametrize(("electrons", "asked"), [((3, 3), 0.0), ((3, 3), 2.0), ((3, 2), 0.75)])
def test_the_lowest_states_of_a_spin_are_all_of_it(electrons: Electrons, asked: float) -> None:
    hamiltonian = random_system(5, electrons, 8)
    alpha, beta = (every(5, n) for n in electrons)
    energies, spins = matrices(hamiltonian, alpha, beta)
    values, vectors = np.linalg.eigh(spins)
    chosen = vectors[:, abs(values - asked) < 1e-6]

    found = solved(hamiltonian, alpha, beta, spin_square=np.array(asked), roots=np.array(3))

    known = np.linalg.eigvalsh(chosen.T @ energies @ chosen)[:3]
    np.testing.assert_allclose(found["levels"][:, 0], known, atol=AGREE)
    np.testing.assert_allclose(found["levels"][:, 1], asked, atol=1e-4)


def test_more_states_than_there_are_is_all_of_them() -> None:
    hamiltonian = random_system(3, (1, 1), 1)
    strings = every(3, 1)
    energies, _ = matrices(hamiltonian, strings, strings)
    found = solved(hamiltonian, strings, strings, spin_square=np.array(np.nan), roots=np.array(20))
    np.testing.assert_allclose(found["levels"][:, 0], np.linalg.eigvalsh(energies), atol=AGREE)


@pytest.mark.parametrize(("asked", "count"), [(0.0, 20), (2.0, 15), (6.0, 1)])
def test_more_states_than_there_are_of_a_spin_is_all_of_that_spin(asked: float, count: int) -> None:
    hamiltonian, strings = molecule(HYDROGENS), every(4, 2)
    energies, spins = matrices(hamiltonian, strings, strings)
    values, vectors = np.linalg.eigh(spins)
    chosen = vectors[:, abs(values - asked) < 1e-6]

    found = solved(hamiltonian, strings, strings, spin_square=np.array(asked), roots=np.array(40))

    known = np.linalg.eigvalsh(chosen.T @ energies @ chosen)
    assert len(found["levels"]) == len(known) == count
    np.testing.assert_allclose(found["levels"][:, 0], known, atol=1e-7)
    np.testing.assert_allclose(found["levels"][:, 1], asked, atol=1e-4)
    assert found["occupancies"].sum(axis=1) == pytest.approx([2, 2])


def test_what_is_carried_over_is_all_states_mean() -> None:
    hamiltonian = random_system(5, (2, 2), 2)
    strings = every(5, 2)
    asked = {"spin_square": np.array(np.nan), "roots": np.array(2)}
    energies, _ = matrices(hamiltonian, strings, strings)
    _, vectors = np.linalg.eigh(energies)
    weights = (vectors[:, :2] ** 2).mean(axis=1).reshape(10, 10)

    found = solved(hamiltonian, strings, strings, **asked)

    np.testing.assert_allclose(found["alpha_weights"], weights.sum(axis=0), atol=1e-5)
    np.testing.assert_allclose(found["beta_weights"], weights.sum(axis=1), atol=1e-5)


# what is hostile


def test_one_string_of_each_spin_is_its_own_state() -> None:
    hamiltonian = random_system(5, (2, 3), 1)
    alpha, beta = every(5, 2)[:1], every(5, 3)[:1]
    energies, _ = matrices(hamiltonian, alpha, beta)
    found = solved(hamiltonian, alpha, beta)
    assert found["energy"] == pytest.approx(energies[0, 0], abs=1e-12)
    assert found["converged"] and found["residual"] < 1e-12


def test_determinants_that_nothing_connects_are_no_matter() -> None:
    hamiltonian = random_system(12, (4, 4), 2)
    strings = pack(np.kron(np.eye(3, dtype=bool), np.ones(4, bool)))  # four electrons apart
    energies, _ = matrices(hamiltonian, strings, strings)
    found = solved(hamiltonian, strings, strings)
    assert found["energy"] == pytest.approx(np.linalg.eigvalsh(energies)[0], abs=AGREE)


@pytest.mark.parametrize("electrons", [(2, 2), (3, 1), (0, 0), (4, 4)])
def test_without_any_integral_the_energy_is_nothing(electrons: Electrons) -> None:
    nothing = made(electrons, np.zeros((4, 4)), np.zeros((4,) * 4))
    found = solved(nothing, *(every(4, n) for n in electrons))
    assert found["energy"] == 0 and found["converged"]
    assert found["occupancies"].sum(axis=1) == pytest.approx(electrons)


@pytest.mark.parametrize("norb", first(2, [64, 130, 63, 65, 128]))
def test_there_may_be_more_orbitals_than_bits_in_a_word(norb: int) -> None:
    """Two electrons in the ends of a chain whose middle is high."""
    small = molecule("H 0 0 0; H 0 0 0.735")
    ends, one_body = [0, norb - 1], np.diag(np.linspace(5, 6, norb))
    one_body[np.ix_(ends, ends)] = small.one_body
    count = norb * (norb + 1) // 2
    two_body = np.zeros(count * (count + 1) // 2)
    pairs = [ends[p] * (ends[p] + 1) // 2 + ends[q] for p in (0, 1) for q in range(p + 1)]
    for i, bra in enumerate(pairs):
        for j, ket in enumerate(pairs[: i + 1]):
            two_body[bra * (bra + 1) // 2 + ket] = small.two_body[i * (i + 1) // 2 + j]
    wide = small.model_copy(update={"norb": norb, "one_body": one_body, "two_body": two_body})
    strings = pack(np.eye(norb, dtype=bool)[[0, norb - 1, 30]])
    found = solved(wide, strings, strings)
    assert found["energy"] == pytest.approx(full_ci(small), abs=AGREE)


# bits, threads, jobs


@cache
def water() -> tuple[Hamiltonian, Strings]:
    hamiltonian = Molecule(frozen_core=1).hamiltonian()
    return hamiltonian, every(12, 4)[:60]


@pytest.mark.parametrize("spin_square", [0.0, np.nan], ids=["mirrored", "not mirrored"])
def test_threads_change_no_bit(spin_square: float) -> None:
    hamiltonian, strings = water()
    asked = np.array(spin_square)
    one, three = (
        solved(hamiltonian, strings, strings, threads=np.array(n), spin_square=asked)
        for n in (1, 3)
    )
    for name, value in one.items():
        np.testing.assert_array_equal(value, three[name])


@pytest.mark.parametrize("ranks", [1, 2, 3])
@pytest.mark.parametrize(
    ("electrons", "asked"),
    [((4, 4), "electrons"), ((4, 3), "electrons"), ((4, 3), 3.75)],
    ids=["mirrored", "not mirrored", "not the lowest spin"],
)
def test_ranks_change_no_bit(ranks: int, electrons: Electrons, asked: Any, tmp_path: Path) -> None:
    hamiltonian = random_system(8, electrons, 6)
    rng = np.random.default_rng(3)
    alpha = some(8, electrons[0], 50, rng)
    beta = alpha if electrons[0] == electrons[1] else some(8, electrons[1], 41, rng)
    space, solutions = Subspace(alpha=alpha, beta=beta), []
    for number in (None, ranks):
        solver = NativeSolver(ranks=number, roots=2, spin_square=asked)
        with stepping(Step(make_folder=lambda: tmp_path)):
            solve = partial(solver.solve, hamiltonian, space, LocalMachine())
            solutions.append(anyio.run(solve))
    assert solutions[0] == solutions[1]


def in_order(found: Solution) -> list[Any]:
    return [found.energy.hex(), found.residual.hex(), *found.alpha_weights, *found.occupancies[0]]


def test_a_job_says_what_a_worker_says(tmp_path: Path) -> None:
    hamiltonian, strings = water()
    space = Subspace(alpha=strings, beta=strings)

    async def solve(solver: NativeSolver) -> Solution:
        return await solver.solve(hamiltonian, space, LocalMachine())

    with stepping(Step(make_folder=lambda: tmp_path)):
        here, there = (
            anyio.run(partial(solve, NativeSolver(as_job=as_job))) for as_job in (False, True)
        )
    assert in_order(here) == in_order(there)
    assert here.converged and here.residual <= NativeSolver().tolerance


def test_without_numba_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "qcsc_algorithms.sqd.solvers.ground_state", None)
    hamiltonian, strings = water()
    with pytest.raises(CompilerMissing):
        solved(hamiltonian, strings, strings)


# in a run


def test_a_run_s_state_table_and_warning_say_its_spin(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    carbon = SYSTEMS["C2, whose lowest determinant is a triplet's"]()
    carbon.write_fcidump(tmp_path / "c2")
    settings: Any = {"system": FCIDump(path=tmp_path / "c2"), "shots": 2000, "optimizer": "random"}
    energies = {}
    for solver in ("native", "pyscf"):
        caplog.clear()
        sqd = SQD(**settings | {"solver": {"type": solver}}, walkers=1)
        outcome = anyio.run(partial(_run, sqd, MemoryStore()))
        state = outcome.state
        energies[solver] = state.energy
        row = next(row for row in sqd.tables(state)["sqd-energies"] if row["method"] == "SQD")
        assert row["S^2"] == state.spin_square
        wrong = abs(state.spin_square) > 0.1
        assert ("it is of another spin, or a mixture" in caplog.text) == wrong
        assert wrong == (solver == "pyscf")
    assert energies["native"] == pytest.approx(-74.689751, abs=1e-5)
    assert energies["pyscf"] == pytest.approx(-74.639979, abs=1e-5)


def test_a_run_begun_with_another_solver_keeps_it(tmp_path: Path) -> None:
    system: Any = {"geometry": "H 0 0 0; H 0 0 0.735", "basis": "sto-3g"}
    pyscf: Any = {"type": "pyscf"}
    store = DirectoryStore(tmp_path)
    begun = SQD(system=system, shots=50, solver=pyscf)
    anyio.run(partial(_run, begun, store, run_id="old"))
    with pytest.raises(ParametersChanged, match=r"solver\.type"):
        anyio.run(partial(_run, SQD(system=system, shots=50), store, run_id="old"))


async def _run(sqd: SQD, store: Any, **options: Any) -> Any:
    return await sqd.run(store=store, stop=MaxIterations(1), seed=3, **options)

"""Energy and variance of states among some strings, beside full CI's Hamiltonian by pyscf."""

from __future__ import annotations

import doctest
from itertools import combinations
from typing import Any

import anyio
import numpy as np
import pytest
from pyscf import ao2mo
from pyscf.fci import direct_uhf
from threadpoolctl import threadpool_limits

from qcsc_algorithms.sqd import (
    Hamiltonian,
    Molecule,
    NativeSolver,
    PyscfSolver,
    Subspace,
    energy_variance,
)
from qcsc_algorithms.sqd.chemistry.unrestricted import unpacked_mixed
from qcsc_algorithms.sqd.determinants.configurations import Strings, as_integers, from_integers
from qcsc_algorithms.sqd.solvers import energy_variance as module
from qcsc_algorithms.sqd.solvers.native_program import lowest_state
from qcsc_algorithms.sqd.solvers.one_process import problem_of
from qcsc_hpc.machine import LocalMachine
from qcsc_loop.errors import JobRefused

AGREE = 1e-8
LITHIUM_HYDRIDE = "Li 0 0 0; H 0 0 1.6"


def random_system(norb: int, electrons: tuple[int, int], seed: int) -> Hamiltonian:
    rng = np.random.default_rng(seed)
    one_body = np.diag(np.arange(norb) / 2) + rng.normal(size=(norb, norb)) / 4
    factors = rng.normal(size=(3, norb, norb)) / 4
    factors += factors.transpose(0, 2, 1)
    two_body = ao2mo.restore(8, np.einsum("lpq,lrs->pqrs", factors, factors), norb)
    return Hamiltonian(
        norb=norb,
        num_alpha=electrons[0],
        num_beta=electrons[1],
        constant=0.5,
        one_body=one_body + one_body.T,
        two_body=np.asarray(two_body),
    )


def molecule(geometry: str, **settings: Any) -> Hamiltonian:
    with threadpool_limits(1):
        return Molecule(geometry=geometry, **{"basis": "sto-3g", **settings}).hamiltonian()


def every(norb: int, electrons: int) -> Strings:
    """In ascending order."""
    words = sorted(sum(1 << p for p in chosen) for chosen in combinations(range(norb), electrons))
    return from_integers(np.array(words), norb)


def some(hamiltonian: Hamiltonian, seed: int, most: int, *, same: bool = False) -> Any:
    """A few strings of each spin, and amplitudes."""
    rng = np.random.default_rng(seed)
    alpha, beta = (
        rng.permutation(every(hamiltonian.norb, n))[: int(rng.integers(1, most + 1))]
        for n in hamiltonian.electrons
    )
    beta = alpha if same else beta
    return alpha, beta, rng.normal(size=(len(alpha), len(beta)))


def exact(hamiltonian: Hamiltonian, alpha: Strings, beta: Strings, amplitudes: Any) -> Any:
    """By the Hamiltonian of all determinants."""
    norb, electrons = hamiltonian.norb, hamiltonian.electrons
    whole = [as_integers(every(norb, n)) for n in electrons]
    rows, columns = (
        np.searchsorted(all_, as_integers(own))
        for all_, own in zip(whole, (alpha, beta), strict=True)
    )
    state = np.zeros((len(whole[0]), len(whole[1])))
    state[np.ix_(rows, columns)] = amplitudes
    state /= np.linalg.norm(state)
    one, two = np.array(hamiltonian.one_body), np.array(hamiltonian.two_body)
    ones, twos = (one, one), [ao2mo.restore(1, two, norb)] * 3
    if hamiltonian.beta is not None:
        ones = (one, np.array(hamiltonian.beta.one_body))
        twos[1] = unpacked_mixed(np.asarray(hamiltonian.beta.mixed), norb)
        twos[2] = ao2mo.restore(1, np.array(hamiltonian.beta.two_body), norb)
    contract: Any = direct_uhf.contract_2e
    absorb: Any = direct_uhf.absorb_h1e
    absorbed = absorb(ones, twos, norb, electrons, 0.5)
    image = np.asarray(contract(absorbed, state, norb, electrons)).reshape(state.shape)
    energy = float((state * image).sum())
    return energy + hamiltonian.constant, float(((image - energy * state) ** 2).sum())


SYSTEMS: dict[str, Any] = {
    "closed": lambda: random_system(6, (3, 3), 1),
    "open": lambda: random_system(6, (4, 2), 2),
    "one spin has one electron": lambda: random_system(7, (1, 4), 3),
    "strings of two bytes": lambda: random_system(9, (3, 2), 4),
    "a spin is full": lambda: random_system(5, (5, 2), 5),
    "lithium hydride": lambda: molecule(LITHIUM_HYDRIDE),
    "its cation": lambda: molecule(LITHIUM_HYDRIDE, charge=1, spin=1),
    "unrestricted": lambda: molecule(
        "Li 0 0 0; H 0 0 1.6; H 0 0 4", spin=1, symmetry=False, orbitals="unrestricted"
    ),
}


@pytest.mark.parametrize("name", SYSTEMS)
def test_it_is_full_ci_s_whatever_strings_the_state_has(name: str) -> None:
    hamiltonian = SYSTEMS[name]()
    for seed in range(3):
        state = some(hamiltonian, seed, 12)
        found, expected = energy_variance(hamiltonian, *state), exact(hamiltonian, *state)
        assert found.energy == pytest.approx(expected[0], abs=AGREE)
        assert found.variance == pytest.approx(expected[1], abs=AGREE)
        assert expected[1] > 1e-3


def test_an_exact_eigenstate_has_none() -> None:
    hamiltonian = molecule(LITHIUM_HYDRIDE)
    alpha = every(hamiltonian.norb, 2)
    found = lowest_state(
        problem_of(
            hamiltonian,
            alpha=alpha,
            beta=alpha,
            tolerance=1e-8,
            max_cycles=200,
            threads=1,
            spin_square=0.0,
            keep="amplitudes",
        )
    )
    variance = energy_variance(hamiltonian, alpha, alpha, found["amplitudes"][0]).variance
    assert 0 <= variance < 1e-14


@pytest.mark.parametrize("spin_square", [0.0, 2.0, np.nan])
def test_the_solver_s_is_that_of_its_state(spin_square: float) -> None:
    hamiltonian = random_system(6, (3, 3), 7)
    alpha, beta, _ = some(hamiltonian, 3, 12, same=True)
    found = lowest_state(
        problem_of(
            hamiltonian,
            alpha=alpha,
            beta=beta,
            tolerance=1e-7,
            max_cycles=200,
            threads=1,
            spin_square=spin_square,
            keep="amplitudes",
            variance=True,
        )
    )
    own = energy_variance(hamiltonian, alpha, beta, found["amplitudes"][0])
    assert found["variance"] == pytest.approx(own.variance, abs=AGREE)
    assert found["energy"] + hamiltonian.constant == pytest.approx(own.energy, abs=AGREE)
    assert own.variance == pytest.approx(
        exact(hamiltonian, alpha, beta, found["amplitudes"][0])[1], abs=AGREE
    )


def test_a_solver_tells_it_where_it_is_asked_for() -> None:
    hamiltonian = molecule(LITHIUM_HYDRIDE)
    space = Subspace(alpha=every(6, 2)[:5], beta=every(6, 2)[:5])
    solver, machine = NativeSolver(), LocalMachine()
    told = anyio.run(solver.solve_with_variance, hamiltonian, space, machine)
    silent = anyio.run(solver.solve, hamiltonian, space, machine)
    assert told.variance > 0
    assert np.isnan(silent.variance)
    assert told.energy == silent.energy
    with pytest.raises(JobRefused, match=r"does not tell the variance .* take native"):
        anyio.run(PyscfSolver().solve_with_variance, hamiltonian, space, machine)


def test_less_memory_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    hamiltonian = random_system(6, (3, 2), 6)
    state = some(hamiltonian, 1, 12)
    whole = energy_variance(hamiltonian, *state)
    monkeypatch.setattr(module, "HELD", 20)
    assert energy_variance(hamiltonian, *state) == pytest.approx(whole, abs=1e-12)


def test_of_too_many_strings_it_says_how_many_would_do() -> None:
    """A string of 20 electrons in 40 orbitals has 36,500 excitations."""
    words = [(1 << 20) - 1 ^ 1 << i % 20 | 1 << 20 + i // 20 for i in range(400)]
    strings = from_integers(np.array(words * 2), 40)
    hamiltonian = random_system(2, (1, 1), 1).model_copy(
        update={"norb": 40, "num_alpha": 20, "num_beta": 20}
    )
    space, solver = Subspace(alpha=strings, beta=strings), NativeSolver()
    with pytest.raises(JobRefused, match=r"are 29,200,000, .*take at most 459 strings"):
        anyio.run(solver.solve_with_variance, hamiltonian, space, LocalMachine())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"amplitudes": np.ones((2, 3))}, r"amplitudes of 2 alpha and 2 beta strings are \(2, 2\)"),
        ({"amplitudes": np.zeros((2, 2))}, "finite numbers of which one is not 0"),
        ({"amplitudes": np.full((2, 2), np.nan)}, "finite numbers of which one is not 0"),
        ({"alpha": every(4, 3)[:2]}, "each alpha string has 2 electrons in 4 orbitals"),
        ({"beta": every(4, 2)[[1, 1]]}, "beta strings are distinct"),
        ({"beta": as_integers(every(4, 2)[:2])}, r"are uint8 \(strings, 1\), not int64 \(2,\)"),
        ({"alpha": every(9, 2)[:2]}, r"are uint8 \(strings, 1\), not uint8 \(2, 2\)"),
        ({"alpha": every(5, 2)[[0, -1]]}, "each alpha string has 2 electrons in 4 orbitals"),
    ],
)
def test_what_is_no_state_is_refused(change: dict[str, Any], said: str) -> None:
    hamiltonian = random_system(4, (2, 2), 1)
    state: dict[str, Any] = {"alpha": every(4, 2)[:2], "beta": every(4, 2)[:2]}
    with pytest.raises(ValueError, match=said):
        energy_variance(hamiltonian, **{**state, "amplitudes": np.ones((2, 2)), **change})


def test_its_example_is_true() -> None:
    results = doctest.testmod(module)
    assert results.attempted > 0
    assert results.failed == 0

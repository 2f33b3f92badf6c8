"""What no solver takes: it would be an energy like any other."""

from __future__ import annotations

from typing import Any

import anyio
import numpy as np
import pytest
from qiskit_addon_sqd import fermion

from qcsc_algorithms.sqd import (
    CallableSolver,
    Hamiltonian,
    Molecule,
    NativeSolver,
    PyscfSolver,
    Solver,
    Subspace,
    energy_variance,
    solve_sci_batch,
)
from qcsc_algorithms.sqd.determinants.configurations import from_integers
from qcsc_algorithms.sqd.solvers.requirements import require_hamiltonian
from qcsc_hpc.machine import LocalMachine
from qcsc_loop.errors import JobRefused

NORB, STRINGS = 4, [0b0011, 0b0101, 0b0110]
SOLVERS = [NativeSolver(), PyscfSolver(), CallableSolver()]


def small() -> Hamiltonian:
    rng = np.random.default_rng(2)
    one_body = rng.normal(size=(NORB, NORB))
    return Hamiltonian(
        norb=NORB,
        num_alpha=2,
        num_beta=2,
        constant=0.5,
        one_body=one_body + one_body.T,
        two_body=rng.normal(size=55) / 4,
    )


def space(alpha: list[int], beta: list[int]) -> Subspace:
    return Subspace(alpha=from_integers(alpha, NORB), beta=from_integers(beta, NORB))


def changed(**changes: Any) -> Hamiltonian:
    return Hamiltonian(**{**dict(small()), **changes})


def solve(solver: Solver, hamiltonian: Hamiltonian, subspace: Subspace) -> float:
    return anyio.run(solver.solve, hamiltonian, subspace, LocalMachine(ranks=1)).energy


ONE = np.array(small().one_body)
TWO = np.array(small().two_body)
HAMILTONIANS: dict[str, tuple[dict[str, Any], str]] = {
    "fewer electrons than none": ({"num_alpha": -1}, "num_alpha: 4 orbitals have 0 to 4"),
    "more electrons than orbitals": ({"num_beta": 5}, "num_beta: .* not 5"),
    "no orbital": ({"norb": 0}, "at least one orbital, not 0"),
    "a constant that is no number": ({"constant": np.nan}, "constant: it is a finite number"),
    "fewer integrals": ({"two_body": TWO[:10]}, r"two_body: .*\(55,\).*these are \(10,\)"),
    "integrals not packed": ({"two_body": np.zeros((4,) * 4)}, r"restore\(8, two_body, norb\)"),
    "another matrix": ({"one_body": ONE[:2, :2]}, r"one_body: .*\(4, 4\), and these are \(2, 2\)"),
    "complex integrals": ({"one_body": ONE * 1j}, "one_body: .*real numbers.*complex128"),
    "complex repulsion": ({"two_body": TWO + 0j}, "two_body: .*give their real part"),
    "no numbers": ({"one_body": ONE * np.nan}, "one_body: integrals are finite"),
    "infinite repulsion": ({"two_body": TWO + np.inf}, "two_body: integrals are finite"),
    "one triangle": ({"one_body": np.triu(ONE)}, "one_body: .*are symmetric.*off by"),
}


@pytest.mark.parametrize("name", HAMILTONIANS)
def test_what_is_no_hamiltonian_is_refused_by_every_solver(name: str) -> None:
    changes, why = HAMILTONIANS[name]
    wrong = changed(**changes)
    for solver in SOLVERS:
        with pytest.raises(JobRefused, match=f"{solver.type} cannot run this job.*{why}"):
            solve(solver, wrong, space(STRINGS, STRINGS))
    strings = space(STRINGS, STRINGS).alpha
    with pytest.raises(ValueError, match=why):
        energy_variance(wrong, strings, strings, np.eye(3))


SUBSPACES: dict[str, tuple[Any, str]] = {
    "repeated strings": (([3, 3, 5], [3, 5]), "alpha strings are distinct.*give each once"),
    "an electron more": (([3, 5], [3, 7]), "each beta string has 2 electrons in 4 orbitals"),
    "an orbital too high": (([3, 0b10001], [3]), "each alpha string has 2 electrons"),
    "no string": (([3], []), "there is no beta string"),
}


@pytest.mark.parametrize("name", SUBSPACES)
def test_what_is_no_subspace_is_refused_by_every_solver(name: str) -> None:
    strings, why = SUBSPACES[name]
    for solver in SOLVERS:
        with pytest.raises(JobRefused, match=why) as raised:
            solve(solver, small(), space(*strings))
        assert raised.value.field == "subspace"


def test_strings_of_another_kind_are_refused() -> None:
    wide = Subspace(alpha=np.array([[3], [5]]), beta=np.array([[3, 5]], np.uint8))
    with pytest.raises(JobRefused, match=r"alpha strings of 4 orbitals are uint8 \(strings, 1\)"):
        solve(NativeSolver(), small(), wide)


def test_integrals_of_beta_orbitals_are_looked_at_too() -> None:
    made = Molecule(
        geometry="H 0 0 0; H 0 0 2.5", basis="sto-3g", symmetry=False, orbitals="unrestricted"
    ).hamiltonian()
    assert made.beta is not None
    require_hamiltonian(made)
    for name in ("one_body", "two_body", "mixed"):
        shorter = made.beta.model_copy(update={name: np.array(getattr(made.beta, name))[:1]})
        with pytest.raises(ValueError, match=f"beta.{name}: the integrals of 2 orbitals"):
            require_hamiltonian(made.model_copy(update={"beta": shorter}))


def test_integrals_of_single_precision_are_solved_in_double() -> None:
    single = changed(one_body=ONE.astype("f4"), two_body=TWO.astype("f4"))
    energies = [solve(solver, single, space(STRINGS, STRINGS)) for solver in SOLVERS]
    assert energies == pytest.approx([energies[0]] * 3, abs=1e-7)


# spins


@pytest.mark.parametrize(
    ("electrons", "asked", "why"),
    [
        ((2, 2), 1.0, r"an S\^2 of 1: it is S \(S \+ 1\), here 0, 2, 6; take one of these"),
        ((2, 2), 0.75, "here 0, 2, 6"),
        ((2, 2), 12.0, "here 0, 2, 6"),
        ((3, 1), 0.0, "here 2, 6"),
        ((3, 2), 0.0, "here 0.75, 3.75; take"),
        ((4, 2), 0.0, "here 2; take that"),
    ],
)
def test_a_spin_that_there_cannot_be_is_refused(
    electrons: tuple[int, int], asked: float, why: str
) -> None:
    hamiltonian = changed(num_alpha=electrons[0], num_beta=electrons[1])
    strings = [[(1 << n) - 1] for n in electrons]
    for solver in (NativeSolver(spin_square=asked), PyscfSolver(spin_square=asked)):
        with pytest.raises(JobRefused, match=why) as raised:
            solve(solver, hamiltonian, space(*strings))
        assert raised.value.field == "solver.spin_square"
        with pytest.raises(JobRefused):  # by a run, before it samples
            solver.require_orbitals(hamiltonian)
    with pytest.raises(ValueError, match=why):
        batch(strings, nelec=electrons, spin_sq=asked)


def test_of_many_spins_the_first_are_named() -> None:
    wide = changed(norb=16, num_alpha=8, num_beta=8)
    with pytest.raises(JobRefused, match=r"here 0, 2, 6, 12, 20, 30, \.\.\. up to 72"):
        NativeSolver(spin_square=1.0).require_orbitals(wide)


# the slot of qiskit-addon-sqd


def batch(strings: Any, **changes: Any) -> Any:
    settings: dict[str, Any] = {
        "one_body_tensor": np.array(small().one_body),
        "two_body_tensor": small().full_two_body(),
        "norb": NORB,
        "nelec": (2, 2),
        **changes,
    }
    alpha, beta = (np.array(each, np.int64) for each in strings)
    (result,) = solve_sci_batch([(alpha, beta)], **settings)
    return result


def test_repeated_strings_count_once() -> None:
    given = [6, 3, 3, 5]
    repeated, distinct = (batch((each, each), spin_sq=np.nan) for each in (given, STRINGS))
    (expected,) = fermion.solve_sci_batch(
        [(np.array(STRINGS), np.array(STRINGS))],
        np.array(small().one_body),
        small().full_two_body(),
        NORB,
        (2, 2),
    )
    assert repeated.energy == distinct.energy == pytest.approx(expected.energy, abs=1e-7)
    assert repeated.sci_state.amplitudes.shape == (3, 3)
    assert repeated.sci_state.ci_strs_a.tolist() == STRINGS


FULL = small().full_two_body()


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"nelec": (-1, 2)}, "num_alpha: 4 orbitals have 0 to 4"),
        ({"nelec": (2, 5)}, "num_beta: .* not 5"),
        ({"one_body_tensor": ONE[:2, :2]}, "one_body_tensor: .*these are"),
        ({"one_body_tensor": ONE * 1j}, "one_body_tensor: .*real numbers"),
        ({"one_body_tensor": np.tril(ONE)}, "one_body_tensor: .*symmetric"),
        ({"two_body_tensor": FULL[:2]}, r"two_body_tensor: .*\(4, 4, 4, 4\)"),
        ({"two_body_tensor": FULL[0]}, "two_body_tensor: .*these are"),
        ({"two_body_tensor": TWO[:10]}, r"two_body_tensor: .*\(55,\)"),
        ({"two_body_tensor": FULL * 1j}, "two_body_tensor: .*real numbers"),
        ({"two_body_tensor": FULL * np.nan}, "two_body_tensor: integrals are finite"),
        ({"two_body_tensor": np.tril(FULL)}, "two_body_tensor: .*symmetric"),
        ({"spin_sq": 1.0}, "here 0, 2, 6"),
    ],
)
def test_what_is_no_problem_is_refused_in_the_slot(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        batch((STRINGS, STRINGS), **changes)


@pytest.mark.parametrize(
    ("strings", "why"),
    [
        (([3, 7], [3]), "each alpha string has 2 electrons"),
        (([3], [3, 0b10001]), "beta strings of 4 orbitals are integers from 0"),
        (([-3], [3]), "alpha strings of 4 orbitals are integers"),
        (([3], []), "there is no beta string"),
    ],
)
def test_what_are_no_strings_are_refused_in_the_slot(strings: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        batch(strings)


def test_packed_integrals_are_taken_in_the_slot() -> None:
    packed, full = batch((STRINGS, STRINGS), two_body_tensor=TWO), batch((STRINGS, STRINGS))
    assert packed.energy == full.energy


def test_the_slot_finds_the_asked_spin() -> None:
    strings = [int(word) for word in np.flatnonzero(np.bitwise_count(np.arange(16)) == 2)]
    found = [batch((strings, beta), spin_sq=6.0) for beta in (strings, strings[::-1])]
    turned = batch(([0b1111], [0]), nelec=(4, 0))
    for each in found:
        assert each.sci_state.spin_square() == pytest.approx(6, abs=1e-6)
        assert each.energy == pytest.approx(turned.energy, abs=1e-8)

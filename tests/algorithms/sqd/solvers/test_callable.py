"""Functions written for qiskit-addon-sqd's solver slot, as solvers of ours, and ours in that slot."""

from __future__ import annotations

from functools import cache, partial
from itertools import combinations
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest
from qiskit_addon_sqd import fermion
from qiskit_addon_sqd.fermion import SCIResult, SCIState

from qcsc_algorithms.sqd import (
    SQD,
    CallableSolver,
    Hamiltonian,
    Molecule,
    NativeSolver,
    Solution,
    Solver,
    Subspace,
    solve_sci_batch,
)
from qcsc_algorithms.sqd.determinants.configurations import as_integers, from_integers
from qcsc_algorithms.sqd.solvers.callable_program import NoSuchState, lowest_state
from qcsc_algorithms.sqd.solvers.one_process import problem_of
from qcsc_algorithms.sqd.solvers.sci_states import STATE
from qcsc_hpc.machine import LocalMachine
from qcsc_loop import MaxIterations, MemoryStore
from qcsc_loop.errors import JobRefused
from qcsc_loop.steps.step import Step, stepping

AGREE = 1e-8  # hartree
HERE = f"{__file__}:"


@cache
def water() -> tuple[Hamiltonian, Subspace]:
    """Strings in no order, other ones of each spin."""
    words = [sum(1 << p for p in filled) for filled in combinations(range(12), 4)]
    some = from_integers(np.random.default_rng(4).permutation(words[:90]), 12)
    return Molecule(frozen_core=1).hamiltonian(), Subspace(alpha=some[:40], beta=some[5:40])


def solved(solver: Solver, folder: Path) -> Solution:
    with stepping(Step(make_folder=lambda: folder)):
        return anyio.run(partial(solver.solve, *water(), LocalMachine()))


def described(function: str) -> Any:
    hamiltonian, space = water()
    return lowest_state(
        problem_of(
            hamiltonian,
            alpha=as_integers(space.alpha),
            beta=as_integers(space.beta),
            function=HERE + function,
            options="{}",
            tolerance=1e-3,
        )
    )


@pytest.mark.parametrize("as_job", [False, True], ids=["worker", "job"])
def test_the_addon_s_own_solver_is_one_of_ours(as_job: bool, tmp_path: Path) -> None:
    options: Any = {"max_cycle": 200, "tol": 1e-12}
    ours = solved(NativeSolver(), tmp_path)
    found = solved(CallableSolver(options=options, as_job=as_job), tmp_path)

    assert found.energy == pytest.approx(ours.energy, abs=AGREE)
    np.testing.assert_array_equal(found.alpha[:5], ours.alpha[:5])
    np.testing.assert_allclose(found.alpha_weights, ours.alpha_weights, atol=1e-5)
    np.testing.assert_allclose(found.beta_weights, ours.beta_weights, atol=1e-5)
    np.testing.assert_allclose(found.occupancies, ours.occupancies, atol=1e-5)
    assert found.spin_square == pytest.approx(ours.spin_square, abs=1e-4)
    assert found.converged and found.residual < 1e-3


def test_a_function_of_a_file_may_be_called_by_ranks(tmp_path: Path) -> None:
    """Each rank finds a part, all of them meet, and only the first one's answer counts."""
    file = tmp_path / "mine.py"
    file.write_text(
        "from mpi4py import MPI\n"
        "from qcsc_algorithms.sqd import solve_sci_batch\n"
        "def solve(strings, *problem, **options):\n"
        "    assert MPI.COMM_WORLD.allreduce(1) == 2\n"
        "    found = solve_sci_batch(strings, *problem, **options)\n"
        "    return found if MPI.COMM_WORLD.rank == 0 else None\n"
    )
    found = solved(CallableSolver(function=f"{file}:solve", ranks=2), tmp_path)
    assert found.energy == pytest.approx(solved(NativeSolver(), tmp_path).energy, abs=AGREE)


# what a function may return


def as_given(strings: Any, *problem: Any, **options: Any) -> Any:
    return solve_sci_batch(strings, *problem, **options)


def shuffled(strings: Any, *problem: Any) -> Any:
    """Strings in another order, and not all of them."""
    (found,) = as_given(strings, *problem)
    state = found.sci_state
    assert state is not None
    rows = np.argsort(-(state.amplitudes**2).sum(axis=1))[:-1]
    kept = SCIState(
        state.amplitudes[rows], state.ci_strs_a[rows], state.ci_strs_b, state.norb, state.nelec
    )
    return [SCIResult(found.energy, kept, found.orbital_occupancies)]


def without_amplitudes(strings: Any, *problem: Any) -> Any:
    (found,) = as_given(strings, *problem)
    ((alpha, beta),) = strings
    chosen = alpha[::-1][:7], beta[::-1][:6]
    return [SCIResult(found.energy, None, found.orbital_occupancies, carryover=chosen)]


def an_energy_of_another_state(strings: Any, *problem: Any) -> Any:
    (found,) = as_given(strings, *problem)
    return [SCIResult(found.energy - 0.1, found.sci_state, found.orbital_occupancies)]


def of_another_space(strings: Any, *problem: Any) -> Any:
    alpha, beta = strings[0]
    turned = (alpha << 1 | alpha >> 11) & 0xFFF  # as many electrons, each an orbital further
    return as_given([(turned, beta)], *problem)


def nothing(*_: Any) -> Any:
    return [SCIResult(0.0, None, (np.zeros(12), np.zeros(12)))]


def a_number(*_: Any) -> Any:
    return -76.0


NO_FUNCTION = 3


def test_strings_may_come_back_in_another_order() -> None:
    known, found = described("as_given"), described("shuffled")
    np.testing.assert_allclose(found["alpha_weights"], known["alpha_weights"], atol=1e-4)
    np.testing.assert_allclose(found["beta_weights"], known["beta_weights"], atol=1e-4)


def test_without_amplitudes_the_strings_that_it_chose_are_carried_over(tmp_path: Path) -> None:
    _, space = water()
    found = solved(CallableSolver(function=HERE + "without_amplitudes"), tmp_path)
    alpha, beta = (np.sort(as_integers(s))[::-1] for s in (space.alpha, space.beta))
    assert as_integers(found.alpha)[:7].tolist() == alpha[:7].tolist()
    assert as_integers(found.beta)[:6].tolist() == beta[:6].tolist()
    assert np.isnan(found.alpha_weights).all() and np.isnan(found.residual)


def test_an_energy_that_is_not_its_state_s_is_no_convergence() -> None:
    found = described("an_energy_of_another_state")
    assert found["residual"] == pytest.approx(0.1, abs=1e-3)
    assert not found["converged"]


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        ("of_another_space", "which is not in the subspace"),
        ("nothing", "neither a state nor strings"),
        ("a_number", "a list with an SCIResult for each subspace"),
    ],
)
def test_what_is_no_result_is_refused(function: str, sentence: str) -> None:
    with pytest.raises(NoSuchState, match=sentence):
        described(function)


@pytest.mark.parametrize("name", ["no_such_package:solve", HERE + "absent", HERE + "NO_FUNCTION"])
def test_a_name_that_leads_to_no_function_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(JobRefused, match=r"give package\.module:function, or file\.py:function"):
        solved(CallableSolver(function=name), tmp_path)


def test_a_run_may_be_solved_by_it() -> None:
    system: Any = {"geometry": "H 0 0 0; H 0 0 0.735", "basis": "sto-3g"}
    solver = CallableSolver(function=HERE + "as_given")
    sqd = SQD(system=system, shots=100, solver=solver)
    outcome = anyio.run(lambda: sqd.run(store=MemoryStore(), stop=MaxIterations(1)))
    assert outcome.state.energy == pytest.approx(-1.137306, abs=1e-6)


# ours in the addon's slot


def test_ours_drives_the_addon_s_loop() -> None:
    hamiltonian, _ = water()
    full = hamiltonian.full_two_body()
    rng = np.random.default_rng(1)
    shots = rng.random((2000, 24)) < 1 / 3
    results = [
        fermion.diagonalize_fermionic_hamiltonian(
            np.array(hamiltonian.one_body),
            full,
            shots,
            samples_per_batch=20,
            norb=12,
            nelec=(4, 4),
            max_iterations=1,
            symmetrize_spin=True,
            seed=5,
            sci_solver=solver,
        )
        for solver in (solve_sci_batch, partial(fermion.solve_sci_batch, tol=1e-12))
    ]
    assert results[0].energy == pytest.approx(results[1].energy, abs=1e-7)


def test_its_results_have_densities_that_give_the_energy(tmp_path: Path) -> None:
    hamiltonian, space = water()
    found = solved(NativeSolver(keep="rdm"), tmp_path)
    with np.load(tmp_path / STATE) as file:
        kept = dict(file)
    one_body, two_body = np.array(hamiltonian.one_body), hamiltonian.full_two_body()
    energy = np.einsum("pq,pq", one_body, kept["rdm1"]) + 0.5 * np.einsum(
        "pqrs,pqrs", two_body, kept["rdm2"]
    )
    assert energy + hamiltonian.constant == pytest.approx(found.energy, abs=AGREE)
    assert kept["energy"] == pytest.approx(found.energy, abs=1e-12)

    state = SCIState.load(tmp_path / STATE)
    np.testing.assert_allclose(state.rdm(spin_summed=False), found.density, atol=1e-12)
    np.testing.assert_allclose(state.orbital_occupancies(), found.occupancies, atol=1e-12)
    assert state.spin_square() == pytest.approx(found.spin_square, abs=1e-8)
    (result,) = solve_sci_batch(
        [(as_integers(space.alpha), as_integers(space.beta))],
        one_body,
        two_body,
        12,
        (4, 4),
        rdm=True,
    )
    assert result.rdm2 is not None
    np.testing.assert_allclose(result.rdm2, kept["rdm2"], atol=1e-5)

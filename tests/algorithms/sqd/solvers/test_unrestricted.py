"""Diagonalisation over alpha and beta orbitals that differ, beside pyscf's unrestricted full CI."""

from __future__ import annotations

import math
from functools import cache
from itertools import combinations
from typing import Any

import anyio
import numpy as np
import pytest
from pyscf import ao2mo
from pyscf.fci import cistring, direct_uhf, spin_op
from threadpoolctl import threadpool_limits

from qcsc_algorithms.sqd import (
    SKQD,
    SQD,
    CallableSolver,
    DiceSolver,
    Hamiltonian,
    Molecule,
    NativeSolver,
    PyscfSolver,
    SbdFilesSolver,
    SbdSolver,
    Solver,
    Subspace,
    as_integers,
)
from qcsc_algorithms.sqd.chemistry.unrestricted import unpacked_mixed
from qcsc_algorithms.sqd.determinants.configurations import from_integers
from qcsc_algorithms.sqd.solvers import native_program, selected_ci
from qcsc_algorithms.sqd.solvers.one_process import problem_of
from qcsc_hpc.machine import LocalMachine
from qcsc_loop import MaxIterations, MemoryStore
from qcsc_loop.errors import InputError, JobRefused

AGREE = 1e-8  # hartree
SYSTEMS: dict[str, dict[str, Any]] = {
    "doublet": {"geometry": "Li 0 0 0; H 0 0 1.6; H 0 0 4", "spin": 1},
    "frozen core": {"geometry": "Li 0 0 0; H 0 0 1.6; H 0 0 4", "spin": 1, "frozen_core": 1},
    "broken symmetry": {"geometry": "; ".join(f"H 0 0 {2 * i}" for i in range(4))},
}


def system(name: str) -> Molecule:
    return Molecule(basis="sto-3g", symmetry=False, orbitals="unrestricted", **SYSTEMS[name])


@cache
def hamiltonian(name: str) -> Hamiltonian:
    with threadpool_limits(1):
        return system(name).hamiltonian()


def everything(made: Hamiltonian) -> Subspace:
    words = [
        np.array([sum(1 << p for p in chosen) for chosen in combinations(range(made.norb), n)])
        for n in made.electrons
    ]
    alpha, beta = (from_integers(each[::-1], made.norb) for each in words)
    return Subspace(alpha=alpha, beta=beta)


@cache
def exact(name: str) -> tuple[float, Any]:
    """Energy, and the state over all strings."""
    made = hamiltonian(name)
    assert made.beta is not None
    solver: Any = direct_uhf.FCI()
    solver.conv_tol = 1e-13
    matrices = np.array(made.one_body), np.array(made.beta.one_body)
    tensors = (
        ao2mo.restore(1, np.array(made.two_body), made.norb),
        unpacked_mixed(np.asarray(made.beta.mixed), made.norb),
        ao2mo.restore(1, np.array(made.beta.two_body), made.norb),
    )
    with threadpool_limits(1):
        energy, state = solver.kernel(matrices, tensors, made.norb, made.electrons)
    return float(energy) + made.constant, state


def found_by(program: Any, made: Hamiltonian, space: Subspace, **settings: Any) -> Any:
    """What a solver's program says, with the constant."""
    strings: Any = {"alpha": space.alpha, "beta": space.beta}
    if program is selected_ci.lowest_state:
        strings = {spin: as_integers(each) for spin, each in strings.items()}
    common = {"tolerance": 1e-7, "max_cycles": 200, "threads": 1, "spin_square": np.nan}
    if program is selected_ci.lowest_state:
        common["tolerance"] = 1e-13
    found = program(problem_of(made, **strings, **common, **settings))
    return found | {"energy": float(found["energy"]) + made.constant}


PROGRAMS = {"native": native_program.lowest_state, "pyscf": selected_ci.lowest_state}


@pytest.mark.parametrize("name", SYSTEMS)
@pytest.mark.parametrize("program", PROGRAMS)
def test_all_strings_give_full_ci_and_its_spin(name: str, program: str) -> None:
    made = hamiltonian(name)
    found = found_by(PROGRAMS[program], made, everything(made))
    energy, state = exact(name)
    assert found["energy"] == pytest.approx(energy, abs=AGREE)
    assert found["converged"]
    assert found["residual"] < 1e-5
    spin = abs(made.num_alpha - made.num_beta) / 2
    assert found["spin_square"] == pytest.approx(spin * (spin + 1), abs=1e-5)
    densities = direct_uhf.make_rdm1s(state, made.norb, made.electrons)
    occupied = [np.diagonal(density) for density in densities]
    np.testing.assert_allclose(found["occupancies"], occupied, atol=1e-4)


def some(made: Hamiltonian) -> Subspace:
    space = everything(made)
    return Subspace(
        alpha=space.alpha[: len(space.alpha) // 2], beta=space.beta[: len(space.beta) // 2 + 1]
    )


@pytest.mark.parametrize("name", ["doublet", "broken symmetry"])
def test_in_some_strings_both_agree_and_the_spin_is_the_states(name: str) -> None:
    """S^2 of a state that is of no sharp spin, beside pyscf's of the same state over all strings."""
    made, space = hamiltonian(name), some(hamiltonian(name))
    native, pyscf = (found_by(program, made, space) for program in PROGRAMS.values())
    assert native["energy"] == pytest.approx(pyscf["energy"], abs=AGREE)
    assert native["energy"] > exact(name)[0] + 1e-3
    kept = found_by(native_program.lowest_state, made, space, keep="amplitudes")
    whole = np.zeros([len(strings) for strings in (everything(made).alpha, everything(made).beta)])
    places = [
        [cistring.str2addr(made.norb, n, int(string)) for string in as_integers(strings)]
        for n, strings in zip(made.electrons, (space.alpha, space.beta), strict=True)
    ]
    whole[np.ix_(*places)] = kept["amplitudes"][0]
    assert made.beta is not None
    orbitals: Any = np.eye(made.norb), np.array(made.beta.overlap)
    overlap: Any = np.eye(made.norb)
    expected = spin_op.spin_square(whole, made.norb, made.electrons, orbitals, overlap)[0]
    assert abs(expected - round(expected, 2)) > 1e-6
    for found in (native, pyscf):
        assert found["spin_square"] == pytest.approx(expected, abs=1e-5)


def test_several_states_are_the_lowest_of_any_spin() -> None:
    made = hamiltonian("broken symmetry")
    found = found_by(native_program.lowest_state, made, everything(made), roots=3)
    spins = found["levels"][:, 1]
    np.testing.assert_allclose(spins, [0, 2, 2], atol=1e-4)
    assert np.all(np.diff(found["levels"][:, 0]) > 0)


def test_without_an_overlap_no_spin_is_told() -> None:
    made = hamiltonian("doublet")
    assert made.beta is not None
    beta = made.beta.model_copy(update={"overlap": np.empty((0, 0))})
    blind = made.model_copy(update={"beta": beta})
    for program in PROGRAMS.values():
        assert math.isnan(found_by(program, blind, some(made))["spin_square"])


def run(solver: Solver, name: str = "broken symmetry", **settings: Any) -> Any:
    kind = settings.pop("kind", SQD)
    algorithm = kind(system=system(name), solver=solver, shots=200, max_strings=6, **settings)
    store = MemoryStore()
    try:
        return anyio.run(lambda: algorithm.run(store=store, stop=MaxIterations(1)))
    finally:
        store.close()


@pytest.mark.parametrize("solver", [NativeSolver(), PyscfSolver()], ids=["native", "pyscf"])
def test_the_loop_reaches_full_ci_where_all_strings_fit(solver: Solver) -> None:
    state = run(solver, optimizer="random").state
    assert state.energy == pytest.approx(exact("broken symmetry")[0], abs=AGREE)
    assert state.references.fci == pytest.approx(exact("broken symmetry")[0], abs=AGREE)
    assert state.spin_square == pytest.approx(0, abs=1e-4)
    assert "sqd-natural-orbitals" not in SQD().tables(state)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "sbd": ({"solver": SbdSolver()}, "take native or pyscf"),
    "sbd-files": ({"solver": SbdFilesSolver()}, "take native or pyscf"),
    "dice": ({"solver": DiceSolver()}, "take native or pyscf"),
    "callable": ({"solver": CallableSolver()}, "take native or pyscf"),
    "a spin by native": (
        {"solver": NativeSolver(spin_square=0.0)},
        "solver.spin_square: .*take any",
    ),
    "a spin by pyscf": ({"solver": PyscfSolver(spin_square=0.0)}, "solver.spin_square: .*empty"),
    "densities": ({"solver": NativeSolver(keep="rdm")}, "solver.keep: .*take nothing"),
    "skqd": ({"solver": NativeSolver(), "kind": SKQD}, "take sqd or plain-sqd"),
    "cisd": ({"solver": NativeSolver(), "optimizer": {"type": "cisd"}}, "one that samples"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_take_them_refuses_before_a_shot_and_names_what_can(name: str) -> None:
    settings, sentence = REFUSED[name]
    with pytest.raises(InputError, match=sentence):
        run(**settings)


def test_a_solver_that_is_called_itself_refuses_too() -> None:
    made = hamiltonian("doublet")
    for solver in (SbdSolver(), SbdFilesSolver(), DiceSolver(), CallableSolver()):
        with pytest.raises(JobRefused, match="take native or pyscf"):
            anyio.run(solver.solve, made, some(made), LocalMachine())

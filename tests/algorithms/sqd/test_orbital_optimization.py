"""Plain SQD whose orbitals are optimised, on a molecule whose exact energy is known."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anyio
import numpy as np
import pytest
from pydantic import ValidationError
from threadpoolctl import threadpool_limits

from qcsc_algorithms.sqd import Hamiltonian, Molecule, PlainSQD, Recovered
from qcsc_loop import MaxIterations, MemoryStore, Outcome
from qcsc_loop.errors import InputError

H4 = Molecule(geometry="H 0 0 0; H 0 0 1; H 0 0 2; H 0 0 3", basis="6-31g")
RECOVERIES = 2
ROUNDING = 1e-9  # hartree


def algorithm(**settings: Any) -> PlainSQD:
    few: Any = {"shots": 1000, "max_strings": 10, "batches": 2, "sampler": {"type": "random"}}
    tuned: Any = {"optimize_orbitals_after": RECOVERIES, "tolerance": 0}
    return PlainSQD(**{"system": H4, **few, **tuned, **settings})


def run(iterations: int, store: MemoryStore, **settings: Any) -> Outcome[Recovered]:
    stop = MaxIterations(iterations)
    sqd = algorithm(**settings)
    return anyio.run(lambda: sqd.run(store=store, stop=stop, run_id="h4", seed=3))


def fci(hamiltonian: Hamiltonian) -> float:
    from pyscf.fci import direct_spin1

    solver: Any = direct_spin1.FCISolver()
    solver.conv_tol = 1e-13
    integrals = np.array(hamiltonian.one_body), hamiltonian.full_two_body()
    with threadpool_limits(1):
        energy, _ = solver.kernel(*integrals, hamiltonian.norb, hamiltonian.electrons)
    return float(energy) + hamiltonian.constant


@pytest.fixture(scope="module")
def straight() -> Iterator[tuple[Outcome[Recovered], list[Recovered]]]:
    """A run's end, and its states from when its orbitals are optimised."""
    store = MemoryStore()
    outcomes = [run(iterations, store) for iterations in range(RECOVERIES, RECOVERIES + 4)]
    yield outcomes[-1], [outcome.state for outcome in outcomes]
    store.close()


Straight = tuple[Outcome[Recovered], list[Recovered]]


def test_energies_fall_to_the_bound_and_stay_above_fci(straight: Straight) -> None:
    recovered, *tuned = straight[1]
    assert recovered.tuned is None
    energies = [state.current for state in tuned]
    bounds = [state.tuned.bound for state in tuned if state.tuned is not None]
    assert [state.tuned.rounds for state in tuned if state.tuned is not None] == [1, 2, 3]
    for energy, bound, following in zip(energies, bounds, energies[1:], strict=False):
        assert following < bound + ROUNDING < energy + 2 * ROUNDING
    assert energies[0] - energies[-1] > 1e-3
    assert bounds[-1] > fci(H4.hamiltonian()) - ROUNDING


def test_the_subspace_stays_and_the_rotation_keeps_the_exact_energy(straight: Straight) -> None:
    _, first, *_, last = straight[1]
    assert first.tuned is not None and last.tuned is not None
    assert first.tuned.subspace == last.tuned.subspace
    before, after = H4.hamiltonian(), last.hamiltonian
    assert np.linalg.norm(np.asarray(after.one_body) - np.asarray(before.one_body)) > 1e-3
    assert fci(after) == pytest.approx(fci(before), abs=ROUNDING)


def test_dipoles_are_turned_with_the_orbitals(straight: Straight) -> None:
    before, after = (np.asarray(s.hamiltonian.dipole_integrals) for s in straight[1][::3])
    assert np.abs(after - before).max() > 1e-3
    turned, plain = (np.linalg.eigvalsh(axes) for axes in (after, before))
    np.testing.assert_allclose(turned, plain, atol=1e-9)


def test_a_run_in_one_go_has_the_same_bits_as_one_that_was_resumed(straight: Straight) -> None:
    store = MemoryStore()
    assert run(RECOVERIES + 3, store).state_sha256 == straight[0].state_sha256
    store.close()


def test_without_the_option_nothing_is_rotated(straight: Straight) -> None:
    store = MemoryStore()
    state = run(RECOVERIES + 1, store, optimize_orbitals_after=None).state
    store.close()
    assert state.tuned is None
    assert state.hamiltonian == straight[1][0].hamiltonian


def test_a_run_is_not_converged_before_its_orbitals_are_optimised(straight: Straight) -> None:
    states = straight[1]
    sqd = algorithm(tolerance=10)
    assert not anyio.run(sqd.converged, states[0], states[1])
    assert anyio.run(sqd.converged, states[1], states[2])


def test_a_solver_without_densities_of_two_electrons_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"optimize_orbitals_after: .*take native"):
        algorithm(solver={"type": "pyscf"})


def test_unrestricted_orbitals_are_refused() -> None:
    store = MemoryStore()
    with pytest.raises(InputError, match="optimises orbitals common to both spins"):
        run(1, store, system=H4.model_copy(update={"orbitals": "unrestricted"}))
    store.close()

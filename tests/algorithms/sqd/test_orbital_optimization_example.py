"""The example that optimises orbitals around SQD, on a molecule whose exact energy is known."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from qcsc_algorithms.sqd.chemistry.hamiltonian import Hamiltonian
from qcsc_algorithms.sqd.chemistry.system import Molecule
from qcsc_loop import IterativeAlgorithm, MaxIterations, MemoryStore, Outcome
from qcsc_loop.catalog import find_algorithm

EXAMPLE = Path(__file__).parents[3] / "examples" / "sqd" / "orbital_optimization.py"
H4 = Molecule(geometry="H 0 0 0; H 0 0 1; H 0 0 2; H 0 0 3", basis="6-31g")
ROUNDING = 1e-9  # hartree


def example(**parameters: Any) -> IterativeAlgorithm[Any, Any, Any]:
    return find_algorithm(f"{EXAMPLE}:OrbitalOptimization").model_validate(
        {"system": H4, **parameters}
    )


def run(iterations: int, store: MemoryStore) -> Outcome[Any]:
    algorithm = example(max_strings=10, shots=1000, rounds=3, tolerance=0)
    stop = MaxIterations(iterations)
    return anyio.run(lambda: algorithm.run(store=store, stop=stop, run_id="h4"))


def fci(hamiltonian: Hamiltonian) -> float:
    from pyscf.fci import direct_spin1

    solver: Any = direct_spin1.FCISolver()
    solver.conv_tol = 1e-13
    integrals = np.array(hamiltonian.one_body), hamiltonian.full_two_body()
    with threadpool_limits(1):
        energy, _ = solver.kernel(*integrals, hamiltonian.norb, hamiltonian.electrons)
    return float(energy) + hamiltonian.constant


@pytest.fixture(scope="module")
def straight() -> Iterator[Outcome[Any]]:
    store = MemoryStore()
    yield run(4, store)
    store.close()


def test_the_energy_falls_to_the_bound_and_stays_above_fci(straight: Outcome[Any]) -> None:
    state = straight.state
    assert len(state.curve) == 4
    assert np.all(np.diff(state.curve) < ROUNDING)
    assert state.curve[0] - state.energy > 1e-3
    assert state.bound < state.energy + ROUNDING
    assert state.bound > fci(H4.hamiltonian()) - ROUNDING


def test_the_rotation_keeps_the_exact_energy(straight: Outcome[Any]) -> None:
    before, after = H4.hamiltonian(), straight.state.hamiltonian
    assert np.linalg.norm(after.one_body - before.one_body) > 1e-3
    assert fci(after) == pytest.approx(fci(before), abs=ROUNDING)


@pytest.mark.parametrize("stopped", [0, 1, 3])
def test_a_resumed_run_has_the_same_bits(straight: Outcome[Any], stopped: int) -> None:
    store = MemoryStore()
    run(stopped, store)
    resumed = run(4, store)
    store.close()
    assert resumed.resumed_from == stopped
    assert resumed.state_sha256 == straight.state_sha256


def test_the_electrons_are_counted_and_the_table_has_the_curve(straight: Outcome[Any]) -> None:
    rows = example().tables(straight.state)["orbital-optimization"]
    assert [row["energy (hartree)"] for row in rows] == list(straight.state.curve)
    np.testing.assert_allclose(straight.state.occupancies.sum(axis=1), 2, atol=1e-9)

"""Lines through energies and variances: of made-up points, and of runs of plain SQD."""

from __future__ import annotations

import doctest
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest

from qcsc_algorithms.sqd import PlainSQD, Recovered, extrapolate, extrapolation
from qcsc_loop import DirectoryStore, MaxIterations, MemoryStore, Outcome
from qcsc_loop.errors import InputError
from qcsc_loop.values.codec import Codec

N2: Any = {
    "system": {"geometry": "N 0 0 0; N 0 0 1.0977", "basis": "sto-3g", "frozen_core": 2},
    "sampler": {"type": "random"},
    "shots": 3000,
    "max_strings": 40,
}


def run(iterations: int, store: Any = None, **parameters: Any) -> Outcome[Recovered]:
    sqd, stop = PlainSQD(**parameters), MaxIterations(iterations)
    return anyio.run(
        lambda: sqd.run(store=store or MemoryStore(), stop=stop, seed=1, run_id="plain")
    )


def test_points_on_a_line_give_where_it_begins() -> None:
    variances = np.array([0.4, 0.1, 0.3, 0.2])
    found = extrapolate(-3.25 + 0.5 * variances, variances)
    assert found.energy == pytest.approx(-3.25, abs=1e-12)
    assert found.slope == pytest.approx(0.5, abs=1e-12)
    assert found.error == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("weights", [None, [1.0, 1, 1, 1, 1], [3.0, 1, 4, 1, 5]])
def test_energy_and_error_are_those_of_weighted_least_squares(weights: Any) -> None:
    variances = np.array([0.05, 0.07, 0.1, 0.17, 0.3])
    energies = -1 + 0.3 * variances + np.array([1e-3, -2e-3, 1e-3, 4e-3, -3e-3])
    found = extrapolate(energies, variances, weights)
    used = 1 / variances if weights is None else np.sqrt(weights)
    (slope, energy), covariance = np.polyfit(variances, energies, 1, w=used, cov=True)
    assert found.energy == pytest.approx(energy, abs=1e-12)
    assert found.slope == pytest.approx(slope, abs=1e-10)
    assert found.error == pytest.approx(np.sqrt(covariance[1, 1]), rel=1e-9)


def test_the_true_energy_is_within_the_error_as_often_as_it_should() -> None:
    """Of six degrees of freedom Student's t is within 1 in 64.4 of 100 cases."""
    rng, variances, within = np.random.default_rng(5), np.linspace(0.1, 0.5, 8), 0
    for _ in range(2000):
        noise = 1e-3 * variances * rng.normal(size=8)  # as the weights take it to be
        found = extrapolate(-2 + 0.4 * variances + noise, variances)
        within += abs(found.energy + 2) < found.error
    assert within / 2000 == pytest.approx(0.644, abs=0.035)


def test_an_eigenstate_among_the_points_is_the_answer() -> None:
    found = extrapolate([-1.0, -0.9, -0.7], [0.0, 0.1, 0.2])
    assert found.energy == pytest.approx(-1, abs=1e-9)
    assert found.error < 1e-6


@pytest.mark.parametrize(
    ("energies", "variances", "said"),
    [
        ([-1.0, -0.9], [0.1, 0.2], "at least 3 points, not 2: take subspaces of more sizes"),
        ([-1.0, -0.9, -0.8], [0.1, 0.1, 0.1], "these are all the same: take subspaces of diff"),
        ([-1.0, -0.9, -0.8], [0.0, 0.0, 0.0], "these are all the same"),
        ([-1.0, -0.9, -0.8], [0.1, -0.1, 0.2], "variances not negative"),
        ([-1.0, np.nan, -0.8], [0.1, 0.1, 0.2], "energies are finite"),
        ([-1.0, -0.9, -0.8], [0.1, 0.2], "each energy has one variance"),
    ],
)
def test_points_that_give_no_line_are_refused(energies: Any, variances: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        extrapolate(energies, variances)


@pytest.mark.parametrize("weights", [[1.0, 1.0], [1.0, 0.0, 1.0], [1.0, np.inf, 1.0]])
def test_weights_that_are_none_are_refused(weights: Any) -> None:
    with pytest.raises(ValueError, match="weights are 3 positive numbers"):
        extrapolate([-1.0, -0.9, -0.8], [0.1, 0.2, 0.3], weights)


def test_of_nitrogen_it_is_nearer_to_full_ci_than_the_best_subspace(tmp_path: Path) -> None:
    store, codec = DirectoryStore(tmp_path), Codec[Recovered](Recovered)
    run(1, store, **N2, extrapolate=True)
    outcome = run(2, store, **N2, extrapolate=True)
    state = outcome.state
    found, fci = state.extrapolation, state.references.fci
    assert found is not None
    assert state.energy - fci > 5e-4
    assert abs(found.energy - fci) < 0.5 * (state.energy - fci)
    assert found.energies[-1] == pytest.approx(state.energy, abs=1e-8)
    assert list(found.dimensions) == [100, 225, 400, 841, 1600]
    assert state.scalars()["extrapolated"] == found.energy
    assert state.scalars()["extrapolated_error"] == found.error > 0

    tables = PlainSQD(**N2, extrapolate=True).tables(state)
    first: Any = tables["sqd-extrapolation"][0]
    assert (first["variance (hartree^2)"], first["energy (hartree)"]) == (0, found.energy)
    assert first["error (hartree)"] == found.error
    assert len(tables["sqd-extrapolation"]) == 6
    names = [str(row["method"]) for row in tables["sqd-energies"]]
    assert names[names.index("SQD") + 1].startswith("SQD, extrapolated (+- ")

    again = run(2, **N2, extrapolate=True)
    assert codec.encode(again.state).sha256 == codec.encode(state).sha256

    without = run(2, **N2).state
    assert without.extrapolation is None
    assert "extrapolated" not in without.scalars()
    same = state.model_copy(update={"extrapolation": None})
    assert codec.encode(without).sha256 == codec.encode(same).sha256
    assert not any("extrapol" in key for key in PlainSQD(**N2).tables(without))


def test_it_goes_on_where_orbitals_are_optimised() -> None:
    few: Any = {**N2, "max_strings": 16}
    state = run(2, **few, extrapolate=True, optimize_orbitals_after=1, tolerance=0).state
    assert state.tuned is not None
    assert state.extrapolation is not None
    assert state.extrapolation.energies[-1] == pytest.approx(state.energy, abs=1e-8)


def test_of_two_strings_nothing_is_extrapolated() -> None:
    hydrogen: Any = {"geometry": "H 0 0 0; H 0 0 0.735", "basis": "sto-3g"}
    state = run(1, system=hydrogen, shots=200, extrapolate=True).state
    assert state.extrapolation is None
    assert state.energy == pytest.approx(-1.137306, abs=1e-6)


def test_a_solver_that_tells_no_variance_is_refused() -> None:
    solver: Any = {"type": "pyscf"}
    with pytest.raises(ValueError, match="which the solver pyscf does not tell; take native"):
        PlainSQD(extrapolate=True, solver=solver)


def test_too_many_strings_are_refused_before_a_shot(tmp_path: Path) -> None:
    """Of ten electrons of each spin in twenty orbitals."""
    size = 20
    file = tmp_path / "many.fcidump"
    levels = "".join(f"{p / 10} {p} {p} 0 0\n" for p in range(1, size + 1))
    file.write_text(f"&FCI NORB={size},NELEC=20,MS2=0,\n&END\n0.5 1 1 1 1\n{levels}0.0 0 0 0 0\n")
    system: Any = {"type": "fcidump", "path": str(file)}
    sqd = PlainSQD(system=system, max_strings=100_000, extrapolate=True)
    with pytest.raises(InputError, match=r"at most 7,895 strings, or do not extrapolate"):
        anyio.run(lambda: sqd.run(store=MemoryStore(), stop=MaxIterations(1)))


def test_its_example_is_true() -> None:
    results = doctest.testmod(extrapolation)
    assert results.attempted > 0
    assert results.failed == 0

"""Closed-loop SQD as a whole: energies, controls, small molecules, resuming, bad input."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest

from qcsc_algorithms.sqd import SQD, Walkers
from qcsc_algorithms.sqd.chemistry.reference import Energies
from qcsc_algorithms.sqd.sample_based import (
    Diagonalised,
    NotVariational,
    energy_table,
    has_settled,
)
from qcsc_loop import DirectoryStore, MaxIterations, MemoryStore, Outcome
from qcsc_loop.errors import HookFailed
from qcsc_loop.values.codec import Codec
from thorough import first

H2: Any = {"geometry": "H 0 0 0; H 0 0 0.735", "basis": "sto-3g"}
H4: Any = {"geometry": "H 0 0 0; H 0 0 1; H 0 0 2; H 0 0 3", "basis": "sto-3g"}
LITHIUM: Any = {"geometry": "Li 0 0 0", "basis": "6-31g", "spin": 1}

FCI_WATER = -76.119851
FCI_NITROGEN = -107.652533


def run(iterations: int = 4, seed: int = 0, **parameters: Any) -> Outcome[Walkers]:
    """A run without a folder."""
    sqd = SQD(**parameters)
    stop = MaxIterations(iterations)
    return anyio.run(lambda: sqd.run(store=MemoryStore(), stop=stop, seed=seed))


def sha256(state: Walkers) -> str:
    """Of all that the state holds."""
    return Codec[Walkers](Walkers).encode(state).sha256


class TestEnergies:
    @pytest.mark.parametrize("seed", first(1, range(6)))
    def test_water_at_120_strings_comes_below_76_11_hartree(self, seed: int) -> None:
        state = run(seed=seed).state
        assert FCI_WATER - 1e-6 <= state.energy < -76.11
        assert state.strings == 120 and state.dimension == 120**2
        assert state.references.fci == pytest.approx(FCI_WATER, abs=1e-6)
        assert state.residual < 1e-4 and state.unconverged == 0

    def test_nitrogen_in_the_whole_space_reaches_fci(self) -> None:
        system = {"geometry": "N 0 0 0; N 0 0 1.0977", "basis": "sto-3g", "frozen_core": 2}
        state = run(2, system=system, optimizer="random").state
        assert state.strings == math.comb(8, 5)
        assert state.energy == pytest.approx(FCI_NITROGEN, abs=1e-5)

    def test_nitrogen_at_the_published_geometry_ends_at_the_published_energy(self) -> None:
        # qiskit-addon-sqd's quickstart: (10e, 8o), R = 1.09768
        system = {"geometry": "N 0 0 0; N 0 0 1.09768", "basis": "sto-3g", "frozen_core": 2}
        noisy = {"type": "ffsim", "bit_flip": 0.05}
        state = run(4, system=system, sampler=noisy, optimizer="perturb").state
        assert state.energy == pytest.approx(-107.652521, abs=1e-6)

    def test_noise_is_recovered_from(self) -> None:
        noisy = {"type": "ffsim", "bit_flip": 0.02}
        state = run(2, system=H4, sampler=noisy, shots=2000).state
        assert state.valid < 0.9
        assert state.energy == pytest.approx(-2.166387, abs=1e-5)


class TestTheLoop:
    def test_the_best_energy_never_rises_and_the_current_one_is_shown_beside_it(self) -> None:
        store = MemoryStore()
        sqd = SQD(system=H4, max_strings=4, shots=200, tolerance=0)
        outcome = anyio.run(lambda: sqd.run(store=store, stop=MaxIterations(5), run_id="h4"))
        energies = outcome.state.recent
        assert len(energies) == 6 and np.all(np.diff(energies) <= 0)
        assert outcome.state.energy == energies[-1] <= outcome.state.current

    @pytest.mark.parametrize("arm", ["de", "perturb", "random", "fixed"])
    def test_an_optimiser_and_its_controls_cost_the_same(self, arm: str) -> None:
        outcome = run(2, system=H4, shots=50, optimizer=arm)
        assert outcome.usage["shots"] == 2 * 4 * 50

    @pytest.mark.parametrize("method", ["cisd", "hci"])
    def test_a_control_without_shots_is_done_after_one_diagonalisation(self, method: str) -> None:
        ends = [
            run(5, seed, system=H4, max_strings=4, optimizer=method, shots=50) for seed in (0, 1)
        ]
        for outcome in ends:
            assert (outcome.reason, outcome.iteration) == ("converged", 1)
            assert outcome.usage.get("shots", 0) == 0
            state = outcome.state
            assert state.references.fci - 1e-9 <= state.energy < state.references.hf
            assert (state.strings, state.failed, state.spread) == (4, 0, 0)
        assert ends[0].state.energy == ends[1].state.energy

    def test_a_fair_selection_finds_what_was_kept_anew_from_its_own_shots(self) -> None:
        parameters: dict[str, Any] = {
            "system": {**H4, "basis": "6-31g"},
            "max_strings": 12,
            "shots": 200,
            "optimizer": {"type": "de", "selection": "anew"},
        }
        ends = [run(iterations, **parameters) for iterations in (2, 3)]
        assert [outcome.usage["shots"] for outcome in ends] == [2 * 4 * 200, 3 * 4 * 200]
        before, after = (outcome.state for outcome in ends)
        stayed = np.all(before.population.parameters == after.population.parameters, axis=1)
        assert after.improved == 4 - stayed.sum() < 4
        for walker in np.flatnonzero(stayed):
            assert after.shots[walker] == before.shots[walker]
            # with the occupancies and strings that the iteration before found
            assert after.population.energies[walker] != before.population.energies[walker]
        assert all(pool.counts.sum() == 200 for pool in after.shots)
        assert run(1, **{**parameters, "optimizer": "de"}).state.shots == ()

    def test_fixed_parameters_stay_where_they_are(self) -> None:
        state = run(2, system=H4, shots=50, optimizer="fixed").state
        assert np.all(state.trials == state.start)

    def test_batches_give_an_error_bar(self) -> None:
        state = run(
            1,
            system={**H4, "basis": "6-31g"},
            optimizer="random",
            shots=5000,
            max_strings=10,
            batches=3,
        ).state
        assert 0 < state.error < 0.1

    def test_carried_strings_are_at_most_their_share(self) -> None:
        state = run(3, system=H4, max_strings=5, carryover=0.5, shots=500).state
        assert state.carried <= 2

    def test_it_converges_when_the_energy_stands_still(self) -> None:
        outcome = run(50, system=H2, shots=50, patience=2)
        assert outcome.reason == "converged"
        assert outcome.iteration < 10


class TestSmallMolecules:
    def test_hydrogen(self) -> None:
        assert run(1, system=H2, shots=100).state.energy == pytest.approx(-1.137306, abs=1e-6)

    def test_one_string_is_hartree_fock(self) -> None:
        state = run(2, system=H4, max_strings=1, shots=100).state
        assert state.energy == pytest.approx(state.references.hf, abs=1e-9)
        assert state.dimension == 1 and state.carried == 0

    def test_no_sample_with_the_right_electrons_is_recovered_from(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        flipped = {"type": "ffsim", "bit_flip": 1.0}  # 3 electrons of 4 orbitals become 1
        system = {**H4, "geometry": "H 0 0 0; H 0 0 1; H 0 0 2; H 0 0 3", "charge": -2}
        state = run(1, system=system, sampler=flipped, shots=100).state
        assert state.valid == 0
        assert state.energy <= state.references.hf + 1e-9
        assert "no sample has the right numbers of electrons" in caplog.text

    def test_more_carried_strings_than_there_is_room_for(self) -> None:
        state = run(3, system=H4, max_strings=2, carryover=1.0, shots=500).state
        assert state.strings == 2 and state.carried <= 1

    def test_open_shells(self) -> None:
        state = run(2, system=LITHIUM, shots=500).state
        assert state.references.fci - 1e-9 <= state.energy <= state.references.hf + 1e-9
        assert state.hamiltonian.electrons == (2, 1)


class TestResuming:
    def test_a_fair_selection_goes_on_with_the_same_bits(self, tmp_path: Path) -> None:
        arm: Any = {"type": "de", "selection": "anew"}
        parameters: dict[str, Any] = {"system": H4, "max_strings": 4, "shots": 200}
        sqd, store = SQD(**parameters, optimizer=arm), DirectoryStore(tmp_path)

        async def to(iterations: int) -> Outcome[Walkers]:
            return await sqd.run(store=store, stop=MaxIterations(iterations), seed=3, run_id="h4")

        anyio.run(to, 1)
        whole = run(2, 3, **parameters, optimizer=arm).state
        assert sha256(anyio.run(to, 2).state) == sha256(whole)

    @pytest.mark.parametrize("first", [0, 1, 2])
    def test_a_run_goes_on_with_the_same_bits(self, tmp_path: Path, first: int) -> None:
        sqd = SQD(system=H4, max_strings=4, shots=200, batches=2)
        store = DirectoryStore(tmp_path)

        async def to(iterations: int) -> Outcome[Walkers]:
            return await sqd.run(store=store, stop=MaxIterations(iterations), seed=3, run_id="h4")

        anyio.run(to, first)
        whole = run(3, 3, system=H4, max_strings=4, shots=200, batches=2).state
        assert sha256(anyio.run(to, 3).state) == sha256(whole)

    def test_how_many_walkers_run_at_a_time_does_not_matter(self) -> None:
        states = [run(2, system=H4, shots=100, concurrency=n).state for n in (1, 8)]
        assert sha256(states[0]) == sha256(states[1])

    def test_the_integrals_are_kept_as_a_file_too(self, tmp_path: Path) -> None:
        from qcsc_algorithms.sqd.chemistry.hamiltonian import Hamiltonian

        store, sqd = DirectoryStore(tmp_path), SQD(system=H2, shots=50)
        state = anyio.run(lambda: sqd.run(store=store, stop=MaxIterations(0), run_id="h2")).state
        (file,) = tmp_path.rglob("hamiltonian.fcidump")
        assert Hamiltonian.read_fcidump(file).sha256 == state.hamiltonian.sha256

    def test_a_file_that_changes_later_changes_nothing(self, tmp_path: Path) -> None:
        file = tmp_path / "h4.fcidump"
        run(0, system=H4).state.hamiltonian.write_fcidump(file)
        whole = run(2, system=str(file), shots=100).state
        named: Any = str(file)
        store, sqd = DirectoryStore(tmp_path / "runs"), SQD(system=named, shots=100)
        anyio.run(lambda: sqd.run(store=store, stop=MaxIterations(1), run_id="h4"))
        file.write_text("something else")
        resumed = anyio.run(lambda: sqd.run(store=store, stop=MaxIterations(2), run_id="h4"))
        assert sha256(resumed.state) == sha256(whole)


class TestWhatIsWrong:
    @pytest.mark.parametrize(
        ("parameters", "why"),
        [
            ({"walkers": 3}, "de needs at least 4, not 3"),
            ({"quorum": 5}, "5 of 4 walkers cannot succeed"),
            (
                {"draw": "heaviest", "batches": 3},
                "3 of the heaviest strings would all be the same; give batches = 1, or draw = weighted",
            ),
            ({"optimizer": "annealing"}, "'de', 'fixed', 'perturb', 'random', 'cisd', 'hci'"),
            (
                {
                    "system": {
                        **H2,
                        "frozen_core": 1,
                        "active_space": {"electrons": 2, "orbitals": 2},
                    }
                },
                "frozen_core and active_space both choose",
            ),
        ],
    )
    def test_parameters_are_refused(self, parameters: dict[str, Any], why: str) -> None:
        with pytest.raises(ValueError, match="validation error") as refused:
            SQD(**parameters)
        assert why in str(refused.value)

    def test_an_energy_below_the_exact_one_is_never_accepted(self) -> None:
        sqd = SQD(system=H2, shots=50)

        async def cheated() -> None:
            state = await sqd.initialize()
            found = await sqd.evaluate(state, await sqd.sample(state))
            one = found[0]
            assert one is not None
            lower = Diagonalised(**{**dict(one), "energy": state.references.fci - 1e-3})
            await sqd.update(state, [lower, *found[1:]])

        with pytest.raises(NotVariational, match=r"below the exact -1\.137306"):
            anyio.run(cheated)

    def test_a_solver_that_runs_out_of_cycles_is_reported_with_its_residual(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        state = run(
            1,
            system={**H4, "basis": "6-31g"},
            shots=500,
            solver={"type": "pyscf", "max_cycles": 1},
            max_strings=20,
        ).state
        assert state.unconverged == 4 and state.residual > 1e-3
        assert "stopped before its tolerance: residual" in caplog.text

    def test_samples_of_another_width_are_refused(self) -> None:
        class Narrow(SQD):
            async def sample(self, state: Walkers) -> Any:
                found = await super().sample(state)
                narrow = [s and s.model_copy(update={"num_bits": {"meas": 3}}) for s in found]
                return narrow

        with pytest.raises(HookFailed, match="one register of 4 bits"):
            anyio.run(
                lambda: Narrow(system=H2, shots=50).run(store=MemoryStore(), stop=MaxIterations(1))
            )


@pytest.mark.parametrize(
    ("energies", "error", "tolerance", "patience", "over"),
    [
        ([-1.0, -1.0, -1.0], math.nan, 1e-6, 2, True),
        ([-1.0, -1.0], math.nan, 1e-6, 2, False),
        ([-1.0, -1.1, -1.1], math.nan, 1e-6, 2, False),
        ([-1.0, -1.1, -1.1, -1.1], math.nan, 1e-6, 2, True),
        ([-1.0, -1.001, -1.002], 0.01, 1e-6, 2, True),  # less than the noise
        ([-1.0, -1.001, -1.002], 0.001, 1e-6, 2, False),
        ([-1.0, -1.0, -1.0], math.nan, 0.0, 2, False),
    ],
)
def test_an_energy_is_settled_within_its_window_and_its_noise(
    energies: list[float], error: float, tolerance: float, patience: int, over: bool
) -> None:
    assert has_settled(np.array(energies), error, tolerance, patience) is over


def test_a_circuits_hash_is_the_same_in_any_process() -> None:
    # the transpiler's seed and a QPU job's identity hang on it
    code = (
        "from qcsc_algorithms.sqd.chemistry.ansatz import LUCJ\n"
        "from qcsc_algorithms.sqd.chemistry.reference import compute_start\n"
        "from qcsc_algorithms.sqd.chemistry.system import Molecule\n"
        "from qcsc_loop.sampling.identity import circuit_sha256\n"
        "found = compute_start(Molecule(geometry='H 0 0 0; H 0 0 0.735', basis='sto-3g'), LUCJ())\n"
        "circuits = [LUCJ().circuit(found.parameters, found.hamiltonian) for _ in range({n})]\n"
        "print(circuit_sha256(circuits[-1]))\n"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", code.format(n=n)],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": str(n)},
        ).stdout
        for n in (1, 2, 3)
    }
    assert len(said) == 1


@pytest.mark.parametrize("energy", [-2.5, -1.5, -4.5])
def test_a_run_s_own_energy_is_the_first_row_then_the_highest(energy: float) -> None:
    rows = energy_table("SQD", energy, Energies(hf=-1, mp2=math.nan, ccsd=-4, fci=-3))
    assert [row["method"] for row in rows] == ["SQD", "HF", "FCI", "CCSD"]

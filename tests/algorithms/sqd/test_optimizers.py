"""Where the next parameters come from: differential evolution by its definition, and controls."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from qcsc_algorithms.sqd import SQD, Walkers
from qcsc_algorithms.sqd.chemistry.hamiltonian import Hamiltonian
from qcsc_algorithms.sqd.chemistry.system import Molecule
from qcsc_algorithms.sqd.optimizers import (
    CISD,
    HCI,
    DifferentialEvolution,
    Fixed,
    Floats,
    Optimizer,
    Perturb,
    Population,
    Random,
)
from qcsc_algorithms.sqd.sample_based import Diagonalised, Guess
from qcsc_loop.rules.stop import MaxIterations
from qcsc_loop.store.memory import MemoryStore

OPTIMIZER: TypeAdapter[Any] = TypeAdapter(Optimizer)
ARMS: dict[str, type[DifferentialEvolution | Fixed | Perturb | Random | CISD | HCI]] = {
    "de": DifferentialEvolution,
    "fixed": Fixed,
    "perturb": Perturb,
    "random": Random,
    "cisd": CISD,
    "hci": HCI,
}
NAMES = list(ARMS)
START = np.array([0.5, -1.0, 2.0])


class Recorded:
    """A generator that keeps what it gave."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self.drawn: list[tuple[str, Any]] = []

    def __getattr__(self, name: str) -> Any:
        def draw(*args: Any) -> Any:
            value = getattr(self._rng, name)(*args)
            self.drawn.append((name, value))
            return value

        return draw


def population(walkers: int, parameters: int, seed: int = 0) -> Population:
    rng = np.random.default_rng([seed, walkers, parameters])
    return Population(
        parameters=rng.standard_normal((walkers, parameters)), energies=rng.standard_normal(walkers)
    )


def optimizer(name: str) -> Any:
    return OPTIMIZER.validate_python(name)


# selection


def test_each_walker_keeps_the_better_of_what_it_had_and_its_trial() -> None:
    before = Population(parameters=np.arange(6.0).reshape(3, 2), energies=np.array([1.0, 2.0, 3.0]))
    trials = np.arange(10.0, 16.0).reshape(3, 2)
    after = before.selected(trials, np.array([0.5, 2.5, 2.999]))

    assert after.parameters.tolist() == [[10, 11], [2, 3], [14, 15]]
    assert after.energies.tolist() == [0.5, 2.0, 2.999]


def test_a_trial_that_is_as_good_is_not_better() -> None:
    before = population(4, 2)
    after = before.selected(before.parameters + 1, before.energies)

    assert after.parameters.tolist() == before.parameters.tolist()


@pytest.mark.parametrize("worse", [math.nan, math.inf])
def test_a_trial_that_failed_is_not_taken(worse: float) -> None:
    before = population(4, 2)
    energies = np.array([worse, -100.0, worse, worse])
    after = before.selected(before.parameters + 1, energies)

    assert np.flatnonzero((after.parameters != before.parameters).any(axis=1)).tolist() == [1]
    assert np.isfinite(after.energies).all()


def test_a_walker_that_never_had_a_result_takes_the_first_one_however_high() -> None:
    unknown = Fixed().unknown(START, 3)
    first = unknown.selected(np.tile(START, (3, 1)) + 1, np.array([1000.0, math.nan, -1.0]))
    second = first.selected(np.tile(START, (3, 1)) + 2, np.array([999.0, 5.0, 5.0]))

    assert first.energies.tolist() == [1000.0, math.inf, -1.0]
    assert second.energies.tolist() == [999.0, 5.0, -1.0]
    assert (second.parameters - START).tolist() == [[2] * 3, [2] * 3, [1] * 3]


def test_a_trial_may_be_compared_with_what_its_walker_gives_now() -> None:
    before = Population(parameters=np.arange(6.0).reshape(3, 2), energies=np.array([1.0, 2.0, 3.0]))
    anew = before.found_anew(np.array([0.2, math.nan, 3.5]))
    after = anew.selected(np.arange(10.0, 16.0).reshape(3, 2), np.array([0.5, 1.9, 3.4]))

    assert anew.energies.tolist() == [0.2, 2.0, 3.5]
    assert after.parameters.tolist() == [[0, 1], [12, 13], [14, 15]]
    assert after.energies.tolist() == [0.2, 1.9, 3.4]


@pytest.mark.parametrize("shift", [-1e6, 0.0, 1e6])
def test_a_selection_does_not_depend_on_the_zero_of_energy(shift: float) -> None:
    before, trials = population(8, 2, 1), population(8, 2, 2)
    shifted = Population(parameters=before.parameters, energies=before.energies + shift)
    after = shifted.selected(trials.parameters, trials.energies + shift)

    assert np.array_equal(
        after.parameters, before.selected(trials.parameters, trials.energies).parameters
    )


# differential evolution


@pytest.mark.parametrize(("walkers", "parameters"), [(4, 1), (4, 6), (5, 3), (9, 20)])
@pytest.mark.parametrize(("scale", "crossover"), [(0.6, 0.9), (1.3, 0.2)])
def test_a_trial_is_de_best_2_bin(
    walkers: int, parameters: int, scale: float, crossover: float
) -> None:
    kept, rng = population(walkers, parameters), Recorded(1)
    evolution = DifferentialEvolution(scale=scale, crossover=crossover)
    generator: Any = rng
    trials = evolution.next(START, kept, generator)

    x, best = kept.parameters, kept.parameters[list(kept.energies).index(min(kept.energies))]
    assert [name for name, _ in rng.drawn] == ["permutation", "random", "integers"] * walkers
    for i in range(walkers):
        order, chances, forced = (value for _, value in rng.drawn[3 * i : 3 * i + 3])
        a, b, c, d = order[:4]
        assert sorted(order) == list(range(walkers))  # four walkers that differ
        for j in range(parameters):
            mutant = best[j] + scale * (x[a, j] - x[b, j] + x[c, j] - x[d, j])
            crossed = chances[j] < crossover or j == forced
            assert trials[i, j] == pytest.approx(mutant if crossed else x[i, j], rel=1e-12)


def test_without_crossover_a_trial_differs_in_exactly_one_parameter() -> None:
    kept = population(6, 8)
    trials = DifferentialEvolution(crossover=0).next(START, kept, np.random.default_rng(0))

    assert (trials != kept.parameters).sum(axis=1).tolist() == [1] * 6


def test_with_full_crossover_a_trial_has_nothing_of_its_own_walker() -> None:
    kept = population(6, 8)
    trials = DifferentialEvolution(crossover=1).next(START, kept, np.random.default_rng(0))

    assert (trials != kept.parameters).all()


def test_a_population_at_one_point_stays_there() -> None:
    kept = Population(parameters=np.tile(START, (5, 1)), energies=np.arange(5.0))
    trials = DifferentialEvolution().next(START + 9, kept, np.random.default_rng(0))

    assert trials == pytest.approx(kept.parameters, abs=1e-15)


def test_trials_are_around_the_best_walker() -> None:
    kept = population(5, 3)
    far = Population(
        parameters=kept.parameters * 1e-9 + np.array([[0.0], [0.0], [7.0], [0.0], [0.0]]),
        energies=np.array([3.0, 2.0, 1.0, math.inf, 4.0]),
    )
    evolution = DifferentialEvolution(scale=1e-9, crossover=1)

    trials = evolution.next(START, far, np.random.default_rng(0))
    assert trials == pytest.approx(np.full((5, 3), 7.0), abs=1e-6)


def test_a_circuit_without_parameters_has_trials_without_parameters() -> None:
    for name in NAMES:
        first = optimizer(name).first(np.empty(0), 4, np.random.default_rng(0))
        again = optimizer(name).next(np.empty(0), population(4, 0), np.random.default_rng(0))
        assert first.shape == again.shape == (4, 0)


@pytest.mark.parametrize("offset", [0.0, 1000.0])
def test_the_best_of_a_population_falls_to_the_minimum(offset: float) -> None:
    def energies(points: Floats) -> Floats:
        return np.asarray(((points - 1) ** 2).sum(axis=1) + offset)

    evolution, rng = DifferentialEvolution(perturbation=1), np.random.default_rng(3)
    trials = evolution.first(START, 12, rng)
    kept = evolution.unknown(START, 12)
    lowest = []
    for _ in range(80):
        kept = kept.selected(trials, energies(trials))
        lowest.append(kept.energies.min())
        trials = evolution.next(START, kept, rng)

    assert all(b <= a for a, b in itertools.pairwise(lowest))
    assert lowest[0] > offset + 0.1 and lowest[-1] < offset + 1e-6


# controls


def test_fixed_samples_the_start_again_and_again() -> None:
    for trials in (
        Fixed().first(START, 3, np.random.default_rng(0)),
        Fixed().next(START, population(3, 3), np.random.default_rng(1)),
    ):
        assert trials.tolist() == [START.tolist()] * 3


def test_random_bits_stand_in_for_one_control_only() -> None:
    assert {name for name in NAMES if ARMS[name].uniform_bits} == {"random"}
    assert Random().next(START, population(2, 3), np.random.default_rng(0)).shape == (2, 3)


def test_two_controls_take_no_shot() -> None:
    assert {name: kind.without_shots for name, kind in ARMS.items() if kind.without_shots} == {
        "cisd": "cisd",
        "hci": "hci",
    }


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"de"}))
def test_a_control_does_not_learn(name: str) -> None:
    one, other = (
        optimizer(name).next(START, population(5, 3, seed), np.random.default_rng(0))
        for seed in (1, 2)
    )

    assert one.tobytes() == other.tobytes()


@pytest.mark.parametrize("name", ["de", "perturb"])
def test_the_first_trials_are_the_start_and_normal_perturbations_of_it(name: str) -> None:
    chosen = OPTIMIZER.validate_python({"type": name, "perturbation": 0.3})
    trials = chosen.first(START, 4001, np.random.default_rng(0))

    assert trials[0].tolist() == START.tolist()
    moved = (trials[1:] - START) / 0.3
    # five standard errors
    assert np.abs(moved.mean(axis=0)).max() < 5 / math.sqrt(4000)
    assert np.abs(moved.std(axis=0) - 1).max() < 5 / math.sqrt(8000)
    assert np.abs(np.corrcoef(moved.T) - np.eye(3)).max() < 5 / math.sqrt(4000)


def test_perturb_moves_anew_in_every_iteration() -> None:
    rng = np.random.default_rng(0)
    one, two = (Perturb().next(START, population(4, 3), rng) for _ in range(2))

    assert one[0].tolist() == two[0].tolist() == START.tolist()
    assert (one[1:] != two[1:]).all()


# all of them


@pytest.mark.parametrize("name", NAMES)
def test_the_same_numbers_give_the_same_bits_and_nothing_is_changed(name: str) -> None:
    kept, start = population(5, 3), START.copy()
    before = kept.model_dump_json()
    found = []
    for noise in (0, 7):
        np.random.default_rng().random(noise)
        chosen = optimizer(name)
        rng = np.random.default_rng(4)
        found.append(
            (chosen.first(start, 5, rng).tobytes(), chosen.next(start, kept, rng).tobytes())
        )
        for other in NAMES:  # nothing is shared
            optimizer(other).next(start, kept, np.random.default_rng(noise))

    assert found[0] == found[1]
    assert kept.model_dump_json() == before and start.tolist() == START.tolist()


@pytest.mark.parametrize("name", ["de", "perturb"])
def test_other_numbers_give_other_bits(name: str) -> None:
    one, other = (
        optimizer(name).next(START, population(5, 3), np.random.default_rng(seed))
        for seed in (1, 2)
    )

    assert one.tobytes() != other.tobytes()


@pytest.mark.parametrize("name", NAMES)
def test_trials_are_one_row_of_parameters_a_walker(name: str) -> None:
    rng = np.random.default_rng(0)

    assert optimizer(name).first(START, 6, rng).shape == (6, 3)
    assert optimizer(name).next(START, population(6, 3), rng).shape == (6, 3)


# settings


@pytest.mark.parametrize("name", NAMES)
def test_an_optimizer_is_named_or_set_and_comes_back_from_json(name: str) -> None:
    sqd = SQD.model_validate({"optimizer": name})

    assert sqd.optimizer == SQD.model_validate({"optimizer": {"type": name}}).optimizer
    assert isinstance(sqd.optimizer, ARMS[name])
    assert SQD.model_validate_json(sqd.model_dump_json()) == sqd


@pytest.mark.parametrize(
    "settings",
    [
        "spsa",
        {"type": "de", "scale": 0},
        {"type": "de", "scale": 2.1},
        {"type": "de", "crossover": 1.1},
        {"type": "de", "crossover": -0.1},
        {"type": "de", "perturbation": -1},
        {"type": "de", "selection": "fair"},
        {"type": "cisd", "perturbation": 1},
        {"type": "fixed", "scale": 1},
        {"type": "perturb", "perturbation": math.nan},
    ],
    ids=str,
)
def test_settings_that_cannot_be_are_refused(settings: object) -> None:
    with pytest.raises(ValidationError):
        SQD.model_validate({"optimizer": settings})


def test_too_few_walkers_for_differential_evolution_are_refused_in_a_sentence() -> None:
    with pytest.raises(ValidationError) as caught:
        SQD(walkers=3)

    (problem,) = caught.value.errors()
    assert problem["msg"] == "Value error, walkers: de needs at least 4, not 3"


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"de"}))
def test_a_control_needs_one_walker(name: str) -> None:
    assert SQD.model_validate({"optimizer": name, "walkers": 1}).walkers == 1


# in a run


def diagonalised(energy: float, string: int) -> Diagonalised:
    strings = np.array([[string]], np.uint8)
    return Diagonalised(
        energy=energy,
        energies=np.array([energy]),
        strings=1,
        dimension=1,
        carried=0,
        valid=1.0,
        guess=Guess(occupancies=np.full((2, 2), 0.5), alpha=strings, beta=strings),
        residual=0.0,
        unconverged=0,
        spin_square=0.0,
    )


def test_energies_above_zero_are_energies_like_any_others(tmp_path: Path) -> None:
    known = Molecule(geometry="H 0 0 0; H 0 0 0.735", basis="sto-3g").hamiltonian()
    shifted = Hamiltonian.model_validate(known.model_dump() | {"constant": known.constant + 10})
    shifted.write_fcidump(tmp_path / "shifted.fcidump")
    system = str(tmp_path / "shifted.fcidump")
    sqd = SQD.model_validate({"system": system, "shots": 50, "sampler": {"type": "random"}})
    store = MemoryStore()
    try:
        outcome = anyio.run(lambda: sqd.run(store=store, stop=MaxIterations(2)))
    finally:
        store.close()

    state: Walkers = outcome.state
    assert state.energy == pytest.approx(10 - 1.1373060, abs=1e-6)
    assert state.population.energies.tolist() == pytest.approx([state.energy] * 4, abs=1e-6)
    assert state.references.hf > state.energy > 0

    worse = state.model_copy(update={"energy": state.energy + 0.5})
    energies = [state.energy + above for above in (0.3, 0.1, 0.2, 0.6)]
    found: list[Diagonalised | None] = [diagonalised(e, i) for i, e in enumerate(energies)]
    after = anyio.run(sqd.update, worse, found)
    assert (after.energy, after.current) == (energies[1], energies[1])
    assert after.best_parameters.tobytes() == state.trials[1].tobytes()
    assert after.guess.alpha.tolist() == [[1]]

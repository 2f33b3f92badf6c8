"""Optimisers: the same one after a resume, where they come to, and what they do with failures."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import numpy.typing as npt
import pytest
from pydantic import BaseModel, SerializeAsAny

from loop.optimizers.optimizer_toys import (
    OPTIMIZERS,
    Floats,
    Function,
    Minimize,
    Search,
    after,
    ellipsoid,
    rosenbrock,
    rotations,
    sphere,
)
from qcsc_loop.loop.outcome import Outcome
from qcsc_loop.optimizers import (
    CMAES,
    SPSA,
    Adam,
    Box,
    DifferentialEvolution,
    NelderMead,
    Optimizer,
    OptimizerState,
    TrustRegion,
)
from qcsc_loop.rules.stop import MaxIterations
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.memory import MemoryStore
from qcsc_loop.values.codec import Codec

STATE = Codec[OptimizerState](OptimizerState)
LIVES = 12  # iterations of a run that is ended after each


@pytest.fixture(params=OPTIMIZERS)
def optimizer(request: pytest.FixtureRequest) -> Optimizer:
    return OPTIMIZERS[request.param]


def body(state: OptimizerState) -> bytes:
    return STATE.content(state)


def noisy(points: Floats, rng: np.random.Generator) -> Floats:
    values = np.array([rosenbrock(point) for point in points])
    values += 0.01 * rng.standard_normal(len(points))
    values[rng.random(len(values)) < 0.1] = np.nan
    return values


@pytest.mark.parametrize("bounds", [None, (-0.6, 0.7)], ids=["free", "bounded"])
def test_one_that_is_stored_and_read_at_every_step_is_the_same_one(
    optimizer: Optimizer, bounds: tuple[float, float] | None
) -> None:
    def begun() -> OptimizerState:
        return optimizer.begin([-0.4, 0.5, 0.1], np.random.default_rng(3), bounds=bounds)

    kept, stored = begun(), begun()
    for k in range(60):
        values = noisy(optimizer.ask(kept), np.random.default_rng(k))
        kept = optimizer.tell(kept, values, np.random.default_rng(1000 + k))
        stored = STATE.decode(STATE.encode(stored))
        # another object of the same settings, as another driver makes it
        again = type(optimizer).model_validate_json(optimizer.model_dump_json())
        stored = again.tell(stored, values, np.random.default_rng(1000 + k))
        assert body(stored) == body(kept)
    assert len({optimizer.ask(kept).tobytes(), optimizer.ask(stored).tobytes()}) == 1


def ran(store: Any, optimizer: Optimizer, last: int) -> Outcome[Search]:
    algorithm = Minimize(optimizer=optimizer)

    async def run() -> Outcome[Search]:
        return await algorithm.run(store=store, run_id="search", seed=5, stop=MaxIterations(last))

    return anyio.run(run)


def test_a_run_that_ends_after_every_iteration_has_the_bits_of_one_that_does_not(
    optimizer: Optimizer, tmp_path: Path
) -> None:
    whole = ran(MemoryStore(), optimizer, LIVES)
    lives = [ran(DirectoryStore(tmp_path), optimizer, k) for k in range(1, LIVES + 1)]
    assert body(lives[-1].state.optimizer) == body(whole.state.optimizer)


def test_neither_ask_nor_tell_changes_a_state(optimizer: Optimizer) -> None:
    state = optimizer.begin([0.0, 0.0], np.random.default_rng(0))
    for _ in range(10):
        before, points = body(state), optimizer.ask(state)
        points_before = points.copy()
        values = [sphere(point) for point in points]
        one = optimizer.tell(state, values, np.random.default_rng(1))
        other = optimizer.tell(state, values, np.random.default_rng(1))
        assert body(state) == before and body(one) == body(other)
        points += 1.0  # the caller's own
        assert (optimizer.ask(state) == points_before).all()
        state = one


@pytest.mark.parametrize("parameters", [1, 2, 7])
def test_points_are_a_row_each_and_never_outside(optimizer: Optimizer, parameters: int) -> None:
    rng = np.random.default_rng(0)
    bounds = np.stack([np.full(parameters, -0.5), np.linspace(0.1, 0.6, parameters)], axis=1)
    state = optimizer.begin(np.full(parameters, 9.0), rng, bounds=bounds)
    assert (state.best == bounds[:, 1]).all()  # the start was moved to the border
    for _ in range(80):
        points = optimizer.ask(state)
        assert points.ndim == 2 and points.shape[1] == parameters and points.dtype == np.float64
        assert (points >= bounds[:, 0]).all() and (points <= bounds[:, 1]).all()
        assert (state.center >= bounds[:, 0]).all() and (state.center <= bounds[:, 1]).all()
        state = optimizer.tell(state, [sphere(point) for point in points], rng)


SMOOTH = {name: OPTIMIZERS[name] for name in OPTIMIZERS if name != "adam-shift"}


@pytest.mark.parametrize("name", SMOOTH)
@pytest.mark.parametrize("parameters", [1, 3])
def test_each_finds_the_bottom_of_a_bowl(name: str, parameters: int) -> None:
    state = after(SMOOTH[name], sphere, np.zeros(parameters), 1500)
    assert state.best_value < 2e-2
    assert sphere(state.center) < 1e-3
    assert state.best_value <= sphere(state.best) + 1e-15


@pytest.mark.parametrize("name", SMOOTH)
def test_each_finds_a_corner_of_the_box(name: str) -> None:
    state = after(SMOOTH[name], sphere, np.full(3, -0.4), 1500, bounds=(-0.5, 0.5))
    assert np.abs(state.center - 0.5).max() < 0.02
    assert np.abs(state.best - 0.5).max() < 0.02


@pytest.mark.parametrize("name", ["nelder-mead", "nelder-mead-ahead", "cma-es", "de"])
def test_those_for_curved_valleys_follow_one(name: str) -> None:
    state = after(OPTIMIZERS[name], rosenbrock, [-1.2, 1.0], 2000)
    assert state.best_value < 1e-6
    assert np.abs(state.best - 1).max() < 1e-3


@pytest.mark.parametrize("name", ["nelder-mead", "trust-region", "cma-es", "de", "adam"])
def test_those_that_adapt_their_steps_find_the_bottom_of_a_steep_ditch(name: str) -> None:
    state = after(OPTIMIZERS[name], ellipsoid, np.zeros(4), 1500)
    assert state.best_value < 1e-5


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_angles_are_found_by_all(name: str) -> None:
    state = after(OPTIMIZERS[name], rotations, [0.0, 0.0], 1500)
    assert rotations(state.center) == pytest.approx(-2, abs=1e-3)


@pytest.mark.parametrize("name", ["spsa-pairs", "cma-es", "de-rand-1"])
def test_those_for_noise_come_near_in_spite_of_it(name: str) -> None:
    rng = np.random.default_rng(8)

    def value(x: Floats) -> float:
        return sphere(x) + 0.1 * float(rng.standard_normal())

    state = after(OPTIMIZERS[name], value, np.full(4, -1.0), 3000)
    assert sphere(state.center) < 0.2  # of 16 at the start


def test_few_values_are_enough_where_they_are_dear() -> None:
    near: dict[str, Function] = {"nelder-mead": sphere, "trust-region": sphere}
    for name, function in near.items():
        assert after(OPTIMIZERS[name], function, np.zeros(3), 60).best_value < 0.02


def test_all_four_points_of_a_step_at_once_are_fewer_batches() -> None:
    one, ahead = (
        after(NelderMead(ahead=ahead), rosenbrock, [-1.2, 1.0], 400) for ahead in (False, True)
    )
    assert len(one.points) == 1 and len(ahead.points) == 4
    # the same steps, which are taken from the same values
    rng = np.random.default_rng(0)
    state = NelderMead().begin([-1.2, 1.0], rng)
    while state.memory.get("simplex") is None or not _same(state, ahead):
        state = NelderMead().tell(
            state, [rosenbrock(point) for point in NelderMead().ask(state)], rng
        )
        assert state.told < 1000
    assert state.told > ahead.told


def _same(state: OptimizerState, other: OptimizerState) -> bool:
    return bool((state.memory["simplex"] == other.memory["simplex"]).all())


def test_as_many_points_are_asked_for_as_the_settings_say() -> None:
    rng = np.random.default_rng(0)
    sizes = {
        "de": (DifferentialEvolution(population=9), 9),
        "cma-es": (CMAES(population=11), 11),
        "spsa": (SPSA(pairs=4), 8),
        "adam": (Adam(), 6),
        "nelder-mead": (NelderMead(), 4),
    }
    for optimizer, size in sizes.values():
        assert optimizer.begin(np.zeros(3), rng).points.shape == (size, 3)


def test_nothing_but_nan_for_a_while_costs_the_time_and_no_more(optimizer: Optimizer) -> None:
    rng = np.random.default_rng(2)
    state = optimizer.begin([0.0, 0.0], rng)
    for _ in range(5):
        state = optimizer.tell(state, np.full(len(state.points), np.nan), rng)
        assert np.isfinite(state.points).all() and np.isfinite(state.center).all()
    assert math.isinf(state.best_value) and (state.best == 0).all()
    start = sphere(state.center)
    spent = 0
    while spent < 1500:
        spent += len(state.points)
        state = optimizer.tell(state, [sphere(point) for point in optimizer.ask(state)], rng)
    assert np.isfinite(state.best_value) and state.best_value < start


@pytest.mark.parametrize("name", SMOOTH)
def test_a_tenth_of_the_values_may_fail(name: str) -> None:
    rng = np.random.default_rng(4)

    def value(x: Floats) -> float:
        return math.nan if rng.random() < 0.1 else sphere(x)

    state = after(SMOOTH[name], value, np.zeros(3), 2000)
    assert sphere(state.best) == state.best_value < 0.1


def test_values_that_do_not_fit_are_refused(optimizer: Optimizer) -> None:
    rng = np.random.default_rng(0)
    state = optimizer.begin([0.0, 0.0], rng)
    with pytest.raises(ValueError, match="one value a point, NaN for one that failed"):
        optimizer.tell(state, np.zeros(len(state.points) + 1), rng)


def test_complex_numbers_are_refused_everywhere(optimizer: Optimizer) -> None:
    rng = np.random.default_rng(0)
    complex_ = "these are complex"
    bounds = (-1.0, 1.0)
    state = optimizer.begin([0.1, 0.2], rng, bounds=bounds)
    number = len(optimizer.ask(state))
    for values in (np.ones(number, complex), [1j] * number):
        with pytest.raises(ValueError, match=complex_):
            optimizer.tell(state, values, rng)
    with pytest.raises(ValueError, match="values: real numbers are asked for, not"):
        optimizer.tell(state, ["low"] * number, rng)
    with pytest.raises(ValueError, match=complex_):
        optimizer.begin([0.1j, 0.2], rng, bounds=bounds)
    with pytest.raises(ValueError, match=complex_):
        optimizer.begin([0.1, 0.2], rng, bounds=(-1j, 1j))


def test_a_state_of_another_kind_is_refused() -> None:
    rng = np.random.default_rng(0)
    state = SPSA().begin([0.0], rng)
    with pytest.raises(ValueError, match="is one of 'spsa', and the optimiser is 'adam'"):
        Adam().ask(state)
    with pytest.raises(ValueError, match=r"begin anew from state\.best"):
        Adam().tell(state, [0.0, 0.0], rng)


BAD_STARTS: list[npt.ArrayLike] = [[], 1.0, [math.nan], [[1.0]]]


@pytest.mark.parametrize("start", BAD_STARTS, ids=["none", "scalar", "nan", "matrix"])
def test_a_start_that_is_none_is_refused(start: npt.ArrayLike) -> None:
    with pytest.raises(ValueError, match="a start is a number for each parameter"):
        SPSA().begin(start, np.random.default_rng(0))


BAD_BOUNDS: list[tuple[npt.ArrayLike, str]] = [
    ((1.0, 0.0), "below its upper"),
    ([[0, 1]] * 3, "array of shape"),
    (2.0, "shape"),
]


@pytest.mark.parametrize(("bounds", "why"), BAD_BOUNDS, ids=["order", "three", "scalar"])
def test_bounds_that_are_none_are_refused(bounds: npt.ArrayLike, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        SPSA().begin([0.5, 0.5], np.random.default_rng(0), bounds=bounds)


def test_a_bound_may_be_infinite() -> None:
    assert not Box.of([[-math.inf, 1]], 1).is_finite
    state = after(SPSA(a=0.2), sphere, [0.0], 600, bounds=(-math.inf, 0.5))
    assert state.center == pytest.approx(0.5)


def test_a_population_between_bounds_needs_bounds() -> None:
    wide = DifferentialEvolution(perturbation=0)
    with pytest.raises(ValueError, match="give bounds, or a perturbation"):
        wide.begin([0.0], np.random.default_rng(0))
    points = wide.begin([0.0], np.random.default_rng(0), bounds=(-4, 4)).points
    assert points.min() < -2 and points.max() > 2


def test_cma_es_of_a_version_that_keeps_its_state_otherwise_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import cmaes

    monkeypatch.setattr(cmaes.CMA, "__getstate__", lambda _self: {"_mean": np.zeros(1)})
    with pytest.raises(Exception, match=r"has no _c_1d, .* in its state"):
        CMAES().begin([0.0, 0.0], np.random.default_rng(0))


class Holder(BaseModel):
    """A field as an algorithm has one."""

    optimizer: SerializeAsAny[Optimizer]


def test_settings_say_which_one_it_is() -> None:
    chosen = Holder.model_validate({"optimizer": {"type": "cma-es", "sigma": 0.1}})
    assert chosen.optimizer == CMAES(sigma=0.1)
    assert Holder.model_validate_json(chosen.model_dump_json()) == chosen
    with pytest.raises(ValueError, match="adam, cma-es, de, nelder-mead, spsa, trust-region"):
        Holder.model_validate({"optimizer": {"type": "newton"}})


def test_a_trust_region_ends_at_its_final_radius() -> None:
    state = after(TrustRegion(final_radius=1e-2), sphere, np.zeros(2), 400)
    assert state.scale == 1e-2

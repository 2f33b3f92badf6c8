"""Functions with known minima, all optimisers, and a loop around any of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from pydantic import SerializeAsAny

from qcsc_loop import IterativeAlgorithm, Record, State, current_step
from qcsc_loop.optimizers import (
    CMAES,
    SPSA,
    Adam,
    DifferentialEvolution,
    NelderMead,
    Optimizer,
    OptimizerState,
    TrustRegion,
)
from qcsc_loop.values.arrays import NDArray

Floats = npt.NDArray[np.float64]
Function = Callable[[Floats], float]

OPTIMIZERS: dict[str, Optimizer] = {
    "nelder-mead": NelderMead(),
    "nelder-mead-ahead": NelderMead(ahead=True),
    "nelder-mead-plain": NelderMead(adaptive=False),
    "trust-region": TrustRegion(),
    "cma-es": CMAES(),
    "de": DifferentialEvolution(perturbation=1.0),
    "de-best-1": DifferentialEvolution(strategy="best/1", scale=0.9, perturbation=1.0),
    "de-rand-1": DifferentialEvolution(strategy="rand/1", perturbation=1.0),
    "spsa": SPSA(a=0.2),
    "spsa-pairs": SPSA(a=0.2, pairs=3),
    "adam": Adam(rate=0.05),
    "adam-shift": Adam(rate=0.05, slope="parameter-shift"),
}


def sphere(x: Floats) -> float:
    """0 at 1, 1, ..."""
    return float(((x - 1) ** 2).sum())


def ellipsoid(x: Floats) -> float:
    """0 at 0.3, 0.3, ...; a hundred times as steep along the last parameter as along the first."""
    return float((10 ** np.linspace(0, 2, len(x)) * (x - 0.3) ** 2).sum())


def rosenbrock(x: Floats) -> float:
    """0 at 1, 1, ..., along a bent valley."""
    return float((100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum())


def rotations(x: Floats) -> float:
    """As energies are in angles, with the minimum -2 at 0.4, 0.4."""
    return float(-np.cos(x - 0.4).sum())


def after(
    optimizer: Optimizer,
    function: Function,
    start: npt.ArrayLike,
    evaluations: int,
    *,
    bounds: npt.ArrayLike | None = None,
    seed: int = 0,
) -> OptimizerState:
    """Where it stands after at least so many values."""
    rng = np.random.default_rng(seed)
    state, spent = optimizer.begin(start, rng, bounds=bounds), 0
    while spent < evaluations:
        points = optimizer.ask(state)
        spent += len(points)
        state = optimizer.tell(state, [function(point) for point in points], rng)
    return state


class Values(Record):
    """Of the points that were asked for."""

    values: NDArray


class Search(State):
    """A loop's state around an optimiser's."""

    best_value: float
    optimizer: OptimizerState


class Minimize(IterativeAlgorithm[Search, Values, Values]):
    """Noisy values of a sphere: their noise is a step's own."""

    optimizer: SerializeAsAny[Optimizer] = SPSA(a=0.2)
    parameters: int = 3

    async def initialize(self) -> Search:
        begun = self.optimizer.begin(np.zeros(self.parameters), current_step().rng)
        return Search(best_value=begun.best_value, optimizer=begun)

    async def sample(self, state: Search) -> Values:
        points = self.optimizer.ask(state.optimizer)
        noise = 0.01 * current_step().rng.standard_normal(len(points))
        return Values(values=np.array([sphere(point) for point in points]) + noise)

    async def evaluate(self, state: Search, samples: Values) -> Values:
        return samples

    async def update(self, state: Search, evaluation: Values) -> Search:
        told = self.optimizer.tell(state.optimizer, evaluation.values, current_step().rng)
        return Search(best_value=told.best_value, optimizer=told)

"""CMA-ES, by the library `cmaes`: its state is taken out of it as arrays after each step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field

from qcsc_loop.errors import InputError
from qcsc_loop.optimizers.optimizer import Box, Floats, Memory, Move, Optimizer, OptimizerState

if TYPE_CHECKING:
    from cmaes import CMA

# what moves of the library's own state; all else it derives from how it is constructed
MOVING = ("_mean", "_sigma", "_c_1d", "_p_sigma", "_pc", "_g")


class CMAES(Optimizer):
    """Covariance matrix adaptation: for rugged, badly scaled and noisy functions.

    Hansen, arXiv:1604.00772; the library: Nomura and Shibata, arXiv:2402.01373. Only the order of
    values counts. Needs the extra `cmaes`.

    Attributes:
        sigma: the first standard deviation, in the parameters' unit; a third of where to look.
        population: points that are asked for at a time; 0: as many as is usual, 4 + 3 ln(parameters).
    """

    type: Literal["cma-es"] = "cma-es"
    sigma: float = Field(default=0.5, gt=0)
    population: int = Field(default=0, ge=0)

    def first_move(self, start: Floats, box: Box, rng: np.random.Generator) -> Move:
        if self.population in (1, 2):
            raise ValueError(
                "population: CMA-ES needs 3 points at least, or 0 for as many as is usual"
            )
        return _asked(self._new(start, self.sigma), rng)

    def next_move(
        self, state: OptimizerState, values: Floats, box: Box, rng: np.random.Generator
    ) -> Move:
        memory = state.memory
        library = self._new(memory["_mean"], float(memory["_sigma"]))
        _restore(library, memory)
        if np.isfinite(values).any():  # else they say nothing
            worth = values + _penalties(memory["asked"], state.points, values, memory)
            library.tell(list(zip(memory["asked"], worth.tolist(), strict=True)))
        return _asked(library, rng)

    def _new(self, mean: Floats, sigma: float) -> CMA:
        try:
            from cmaes import CMA
        except ImportError:
            raise InputError(
                "the optimiser cma-es needs the library cmaes: pip install 'qcsc-loop[cmaes]'"
            ) from None
        # without bounds: its own way with them, drawing again, diverges at a corner of the box
        return CMA(np.array(mean), sigma, population_size=self.population or None, seed=0)


def _asked(library: CMA, rng: np.random.Generator) -> Move:
    memory = _memory(library)
    library.reseed_rng(int(rng.integers(2**32)))
    asked = np.stack([library.ask() for _ in range(library.population_size)])
    scale = float(np.sqrt(_variances(memory)).max())
    return Move(asked, memory["_mean"], scale, memory | {"asked": asked})


def _variances(memory: Memory) -> Floats:
    """Of each parameter, float64 (parameters,)."""
    number = len(memory["_mean"])
    first_of_row = np.cumsum([0, *range(number, 1, -1)])  # of the upper triangle, row by row
    return np.asarray(memory["_sigma"] ** 2 * memory["_c_1d"][first_of_row])


def _penalties(asked: Floats, points: Floats, values: Floats, memory: Memory) -> Floats:
    """Float64 (points,): what being beyond a bound costs, so that the mean comes back to it.

    As much as the values differ by, at one standard deviation: it follows both as they shrink.
    """
    finite = values[np.isfinite(values)]
    low, high = np.quantile(finite, (0.25, 0.75))
    beyond = ((asked - points) ** 2 / _variances(memory)).sum(axis=1)
    return np.asarray(max(float(high - low), 1e-300) * beyond)


def _memory(library: CMA) -> dict[str, Floats]:
    """What moves of its state, by the names that it has in the dictionary made for pickling."""
    state: dict[str, Any] = library.__getstate__()
    if missing := set(MOVING) - set(state):
        raise InputError(
            f"this version of cmaes has no {', '.join(sorted(missing))} in its state, which cannot be "
            "stored so: install the one in constraints.txt"
        )
    return {name: np.array(state[name], np.float64) for name in MOVING}


def _restore(library: CMA, memory: Memory) -> None:
    state: dict[str, Any] = library.__getstate__()
    moved: dict[str, Any] = {name: np.array(memory[name]) for name in MOVING}
    moved |= {"_sigma": float(memory["_sigma"]), "_g": int(memory["_g"])}
    library.__setstate__({**state, **moved})

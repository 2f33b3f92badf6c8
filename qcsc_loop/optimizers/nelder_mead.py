"""The simplex of Nelder and Mead: few values, no slopes."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from pydantic import Field

from qcsc_loop.optimizers.optimizer import Box, Floats, Move, Optimizer, OptimizerState

REFLECTED, EXPANDED, OUTSIDE, INSIDE = range(4)
SHRINK = -1


class NelderMead(Optimizer):
    """A simplex that is reflected, expanded, contracted and shrunk towards lower values.

    Nelder and Mead, Comput. J. 7, 308 (1965); with `adaptive`, the coefficients for many parameters
    of Gao and Han, Comput. Optim. Appl. 51, 259 (2012). For up to ten or so parameters, and values
    without noise. The first batch is the whole simplex, and one that is shrunk is a batch.

    Attributes:
        size: of the first simplex, in the parameters' unit.
        ahead: ask for all four points of a step at once, of which it needs one or two: fewer waits
            in a queue, more shots.
    """

    type: Literal["nelder-mead"] = "nelder-mead"
    size: float = Field(default=0.5, gt=0)
    adaptive: bool = True
    ahead: bool = False

    def first_move(self, start: Floats, box: Box, rng: np.random.Generator) -> Move:
        # inwards where a bound is in the way
        reach = np.where(start + self.size <= box.upper, self.size, -self.size)
        points = box.inside(np.vstack([start, start + np.diag(reach)]))
        return Move(points, start, _size(points))

    def next_move(
        self, state: OptimizerState, values: Floats, box: Box, rng: np.random.Generator
    ) -> Move:
        if "simplex" not in state.memory:
            return self._sorted(state.points, values, box)
        simplex, known = state.memory["simplex"], state.memory["values"]
        if "asked" not in state.memory:  # it was shrunk: the best one has its value
            return self._sorted(
                np.vstack([simplex[:1], state.points]), np.append(known[:1], values), box
            )
        tried = state.memory["tried"].copy()  # NaN: it is not known yet
        tried[state.memory["asked"].astype(int)] = values
        return self._go_on(simplex, known, tried, box)

    def _sorted(self, simplex: Floats, values: Floats, box: Box) -> Move:
        order = np.argsort(values, kind="stable")
        return self._go_on(simplex[order], values[order], np.full(4, np.nan), box)

    def _go_on(self, simplex: Floats, known: Floats, tried: Floats, box: Box) -> Move:
        """The next points of a step of which some values are known."""
        trials = box.inside(self._trials(simplex))
        chosen, is_known = _verdict(known, tried)
        if chosen == SHRINK:
            smaller = simplex[0] + self._coefficients(simplex)[3] * (simplex[1:] - simplex[0])
            return Move(smaller, simplex[0], _size(simplex), {"simplex": simplex, "values": known})
        if is_known:
            moved = np.vstack([simplex[:-1], trials[chosen]])
            return self._sorted(moved, np.append(known[:-1], tried[chosen]), box)
        asked = np.arange(4) if self.ahead else np.array([chosen])
        memory = {
            "simplex": simplex,
            "values": known,
            "tried": tried,
            "asked": asked.astype(np.float64),
        }
        return Move(trials[asked], simplex[0], _size(simplex), memory)

    def _trials(self, simplex: Floats) -> Floats:
        """Where the worst corner may go: reflected, expanded, contracted outside and inside."""
        middle, worst = simplex[:-1].mean(axis=0), simplex[-1]
        expansion, contraction = self._coefficients(simplex)[1:3]
        reach = np.array([1.0, expansion, contraction, -contraction])
        return np.asarray(middle + reach[:, None] * (middle - worst))

    def _coefficients(self, simplex: Floats) -> tuple[float, float, float, float]:
        """Of reflection, expansion, contraction and shrinking."""
        n = simplex.shape[1]
        if not self.adaptive or n == 1:
            return 1.0, 2.0, 0.5, 0.5
        return 1.0, 1 + 2 / n, 0.75 - 1 / (2 * n), 1 - 1 / n


def _verdict(known: Floats, tried: Floats) -> tuple[int, bool]:
    """Which trial takes the worst corner's place, or has to be known first; and whether it is."""
    reflected = tried[REFLECTED]
    if math.isnan(reflected):
        return REFLECTED, False
    if reflected < known[0]:
        if math.isnan(tried[EXPANDED]):
            return EXPANDED, False
        return (EXPANDED if tried[EXPANDED] < reflected else REFLECTED), True
    if reflected < known[-2]:
        return REFLECTED, True
    side, limit = (OUTSIDE, reflected) if reflected < known[-1] else (INSIDE, known[-1])
    if math.isnan(tried[side]):
        return side, False
    return (side if tried[side] < limit else SHRINK), True


def _size(simplex: Floats) -> float:
    return float(np.abs(simplex[1:] - simplex[0]).max())

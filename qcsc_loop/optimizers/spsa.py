"""Simultaneous perturbation: a slope from two values, whatever the number of parameters."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from qcsc_loop.optimizers.optimizer import Box, Floats, Move, Optimizer, OptimizerState


class SPSA(Optimizer):
    """Two values a step and pair: for noisy values of many parameters.

    The slope's estimate is (f(x + c_k d) - f(x - c_k d)) / (2 c_k d) with random signs d, the step
    -a_k times it, with a_k = a / (A + k)^alpha, c_k = c / k^gamma and k from 1. Spall, IEEE Trans.
    Automat. Contr. 37, 332 (1992); how to choose the gains: Spall, IEEE Trans. Aerosp. Electron.
    Syst. 34, 817 (1998). A pair of which a value failed is left out.

    Attributes:
        a: in the parameters' unit squared per unit of value; smaller for a steeper function.
        c: in the parameters' unit; larger for noisier values.
        stability: A, about a tenth of the steps that are planned.
        pairs: slopes that are averaged for a step.
    """

    type: Literal["spsa"] = "spsa"
    a: float = Field(default=0.5, gt=0)
    c: float = Field(default=0.1, gt=0)
    stability: float = Field(default=10.0, ge=0)
    alpha: float = Field(default=0.602, ge=0, le=1)
    gamma: float = Field(default=0.101, ge=0, le=1)
    pairs: int = Field(default=1, ge=1)

    def first_move(self, start: Floats, box: Box, rng: np.random.Generator) -> Move:
        return self._around(start, 1, box, rng)

    def next_move(
        self, state: OptimizerState, values: Floats, box: Box, rng: np.random.Generator
    ) -> Move:
        k = state.told + 1
        # differences of the points themselves: a bound may have moved one of them
        shifts = state.points[::2] - state.points[1::2]
        good = np.isfinite(values[::2]) & np.isfinite(values[1::2])
        rises = values[::2][good] - values[1::2][good]
        center = state.center
        if good.any():
            slopes = np.zeros_like(shifts[good])
            np.divide(rises[:, None], shifts[good], out=slopes, where=shifts[good] != 0)
            center = box.inside(
                center - self.a / (self.stability + k) ** self.alpha * slopes.mean(0)
            )
        return self._around(center, k + 1, box, rng)

    def _around(self, center: Floats, k: int, box: Box, rng: np.random.Generator) -> Move:
        reach = self.c / k**self.gamma
        signs = rng.choice((-1.0, 1.0), (self.pairs, len(center)))
        points = np.stack([center + reach * signs, center - reach * signs], axis=1)
        return Move(points.reshape(-1, len(center)), center, reach)

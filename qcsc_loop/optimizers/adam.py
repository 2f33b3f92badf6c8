"""Adam on slopes that are measured: two values for each parameter."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from pydantic import Field

from qcsc_loop.optimizers.optimizer import Box, Floats, Move, Optimizer, OptimizerState


class Adam(Optimizer):
    """A step by the slope along each parameter, each with a rate of its own.

    The step is algorithm 1 of Kingma and Ba, arXiv:1412.6980, with its constants. A slope of which
    a value failed is taken as its mean so far.

    Attributes:
        rate: of a step, in the parameters' unit.
        slope: `difference`: (f(x + w e) - f(x - w e)) / 2w; `parameter-shift`: (f(x + pi/2 e) -
            f(x - pi/2 e)) / 2, exact where each parameter turns one Pauli rotation (Schuld et al.,
            Phys. Rev. A 99, 032331 (2019)).
        width: w, in the parameters' unit; larger for noisier values.
    """

    type: Literal["adam"] = "adam"
    rate: float = Field(default=0.1, gt=0)
    slope: Literal["difference", "parameter-shift"] = "difference"
    width: float = Field(default=1e-3, gt=0)

    def first_move(self, start: Floats, box: Box, rng: np.random.Generator) -> Move:
        none = np.zeros(len(start))
        return self._around(start, {"mean": none, "square": none})

    def next_move(
        self, state: OptimizerState, values: Floats, box: Box, rng: np.random.Generator
    ) -> Move:
        k, known = state.told + 1, state.memory
        good = np.isfinite(values[::2]) & np.isfinite(values[1::2])
        slopes = known["mean"].copy()
        slopes[good] = (values[::2][good] - values[1::2][good]) / self._widths(state)[good]
        mean = 0.9 * known["mean"] + 0.1 * slopes
        square = 0.999 * known["square"] + 0.001 * slopes**2
        step = mean / (1 - 0.9**k) / (np.sqrt(square / (1 - 0.999**k)) + 1e-8)
        center = box.inside(state.center - self.rate * step)
        return self._around(center, {"mean": mean, "square": square})

    def _widths(self, state: OptimizerState) -> Floats:
        if self.slope == "parameter-shift":
            return np.full(state.points.shape[1], 2.0)
        # of the points themselves: a bound may have moved one of them
        return np.diag(state.points[::2] - state.points[1::2])

    def _around(self, center: Floats, memory: dict[str, Floats]) -> Move:
        reach = math.pi / 2 if self.slope == "parameter-shift" else self.width
        pairs = np.kron(np.eye(len(center)), [[reach], [-reach]])
        return Move(center + pairs, center, self.rate, memory)

"""Linear models in a region that is trusted less and less: after COBYLA, with bounds alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import Field

from qcsc_loop.optimizers.optimizer import Box, Floats, Move, Optimizer, OptimizerState

# Powell's: how flat a simplex may be, how far a corner may lie, and where a better one is put
FLAT, FAR, NEW = 0.25, 2.1, 0.5
POOR = 0.1  # of the fall that was foretold, below which the model is not trusted as far


class TrustRegion(Optimizer):
    """Goes down the plane through its corners, as far as its radius, one value a step.

    After Powell's COBYLA (in Advances in Optimization and Numerical Analysis, 51 (1994)): corners
    are replaced one by one, those that spoil the model's geometry by a point that mends it, and the
    radius is halved where the model says nothing new. Its constraints are bounds. For few values
    of smooth functions, with a little noise; with more, end at a larger radius.

    Attributes:
        radius: the first one, in the parameters' unit.
        final_radius: which it is never below.
    """

    type: Literal["trust-region"] = "trust-region"
    radius: float = Field(default=0.5, gt=0)
    final_radius: float = Field(default=1e-6, gt=0)

    def first_move(self, start: Floats, box: Box, rng: np.random.Generator) -> Move:
        reach = np.where(start + self.radius <= box.upper, self.radius, -self.radius)
        corners = box.inside(np.vstack([start, start + np.diag(reach)]))
        return Move(corners, start, self.radius)

    def next_move(
        self, state: OptimizerState, values: Floats, box: Box, rng: np.random.Generator
    ) -> Move:
        if "corners" not in state.memory:
            return self._aim(_Model.of(state.points, values, self.radius), box)
        corners, known = state.memory["corners"].copy(), state.memory["values"].copy()
        radius, foretold, replaced, mended = state.memory["plan"]
        (point,), (value,) = state.points, values
        fell = float(known[0]) - float(value)  # NaN where both failed
        place = int(replaced) if replaced >= 0 else _place(corners, point, radius, fell > 0)
        if place is not None:
            corners[place], known[place] = point, value
        if replaced >= 0:
            return self._aim(_Model.of(corners, known, radius, int(mended)), box)
        if fell >= POOR * foretold:
            return self._aim(_Model.of(corners, known, radius), box)
        return self._aim_closer(_Model.of(corners, known, radius, int(mended)), box)

    def _aim(self, model: _Model, box: Box) -> Move:
        """Down the model."""
        slope = model.slope()
        step = _steepest(slope, model.corners[0], model.radius, box)
        if not step.any():  # flat, or in a corner of the box: look closer
            smaller = self._smaller(model)
            return _mending(smaller, _worst_placed(smaller) or len(slope), box)
        return _planned(model, model.corners[0] + step, foretold=-float(slope @ step))

    def _aim_closer(self, model: _Model, box: Box) -> Move:
        """After a step that was not what the model foretold: mend it, or trust it less far."""
        bad = _worst_placed(model)
        # each corner once: the box may be in the way of mending it
        if bad is not None and model.mended < len(model.corners) - 1:
            return _mending(model, bad, box)
        return self._aim(self._smaller(model), box)

    def _smaller(self, model: _Model) -> _Model:
        radius = max(model.radius / 2, self.final_radius)
        return _Model(model.corners, model.values, radius, 0)


@dataclass(frozen=True)
class _Model:
    """A plane through corners, the best one first.

    Attributes:
        mended: how many corners were replaced since the radius was halved or a step was good.
    """

    corners: Floats
    values: Floats
    radius: float
    mended: int

    @classmethod
    def of(cls, corners: Floats, values: Floats, radius: float, mended: int = 0) -> _Model:
        best = int(np.argmin(values))
        order = np.concatenate([[best], np.delete(np.arange(len(values)), best)])
        return cls(corners[order], values[order], float(radius), mended)

    def slope(self) -> Floats:
        """One that failed is as bad as the worst that did not."""
        finite = self.values[np.isfinite(self.values)]
        worst = finite.max() if len(finite) else 0.0
        rises = np.where(np.isfinite(self.values), self.values, worst)
        edges = self.corners[1:] - self.corners[0]
        return np.asarray(np.linalg.lstsq(edges, rises[1:] - rises[0], rcond=None)[0])


def _planned(model: _Model, point: Floats, *, foretold: float = 0.0, replaced: int = -1) -> Move:
    mended = model.mended + (replaced >= 0)
    memory = {
        "corners": model.corners,
        "values": model.values,
        "plan": np.array([model.radius, foretold, replaced, mended]),
    }
    return Move(point[None, :], model.corners[0], model.radius, memory)


def _steepest(slope: Floats, start: Floats, radius: float, box: Box) -> Floats:
    """The step of at most that length which the plane falls most along, in the box."""
    free = np.ones(len(slope), bool)
    while True:  # parameters at a bound that the slope leads beyond are held there
        steepness = float(np.linalg.norm(slope[free]))
        step = np.zeros(len(slope))
        if not steepness > 0:
            return step
        step[free] = -radius / steepness * slope[free]
        held = free & (((start <= box.lower) & (step < 0)) | ((start >= box.upper) & (step > 0)))
        if not held.any():
            return box.inside(start + step) - start
        free &= ~held


def _directions(corners: Floats) -> Floats:
    """Float64 (parameters, corners - 1): columns are across the faces opposite each corner."""
    return np.linalg.pinv(corners[1:] - corners[0])


def _place(corners: Floats, point: Floats, radius: float, is_better: bool) -> int | None:
    """The corner that a new point takes the place of; None: it would make the model worse."""
    volumes = np.abs((point - corners[0]) @ _directions(corners))
    distances = np.linalg.norm(corners[1:] - (point if is_better else corners[0]), axis=1)
    weight = volumes * np.maximum(1.0, distances / radius)
    best = int(np.argmax(weight))
    return best + 1 if is_better or weight[best] > 1.0 else None


def _worst_placed(model: _Model) -> int | None:
    """The corner that lies too far away, or makes the simplex flat; None: there is none."""
    distances = np.linalg.norm(model.corners[1:] - model.corners[0], axis=1)
    if distances.max() > FAR * model.radius:
        return int(np.argmax(distances)) + 1
    lengths = np.linalg.norm(_directions(model.corners), axis=0)
    heights = np.divide(1.0, lengths, out=np.zeros_like(lengths), where=lengths > 0)
    return int(np.argmin(heights)) + 1 if heights.min() < FLAT * model.radius else None


def _mending(model: _Model, bad: int, box: Box) -> Move:
    """A point across the others, on the side where the plane falls and the box has room."""
    best, across = model.corners[0], _across(model.corners, bad)
    reach = NEW * model.radius * across
    sides = [box.inside(best + reach), box.inside(best - reach)]
    room = [float(np.linalg.norm(side - best)) for side in sides]
    falls = float(model.slope() @ across) <= 0
    has_room = min(room) > 0.5 * max(room)
    chosen = sides[0 if falls else 1] if has_room else sides[int(np.argmax(room))]
    return _planned(model, chosen, replaced=bad)


def _across(corners: Floats, bad: int) -> Floats:
    """A direction of length one, perpendicular to the edges to all other corners."""
    others = np.delete(corners[1:] - corners[0], bad - 1, axis=0)
    return np.linalg.svd(others)[2][-1] if len(others) else np.ones(1)

"""What every optimiser keeps to: settings, pure functions, and a state that is nothing but data."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias, final

import numpy as np
import numpy.typing as npt

from qcsc_loop.parameters.resource import Resource
from qcsc_loop.values.arrays import NDArray, real_numbers
from qcsc_loop.values.record import Record

Floats: TypeAlias = npt.NDArray[np.float64]
Memory: TypeAlias = Mapping[str, Floats]


class OptimizerState(Record):
    """Where an optimiser stands: a field of a loop's state, exact in a checkpoint.

    Attributes:
        kind: the `type` of the optimiser that it is of.
        told: how many batches of values it was told.
        points: float64 (points, parameters): what is to be evaluated next.
        center: float64 (parameters,), where it stands: the answer, where values are noisy.
        scale: how far apart the next points are, in the parameters' unit; small: it is done.
        best: float64 (parameters,), the point of the lowest value so far; the start before one.
        best_value: that value, inf before there is one. Of many noisy values the lowest is too low.
        memory: what else the optimiser knows, by name; float64.
    """

    kind: str
    told: int = 0
    points: NDArray
    center: NDArray
    scale: float
    best: NDArray
    best_value: float = math.inf
    memory: dict[str, NDArray] = {}


@dataclass(frozen=True)
class Box:
    """Between what parameters have to stay.

    Attributes:
        lower, upper: float64 (parameters,); infinite where there is no bound.
    """

    lower: Floats
    upper: Floats

    @classmethod
    def of(cls, bounds: npt.ArrayLike | None, number: int) -> Box:
        """Bounds as users give them.

        Args:
            bounds: `(lower, upper)` for all parameters, or (parameters, 2); None: there are none.

        Raises:
            ValueError: they are of another shape, or the lower ones are not below the upper ones.
        """
        if bounds is None:
            return cls(np.full(number, -np.inf), np.full(number, np.inf))
        given = real_numbers(bounds, "bounds")
        if given.shape not in {(2,), (number, 2)}:
            raise ValueError(
                f"bounds are (lower, upper) for all parameters, or an array of shape ({number}, 2), "
                f"not one of shape {given.shape}"
            )
        lower, upper = np.broadcast_to(given, (number, 2)).T.copy()
        if not (lower < upper).all():
            raise ValueError("every lower bound has to be below its upper one")
        return cls(lower, upper)

    def inside(self, points: Floats) -> Floats:
        """The points, each moved to the border where it is beyond one."""
        return np.clip(points, self.lower, self.upper)

    @property
    def is_finite(self) -> bool:
        """Whether every parameter has both bounds."""
        return bool(np.isfinite(self.lower).all() and np.isfinite(self.upper).all())


@dataclass(frozen=True)
class Move:
    """What an optimiser does next.

    Attributes:
        points, center, scale: as in `OptimizerState`.
        memory: what it will have to know when it is told their values.
    """

    points: Floats
    center: Floats
    scale: float
    memory: Memory = field(default_factory=dict)


class Optimizer(Resource, ABC):
    """Settings of a minimiser that is asked for points and told their values.

    `begin`, `ask` and `tell` are functions: they change nothing, draw on the generator that they are
    given alone, and all that they know is in the state. In a loop that is the step's own generator:
    a run that was killed goes on with the optimiser that it had, bit for bit.

    >>> import numpy as np
    >>> from qcsc_loop.optimizers import NelderMead
    >>> rng = np.random.default_rng(0)  # in a hook: current_step().rng
    >>> optimizer = NelderMead()
    >>> state = optimizer.begin([0.0, 0.0], rng)
    >>> for _ in range(150):
    ...     values = [(x - 1) ** 2 + (y + 2) ** 2 for x, y in optimizer.ask(state)]
    ...     state = optimizer.tell(state, values, rng)
    >>> state.best.round(3).tolist()
    [1.0, -2.0]

    NaN is the value of a point whose evaluation failed: it is never the best, and worse than any.

    Write one: a subclass with a `type` and the two abstract methods, under the entry-point group
    `qcsc_loop.resources`, as any resource.
    """

    @abstractmethod
    def first_move(self, start: Floats, box: Box, rng: np.random.Generator) -> Move:
        """The first points, around a start that is inside the box."""

    @abstractmethod
    def next_move(
        self, state: OptimizerState, values: Floats, box: Box, rng: np.random.Generator
    ) -> Move:
        """What follows from the values of `state.points`, float64 (points,); +inf: it failed."""

    @final
    def begin(
        self,
        start: npt.ArrayLike,
        rng: np.random.Generator,
        *,
        bounds: npt.ArrayLike | None = None,
    ) -> OptimizerState:
        """The state before anything was evaluated.

        Args:
            start: (parameters,); moved to the border where it is beyond a bound.
            bounds: `(lower, upper)` for all parameters, or (parameters, 2); may be infinite.

        Raises:
            ValueError: start or bounds are not of that form.
        """
        given = real_numbers(start, "start")
        if given.ndim != 1 or not len(given) or not np.isfinite(given).all():
            raise ValueError(
                f"a start is a number for each parameter, finite ones, not {start!r:.60}"
            )
        box = Box.of(bounds, len(given))
        given = box.inside(given)
        move = self.first_move(given, box, rng)
        edges = {} if bounds is None else {"lower": box.lower, "upper": box.upper}
        return OptimizerState(
            kind=self.type,
            points=box.inside(move.points),
            center=box.inside(move.center),
            scale=move.scale,
            best=given,
            memory={**move.memory, **edges},
        )

    @final
    def ask(self, state: OptimizerState) -> Floats:
        """The points to evaluate next, float64 (points, parameters).

        Raises:
            ValueError: the state is of another kind of optimiser.
        """
        self._require_mine(state)
        return np.array(state.points)

    @final
    def tell(
        self, state: OptimizerState, values: npt.ArrayLike, rng: np.random.Generator
    ) -> OptimizerState:
        """The state that follows.

        Args:
            values: (points,), of the points that were asked for, in their order; NaN: it failed.

        Raises:
            ValueError: they are not as many real numbers, or the state is of another kind of optimiser.
        """
        self._require_mine(state)
        found = real_numbers(values, "values")
        if found.shape != (len(state.points),):
            raise ValueError(
                f"{len(state.points)} points were asked for, and values of shape {found.shape} told: "
                "it takes one value a point, NaN for one that failed"
            )
        found[np.isnan(found)] = np.inf
        box = self._box(state)
        move = self.next_move(state, found, box, rng)
        lowest = int(np.argmin(found))
        is_better = found[lowest] < state.best_value
        edges = {name: state.memory[name] for name in ("lower", "upper") if name in state.memory}
        return OptimizerState(
            kind=self.type,
            told=state.told + 1,
            points=box.inside(move.points),
            center=box.inside(move.center),
            scale=move.scale,
            best=state.points[lowest] if is_better else state.best,
            best_value=float(found[lowest]) if is_better else state.best_value,
            memory={**move.memory, **edges},
        )

    def _box(self, state: OptimizerState) -> Box:
        if "lower" not in state.memory:
            return Box.of(None, state.points.shape[1])
        return Box(state.memory["lower"], state.memory["upper"])

    def _require_mine(self, state: OptimizerState) -> None:
        if state.kind != self.type:
            raise ValueError(
                f"this state is one of {state.kind!r}, and the optimiser is {self.type!r}: begin anew "
                "from state.best"
            )

"""A function's minimum: the loop around an optimiser, but for the function."""

from __future__ import annotations

import math
from abc import abstractmethod
from contextlib import suppress
from functools import partial
from typing import Annotated, ClassVar, Self

import numpy as np
from pydantic import Field, SerializeAsAny, model_validator

from qcsc_loop.algorithm import IterativeAlgorithm
from qcsc_loop.errors import InputError
from qcsc_loop.loop.hooks import Table
from qcsc_loop.optimizers import NelderMead, Optimizer, OptimizerState
from qcsc_loop.parameters.operational import OPERATIONAL
from qcsc_loop.steps.parts import run_parts
from qcsc_loop.steps.step import current_step
from qcsc_loop.values.arrays import NDArray
from qcsc_loop.values.chart import Chart
from qcsc_loop.values.record import Record, State


class Values(Record):
    """Of the points that the optimiser asked for.

    Attributes:
        values: float64 (points,), in their order; NaN: it failed.
    """

    values: NDArray


class Minimum(State):
    """Parameters on their way downhill.

    Attributes:
        best_value: the lowest so far, inf before there is one.
        value: the lowest of the last iteration.
        scale: how far apart the next points are, in the parameters' unit.
        evaluations: how many values there were.
        optimizer: where the optimiser stands; `optimizer.best` are the parameters of `best_value`.
    """

    chart: ClassVar[Chart] = Chart(headline="best_value", better="lower", beside=("value",))

    best_value: float = math.inf
    value: float = math.nan
    scale: float
    evaluations: int = 0
    optimizer: OptimizerState


class Minimization(IterativeAlgorithm[Minimum, Values, Values]):
    """Where a function is lowest, from a start; a subclass says what its value is.

    >>> import anyio
    >>> from qcsc_loop import MemoryStore
    >>> class Parabola(Minimization):
    ...     async def value(self, parameters):
    ...         return (parameters[0] - 2.0) ** 2
    >>> parabola = Parabola(start=(0.0,), tolerance=1e-4)
    >>> outcome = anyio.run(lambda: parabola.run(store=MemoryStore()))
    >>> outcome.state.optimizer.best.round(3).tolist()
    [2.0]

    Attributes:
        start: a number for each parameter.
        bounds: `(lower, upper)` of each parameter, as many as `start` has; empty: there are none.
        tolerance: converged when the optimiser's `scale` is below it, in the parameters' unit.
        concurrency: values at a time.
    """

    start: tuple[float, ...] = Field(default=(0.0,), min_length=1)
    bounds: tuple[tuple[float, float], ...] = ()
    optimizer: SerializeAsAny[Optimizer] = NelderMead()
    tolerance: Annotated[float, OPERATIONAL] = Field(
        default=1e-6, ge=0, description="of the optimiser's scale; 0 = never converged"
    )
    concurrency: Annotated[int, OPERATIONAL] = Field(
        default=8, ge=1, description="values at a time"
    )

    @model_validator(mode="after")
    def _can_begin(self) -> Self:
        """Start, bounds and optimiser fit together: what does not is said before a run begins."""
        with suppress(InputError):  # its library is not here, where a run may only be looked at
            self._begin(np.random.default_rng(0))
        return self

    def _begin(self, rng: np.random.Generator) -> OptimizerState:
        bounds = np.array(self.bounds) if self.bounds else None
        return self.optimizer.begin(self.start, rng, bounds=bounds)

    @abstractmethod
    async def value(self, parameters: NDArray) -> float:
        """What is to be as low as possible, at parameters of float64 (parameters,).

        A part of the step `sample`: once it has returned it is not asked again, and its randomness
        (`current_step().rng`), folder and jobs are its own.
        """

    async def initialize(self) -> Minimum:
        begun = self._begin(current_step().rng)
        return Minimum(scale=begun.scale, optimizer=begun)

    async def sample(self, state: Minimum) -> Values:
        points = self.optimizer.ask(state.optimizer)
        calls = {f"point-{i}": partial(self._value, point) for i, point in enumerate(points)}
        # one that failed is a bad point, as long as there is a good one to go on from
        found = await run_parts(calls, float, limit=self.concurrency, quorum=1)
        values = [math.nan if value is None else value for value in found.values()]
        return Values(values=np.array(values))

    async def _value(self, point: NDArray) -> float:
        return float(await self.value(point))

    async def evaluate(self, state: Minimum, samples: Values) -> Values:
        return samples

    async def update(self, state: Minimum, evaluation: Values) -> Minimum:
        values = evaluation.values
        told = self.optimizer.tell(state.optimizer, values, current_step().rng)
        known = values[~np.isnan(values)]
        return Minimum(
            best_value=told.best_value,
            value=float(known.min()) if len(known) else math.nan,
            scale=told.scale,
            evaluations=state.evaluations + len(values),
            optimizer=told,
        )

    async def converged(self, previous: Minimum, current: Minimum) -> bool:
        return current.scale < self.tolerance

    def tables(self, state: Minimum) -> dict[str, Table]:
        """`minimum`: the parameters of the lowest value, in their order."""
        best = state.optimizer.best
        return {"minimum": [{"parameter": i, "value": float(x)} for i, x in enumerate(best)]}

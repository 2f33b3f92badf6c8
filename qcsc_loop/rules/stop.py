"""When a run ends: rules that compose with `|` (any) and `&` (all).

A rule looks only at what is recorded, so that a resumed run stops where the run that was never
killed would have stopped. `WallTime` is the exception by its nature.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field, SerializeAsAny

from qcsc_loop.errors import InvalidParameters
from qcsc_loop.parameters.resource import Resource
from qcsc_loop.rules.reason import Reason


@dataclass(frozen=True)
class Committed:
    """One committed iteration as the stop rules see it.

    Attributes:
        converged: what the algorithm's `converged` hook said; False for iteration 0.
        scalars: `State.scalars()` of the state that was committed.
    """

    iteration: int
    converged: bool
    scalars: dict[str, float] = field(default_factory=dict[str, float])


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Attributes:
        recent: the last committed iterations, oldest first; at least as many as the rule's
            `lookback` asks for, once there are so many.
        driver_seconds: how long this driver has been running the run.
        used: what the run has cost, by name: `shots`, `qpu_seconds`, `node_hours`; without what has
            been paid of the next iteration and will be used.
        next_use: what the next iteration may cost, from what the last ones did, that included.
    """

    recent: Sequence[Committed]
    driver_seconds: float
    used: Mapping[str, float] = field(default_factory=dict[str, float])
    next_use: Mapping[str, float] = field(default_factory=dict[str, float])

    @property
    def iteration(self) -> int:
        """The last committed iteration."""
        return self.recent[-1].iteration


@dataclass(frozen=True)
class Stop:
    """Why a rule says stop: the reason, and the fact behind it in a few words."""

    reason: Reason
    because: str


class StopRule(Resource, ABC):
    """Base of the stop rules; a rule of your own is a subclass with `type` and `check`."""

    @abstractmethod
    def check(self, progress: Progress) -> Stop | None:
        """Asked before the first iteration and after every commit; None means go on."""

    @property
    def lookback(self) -> int:
        """How many of the last iterations `check` looks at."""
        return 1

    def parts(self) -> Sequence[StopRule]:
        """The rules this one is composed of."""
        return ()

    def __or__(self, other: StopRule) -> AnyOf:
        return AnyOf(rules=(*_flat(self, AnyOf), *_flat(other, AnyOf)))

    def __and__(self, other: StopRule) -> AllOf:
        return AllOf(rules=(*_flat(self, AllOf), *_flat(other, AllOf)))


def _flat(rule: StopRule, kind: type[StopRule]) -> Sequence[StopRule]:
    return rule.parts() if type(rule) is kind else (rule,)


def _fields(rule: StopRule, positional: Sequence[object]) -> dict[str, Any]:
    """Positional arguments by name: `MaxIterations(50)` reads better than its keyword."""
    names = [name for name in type(rule).model_fields if name != "type"]
    return dict(zip(names, positional, strict=False))


Rules = Annotated[tuple[SerializeAsAny[StopRule], ...], Field(min_length=1)]


class _Composite(StopRule, ABC):
    rules: Rules

    @property
    def lookback(self) -> int:
        return max(rule.lookback for rule in self.rules)

    def parts(self) -> Sequence[StopRule]:
        return self.rules


class AnyOf(_Composite):
    """Stops as soon as one of its rules does."""

    type: Literal["any"] = "any"

    def check(self, progress: Progress) -> Stop | None:
        return next((stop for rule in self.rules if (stop := rule.check(progress))), None)


class AllOf(_Composite):
    """Stops when all of its rules do; the first one gives the reason."""

    type: Literal["all"] = "all"

    def check(self, progress: Progress) -> Stop | None:
        stops = [rule.check(progress) for rule in self.rules]
        return None if None in stops else stops[0]


class MaxIterations(StopRule):
    """Stops at iteration `iterations`, counted over all drivers of the run."""

    type: Literal["max-iterations"] = "max-iterations"
    iterations: int = Field(ge=0)

    def __init__(self, *iterations: int, **fields: Any) -> None:
        super().__init__(**_fields(self, iterations), **fields)

    def check(self, progress: Progress) -> Stop | None:
        if progress.iteration < self.iterations:
            return None
        return Stop(Reason.MAX_ITERATIONS, f"limit of {self.iterations}")


class Converged(StopRule):
    """Stops when the algorithm's `converged` hook has said so `times` times in a row.

    A run whose rule does not mention it stops at the first time: `rule` means `rule | Converged()`.
    Say `Converged(times=3)` for a noisy objective, or `Converged() & MaxIterations(5)` to do at
    least five iterations.
    """

    type: Literal["converged"] = "converged"
    times: int = Field(default=1, ge=1)

    @property
    def lookback(self) -> int:
        return self.times

    def check(self, progress: Progress) -> Stop | None:
        last = progress.recent[-self.times :]
        if len(last) < self.times or not all(done.converged for done in last):
            return None
        return Stop(Reason.CONVERGED, f"{self.times} times in a row" if self.times > 1 else "")


class Plateau(StopRule):
    """Stops when a scalar has moved by at most `tolerance` over `window` iterations.

    Compares the largest and the smallest of the last `window` + 1 values. `scalar` names one of
    `State.scalars()`; by default the first one. NaN and inf count as movement.
    """

    type: Literal["plateau"] = "plateau"
    window: int = Field(ge=1)
    tolerance: float = Field(ge=0)
    scalar: str | None = None

    def __init__(self, *window_tolerance: float, **fields: Any) -> None:
        super().__init__(**_fields(self, window_tolerance), **fields)

    @property
    def lookback(self) -> int:
        return self.window + 1

    def check(self, progress: Progress) -> Stop | None:
        last = progress.recent[-self.lookback :]
        values = [self._value(done) for done in last]  # an unknown scalar shows at once
        if len(last) < self.lookback or not all(map(math.isfinite, values)):
            return None
        moved = max(values) - min(values)
        if moved > self.tolerance:
            return None
        return Stop(Reason.PLATEAU, f"moved {moved:.3g} in {self.window} iterations")

    def _value(self, done: Committed) -> float:
        if not done.scalars:
            return math.nan
        name = next(iter(done.scalars)) if self.scalar is None else self.scalar
        if name not in done.scalars:
            raise InvalidParameters(
                "Plateau", [f"the state has no scalar {name!r}"], list(done.scalars)
            )
        return done.scalars[name]


class WallTime(StopRule):
    """Stops before the next iteration once this driver has run for `seconds`.

    A resumed run has the whole time again: the rule guards a driver's own limit (a login node, a
    batch job), not the run's total.
    """

    type: Literal["wall-time"] = "wall-time"
    seconds: float = Field(gt=0)

    def __init__(self, *seconds: float, **fields: Any) -> None:
        super().__init__(**_fields(self, seconds), **fields)

    def check(self, progress: Progress) -> Stop | None:
        if progress.driver_seconds < self.seconds:
            return None
        return Stop(Reason.WALL_TIME, f"limit of {self.seconds:g} s")


class Budget(StopRule, ABC):
    """Stops before an iteration that would spend more than there is.

    What it would spend is taken from the dearest of the last three; the first one is free to try.
    All drivers of the run and failed jobs count; shots count when their step has returned.
    """

    limit: float = Field(gt=0)

    @property
    @abstractmethod
    def amount(self) -> str:
        """The name of what is limited."""

    def check(self, progress: Progress) -> Stop | None:
        used, more = (spent.get(self.amount, 0.0) for spent in (progress.used, progress.next_use))
        if used + more <= self.limit and used < self.limit:
            return None
        words = self.amount.replace("_", " ")
        return Stop(Reason.BUDGET, f"{used:.6g} of {self.limit:.6g} {words} spent")


class QpuSeconds(Budget):
    """A budget of seconds that the quantum service charges."""

    type: Literal["qpu-seconds"] = "qpu-seconds"

    def __init__(self, *limit: float, **fields: Any) -> None:
        super().__init__(**_fields(self, limit), **fields)

    @property
    def amount(self) -> str:
        return "qpu_seconds"


class Shots(Budget):
    """A budget of shots, from whatever source."""

    type: Literal["shots"] = "shots"

    def __init__(self, *limit: float, **fields: Any) -> None:
        super().__init__(**_fields(self, limit), **fields)

    @property
    def amount(self) -> str:
        return "shots"


class NodeHours(Budget):
    """A budget of node hours of HPC jobs."""

    type: Literal["node-hours"] = "node-hours"

    def __init__(self, *limit: float, **fields: Any) -> None:
        super().__init__(**_fields(self, limit), **fields)

    @property
    def amount(self) -> str:
        return "node_hours"


def with_convergence(rule: StopRule) -> StopRule:
    """The rule, or `rule | Converged()` where it does not mention convergence anywhere."""

    def mentions(part: StopRule) -> bool:
        return isinstance(part, Converged) or any(mentions(p) for p in part.parts())

    return rule if mentions(rule) else Converged() | rule

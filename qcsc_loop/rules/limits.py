"""A run's limits: each said once, for the command line, for forms, and for the loop as a rule."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from qcsc_loop.rules.stop import StopRule

DEFAULT_ITERATIONS = 100


@dataclass(frozen=True)
class Limit:
    """What a field of `Limits` is elsewhere.

    Attributes:
        unit: stands for the value in the help of the command line.
        words: what it does, for the same.
        rule: `type` of the rule that keeps to it; empty: it is the number of iterations.
        field, factor: the rule's own, and what it counts in.
    """

    unit: str
    words: str
    rule: str = ""
    field: str = "limit"
    factor: float = 1.0


Iterations = Annotated[int | None, Limit("N", "Stop at iteration N.")]
QpuTime = Annotated[float | None, Limit("S", "Stop before more QPU time is spent.", "qpu-seconds")]
Shots = Annotated[float | None, Limit("N", "Stop before more shots are spent.", "shots")]
NodeTime = Annotated[
    float | None, Limit("H", "Stop before more node hours are spent.", "node-hours")
]
Hours = Annotated[
    float | None,
    Limit("H", "Stop once this driver has run so long.", "wall-time", "seconds", 3600.0),
]


class Limits(BaseModel):
    """What a run may do and spend; the first limit that is reached stops it. None: no limit.

    A new budget is a field here, and its rule in `rules.stop`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_iterations: Iterations = Field(default=None, ge=0, description="empty: 100")
    max_qpu_seconds: QpuTime = Field(default=None, gt=0, allow_inf_nan=False, description="budget")
    max_shots: Shots = Field(default=None, gt=0, allow_inf_nan=False, description="budget")
    max_node_hours: NodeTime = Field(default=None, gt=0, allow_inf_nan=False, description="budget")
    max_hours: Hours = Field(default=None, gt=0, allow_inf_nan=False, description="of each driver")

    def stop_rule(self, *more: StopRule) -> StopRule | None:
        """The rule that stops at any of these, and at any of `more`; None if there are none."""
        # here: the words of the limits are wanted without the rules, which take as long as pydantic
        from qcsc_loop.rules.stop import AnyOf, MaxIterations

        budgets = [*more, *self._budgets()]
        if self.max_iterations is None and not budgets:
            return None
        given = self.max_iterations
        most = MaxIterations(DEFAULT_ITERATIONS if given is None else given)
        return AnyOf(rules=(most, *budgets)) if budgets else most

    def _budgets(self) -> Iterator[StopRule]:
        from qcsc_loop.rules.stop import StopRule

        for name, limit in limits():
            amount = getattr(self, name)
            if limit.rule and amount is not None:
                bound = {limit.field: amount * limit.factor}
                yield StopRule.model_validate({"type": limit.rule, **bound})


def limits() -> Iterator[tuple[str, Limit]]:
    """The name of each limit, and what it is."""
    for name, field in Limits.model_fields.items():
        yield from ((name, known) for known in field.metadata if isinstance(known, Limit))

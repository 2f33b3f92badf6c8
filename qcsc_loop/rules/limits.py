"""A run's limits, as rules."""

from __future__ import annotations

from qcsc_loop.rules.stop import (
    AnyOf,
    MaxIterations,
    NodeHours,
    QpuSeconds,
    Shots,
    StopRule,
)

DEFAULT_ITERATIONS = 100


def stop_rule(
    max_iterations: int | None,
    max_qpu_seconds: float | None,
    max_shots: float | None,
    max_node_hours: float | None,
    *more: StopRule,
) -> StopRule | None:
    """The rule that stops at any of these; None if there are none."""
    budgets: list[StopRule] = list(more)
    if max_qpu_seconds is not None:
        budgets.append(QpuSeconds(max_qpu_seconds))
    if max_shots is not None:
        budgets.append(Shots(max_shots))
    if max_node_hours is not None:
        budgets.append(NodeHours(max_node_hours))
    if max_iterations is None and not budgets:
        return None
    most = MaxIterations(DEFAULT_ITERATIONS if max_iterations is None else max_iterations)
    return AnyOf(rules=(most, *budgets)) if budgets else most

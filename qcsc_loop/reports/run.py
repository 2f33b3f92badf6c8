"""A run in words and tables, for people."""

from __future__ import annotations

import math
from collections.abc import Sequence

from qcsc_loop.store.records import Commit

_BARS = "▁▂▃▄▅▆▇█"
CURVE_COMMITS = 1000  # a chain writes the report at every hop: it costs the same at each
WORTH_SECONDS = 1e-3


def number(value: float) -> str:
    """A scalar as people read it: whole numbers whole, others with nine digits."""
    whole = math.isfinite(value) and value == int(value) and abs(value) < 1e15
    return str(int(value)) if whole else f"{value:.9g}"


def scalars_line(scalars: dict[str, float]) -> str:
    """'energy = -76.1198, dimension = 120'."""
    return ", ".join(f"{name} = {number(value)}" for name, value in scalars.items())


def curve(values: Sequence[float], width: int = 60) -> str:
    """A convergence curve in one line of text; NaN and inf leave a gap."""
    step = max(1, math.ceil(len(values) / width))
    shown = list(values)[::-1][::step][::-1]  # the last value is always shown
    finite = [v for v in shown if math.isfinite(v)]
    if not finite:
        return ""
    low, span = min(finite), (max(finite) - min(finite)) or 1.0
    return "".join(
        _BARS[round((v - low) / span * (len(_BARS) - 1))] if math.isfinite(v) else " "
        for v in shown
    )


def headline(history: Sequence[Commit]) -> tuple[str, list[float]]:
    """Name and values of the first scalar over the history; empty if there is none."""
    name = next((key for commit in history[-1:] for key in commit.scalars), "")
    return name, [c.scalars[name] for c in history if name in c.scalars]


def phases(history: Sequence[Commit]) -> list[str]:
    """The steps worth a column: those that once took a millisecond, in the order of the loop."""
    steps = dict.fromkeys(step for commit in history for step in commit.seconds)
    return [
        step for step in steps if max(c.seconds.get(step, 0.0) for c in history) >= WORTH_SECONDS
    ]

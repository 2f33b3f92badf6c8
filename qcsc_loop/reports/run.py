"""A run in words and tables, for people."""

from __future__ import annotations

import math
from collections.abc import Sequence

_BARS = "▁▂▃▄▅▆▇█"
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

"""Where an axis has its marks, and what they say: numbers that people would choose."""

from __future__ import annotations

import math
from dataclasses import dataclass

MOST_DIGITS = 10  # of a label; beyond, labels tell how far from one value they are
_STEPS = (1.0, 2.0, 5.0, 10.0)


@dataclass(frozen=True)
class Ticks:
    """The marks of an axis.

    Attributes:
        values: where they are.
        labels: what each says.
        base: what the labels are counted from; 0 nearly always.
    """

    values: list[float]
    labels: list[str]
    base: float = 0.0


def nice_ticks(low: float, high: float, most: int, *, whole: bool = False) -> Ticks:
    """At most so many marks from `low` to `high`, at 1, 2 or 5 times a power of ten.

    Args:
        whole: none between whole numbers, as for iterations.
    """
    step = _nice_step((high - low) / max(1, most))
    step = max(1.0, step) if whole else step
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    values = [place * step for place in range(first, min(last, first + 2 * most) + 1)]
    base = _base(low, high, step)
    return Ticks(values, [tick_label(value - base, step) for value in values], base)


def decade_ticks(low: float, high: float, most: int) -> Ticks:
    """Marks of a logarithmic axis: powers of ten, and 2 and 5 times them where there is room."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    every = max(1, math.ceil((last - first) / most))
    within = (1, 2, 5) if last - first <= 2 else (1,)
    values = [
        float(f"{digit}e{power}")
        for power in range(-(-first // every) * every, last + 1, every)
        for digit in within
    ]
    shown = [value for value in values if low * 0.999 <= value <= high * 1.001]
    if len(shown) < 2:  # all within less than one decade
        return nice_ticks(low, high, most)
    return Ticks(shown, [_power_label(value) for value in shown])


def tick_label(value: float, step: float) -> str:
    """A mark's value with the digits that its neighbours differ by: '-76.105', '20,000', '2e-09'."""
    if value == 0 or abs(value) < step * 1e-6:
        return "0"
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    if decimals > MOST_DIGITS or abs(value) >= 1e7 or (decimals > 4 and abs(value) < 1e-3):
        digits = max(0, math.floor(math.log10(abs(value))) + decimals)
        return f"{value:.{min(digits, MOST_DIGITS)}e}".replace("e-0", "e-").replace("e+0", "e")
    return f"{value:,.{decimals}f}"


def _power_label(value: float) -> str:
    if 1e-3 <= value < 1e5:
        return f"{value:,.10g}"
    return f"{value:.0e}".replace("e-0", "e-").replace("e+0", "e")


def _nice_step(least: float) -> float:
    if not least > 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(least))
    return next(step for step in _STEPS if step * power >= least * (1 - 1e-9)) * power


def _base(low: float, high: float, step: float) -> float:
    """What labels are counted from where they would be too long; else 0."""
    largest = max(abs(low), abs(high))
    if largest <= 0 or math.log10(largest / step) < MOST_DIGITS:
        return 0.0
    kept = 8 - math.floor(math.log10(largest))
    return round(low, kept) if kept < 300 else 0.0

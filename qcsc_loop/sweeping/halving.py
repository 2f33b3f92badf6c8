"""Which settings of a group cannot win any more: successive halving, as a pure function."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import median

from qcsc_loop.sweeping.plan import Halving


def stopped_at(
    halving: Halving, values: Mapping[str, Sequence[float]], *, better: str
) -> tuple[list[str], dict[str, float]]:
    """The settings that go no further, and each setting's value.

    Args:
        values: the headlines of each setting's members at equal cost, in the group's order; NaN of
            one that failed or has none.
        better: "lower" or "higher".

    A setting has the median of its members, of which NaN is the worst there is. Of equal ones the
    earlier goes on.
    """
    sign = -1.0 if better == "higher" else 1.0
    worst = {
        setting: [math.inf if math.isnan(v) else sign * v for v in found]
        for setting, found in values.items()
    }
    medians = {setting: _median(found) for setting, found in worst.items()}
    kept = math.ceil(len(medians) / halving.factor)
    order = sorted(medians, key=lambda setting: medians[setting])  # stable: the earlier first
    losing = set(order[kept:])
    shown = {s: (math.nan if math.isinf(m) else sign * m) for s, m in medians.items()}
    return [setting for setting in medians if setting in losing], shown


def _median(values: Sequence[float]) -> float:
    """The upper one of two, where infinity is among them: their mean would be none."""
    if not values:
        return math.inf
    found = median(values)
    return math.inf if math.isnan(found) else found

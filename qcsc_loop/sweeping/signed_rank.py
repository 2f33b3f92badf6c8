"""Paired differences over seeds: the exact signed-rank test, its estimate and its interval.

F. Wilcoxon, Biometrics Bulletin 1, 80 (1945); J. L. Hodges and E. L. Lehmann, Ann. Math. Stat. 34, 598
(1963), for the estimate and the interval; G. E. Noether, J. Am. Stat. Assoc. 82, 645 (1987), for the
number of pairs. Nothing is assumed of how differences are distributed but that they are independent
and, if nothing differs, symmetric about zero.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from statistics import NormalDist, median

CONFIDENCE = 0.95
POWER = 0.8
EXACT = 60  # pairs up to which the distribution is counted out; beyond, the normal one is good
NAME = "Wilcoxon signed-rank, exact, two-sided"


@dataclass(frozen=True)
class Paired:
    """What differences of pairs say.

    Attributes:
        pairs: how many there are.
        below, above: how many are below zero, and above.
        estimate: the Hodges-Lehmann estimate of the difference.
        interval: of that, at `CONFIDENCE`; None: so few pairs have none.
        p: of the test; 1 where every difference is zero.
        least: with fewer pairs than these no difference, however clear, is significant.
        wanted: how many pairs it takes to claim a difference such as this one with a chance of
            `POWER`; None: nothing here says that there is one.
    """

    pairs: int
    below: int
    above: int
    estimate: float
    interval: tuple[float, float] | None
    p: float
    least: int
    wanted: int | None


def compare_pairs(differences: Sequence[float], comparisons: int = 1) -> Paired | None:
    """The test of finite differences; None if there is none.

    Args:
        comparisons: how many are made together, of which each counts as one of so many.
    """
    if not differences:
        return None
    averages = sorted((a + b) / 2 for a, b in combinations_with_replacement(differences, 2))
    return Paired(
        pairs=len(differences),
        below=sum(d < 0 for d in differences),
        above=sum(d > 0 for d in differences),
        estimate=median(averages),
        interval=_interval(averages, len(differences)),
        p=p_value(differences),
        least=least_pairs(comparisons),
        wanted=_wanted(differences, comparisons),
    )


def least_pairs(comparisons: int = 1) -> int:
    """With fewer pairs than these the smallest p is too large, whatever they are."""
    return math.ceil(1 - math.log2((1 - CONFIDENCE) / comparisons))


def p_value(differences: Sequence[float]) -> float:
    """Two-sided; zeros are left out, and equal sizes share their ranks."""
    sizes = sorted(abs(d) for d in differences if d)
    if not sizes:
        return 1.0
    rank = {size: _middle_rank(sizes, size) for size in set(sizes)}
    doubled = [rank[size] for size in sizes]
    positive = sum(rank[d] for d in differences if d > 0)
    total = sum(doubled)
    extreme = min(positive, total - positive)
    if len(doubled) > EXACT:
        spread = math.sqrt(sum(r * r for r in doubled)) / 2
        return min(1.0, 2 * NormalDist(total / 2, spread).cdf(extreme + 1))
    return min(1.0, 2 * sum(_counts(doubled)[: extreme + 1]) / (1 << len(doubled)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Of several tests together: S. Holm, Scand. J. Stat. 6, 65 (1979)."""
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    found, largest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        found[place] = largest
    return found


def _middle_rank(sizes: Sequence[float], size: float) -> int:
    """Twice the mean rank of equal sizes, which is whole."""
    first = sizes.index(size) + 1
    return 2 * first + sizes.count(size) - 1


def _counts(doubled: Sequence[int]) -> list[int]:
    """How many choices of signs have each sum of positive ranks."""
    counts = [1] + [0] * sum(doubled)
    for rank in doubled:
        for total in range(len(counts) - 1, rank - 1, -1):
            counts[total] += counts[total - rank]
    return counts


def _interval(averages: Sequence[float], pairs: int) -> tuple[float, float] | None:
    """Between two of the means of two, counted from either end."""
    cut = _cut(pairs)
    return None if cut < 0 else (averages[cut], averages[-1 - cut])


def _cut(pairs: int) -> int:
    """The largest sum of ranks that is so rare as the confidence wants; -1: none is."""
    tail = (1 - CONFIDENCE) / 2
    if pairs > EXACT:
        spread = math.sqrt(pairs * (pairs + 1) * (2 * pairs + 1) / 24)
        return math.floor(NormalDist(pairs * (pairs + 1) / 4, spread).inv_cdf(tail) - 0.5)
    total, cut = 0, -1
    for value, count in enumerate(_counts(list(range(1, pairs + 1)))):
        total += count
        if total > tail * 2**pairs:
            break
        cut = value
    return cut


def _wanted(differences: Sequence[float], comparisons: int) -> int | None:
    pairs = [(a, b) for i, a in enumerate(differences) for b in differences[:i]]
    if not pairs:
        return None
    share = sum(1.0 if a + b > 0 else 0.5 if a + b == 0 else 0.0 for a, b in pairs) / len(pairs)
    if share == 0.5:
        return None
    tail = (1 - CONFIDENCE) / comparisons / 2
    z = NormalDist().inv_cdf(1 - tail) + NormalDist().inv_cdf(POWER)
    return max(least_pairs(comparisons), math.ceil(z * z / (3 * (share - 0.5) ** 2)))

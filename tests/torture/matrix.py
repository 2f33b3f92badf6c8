"""Which points there are, and which are tried: by chance, from a seed that is printed."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence

from torture.faults import FAULTS
from torture.point import Ground, Point

# how often each is drawn: what is slow less often
GROUNDS = {
    Ground("service", "directory", "job"): 120,
    Ground("service", "directory", "chain"): 50,
    Ground("service", "artifacts", "job"): 4,
    Ground("local", "directory", "job"): 20,
    Ground("local", "directory", "chain"): 5,
    Ground("local", "directory", "warm"): 3,
    Ground("local", "artifacts", "job"): 2,
    Ground("slurm", "directory", "job"): 6,
    Ground("slurm", "directory", "chain"): 2,
    Ground("slurm", "directory", "warm"): 1,
    Ground("slurm", "artifacts", "job"): 1,
    Ground("pbs", "directory", "job"): 6,
    Ground("pbs", "directory", "chain"): 2,
    Ground("pbs", "artifacts", "job"): 1,
    Ground("miyabi", "directory", "job"): 6,
    Ground("miyabi", "directory", "chain"): 1,
    Ground("pjm", "directory", "job"): 6,
    Ground("pjm", "directory", "chain"): 1,
    Ground("ibm", "directory", "job"): 8,
    Ground("ibm", "directory", "chain"): 2,
    Ground("ibm", "artifacts", "job"): 1,
}

Boundaries = Callable[[Ground], Sequence[str]]


def every_point(ground: Ground, boundaries: Sequence[str]) -> Iterator[Point]:
    """All points of a ground, in the order of its boundaries."""
    for boundary in boundaries:
        for name, fault in FAULTS.items():
            point = Point(ground, name, boundary)
            if fault.fits(ground, point):
                yield point


def drawn(seed: int, grounds: Sequence[Ground], boundaries: Boundaries) -> Iterator[Point]:
    """Points without end, the same for the same seed: a ground, then a fault, then a boundary."""
    chance = random.Random(seed)
    weights = [GROUNDS[ground] for ground in grounds]
    while True:
        (ground,) = chance.choices(grounds, weights)
        by_fault: dict[str, list[Point]] = {}
        for point in every_point(ground, boundaries(ground)):
            by_fault.setdefault(point.fault, []).append(point)
        yield chance.choice(by_fault[chance.choice(sorted(by_fault))])

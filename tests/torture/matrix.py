"""Which points there are, and which are tried: by chance, from a seed that is printed."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

from torture.faults import FAULTS
from torture.point import Ground, Point

GROUNDS = (
    Ground("service", "directory", "job"),
    Ground("service", "directory", "chain"),
    Ground("service", "artifacts", "job"),
    Ground("service", "artifacts", "chain"),
    Ground("local", "directory", "job"),
    Ground("local", "directory", "chain"),
    Ground("local", "directory", "warm"),
    Ground("local", "artifacts", "job"),
    Ground("local", "artifacts", "warm"),
    Ground("slurm", "directory", "job"),
    Ground("slurm", "directory", "chain"),
    Ground("slurm", "directory", "warm"),
    Ground("slurm", "artifacts", "job"),
    Ground("slurm", "artifacts", "warm"),
    Ground("pbs", "directory", "job"),
    Ground("pbs", "directory", "chain"),
    Ground("pbs", "directory", "warm"),
    Ground("pbs", "artifacts", "job"),
    Ground("miyabi", "directory", "job"),
    Ground("miyabi", "directory", "chain"),
    Ground("pjm", "directory", "job"),
    Ground("pjm", "directory", "chain"),
    Ground("pjm", "directory", "warm"),
    Ground("ibm", "directory", "job"),
    Ground("ibm", "directory", "chain"),
    Ground("ibm", "artifacts", "job"),
)

Lane = Literal["service", "machines", "fakes", "ibm", "server"]
"""Grounds that are tried one after the other, beside those of the other lanes: what kills a server
hurts no run but its own, and what is quick waits for nothing that is slow."""

LANES: dict[Lane, int] = {"service": 4, "machines": 1, "fakes": 1, "ibm": 1, "server": 1}
"""How many points of each are tried at once."""

Boundaries = Callable[[Ground], Sequence[str]]


def lane_of(ground: Ground) -> Lane:
    if ground.store == "artifacts":
        return "server"
    match ground.stack:
        case "service" | "ibm":
            return ground.stack
        case "local" | "slurm":
            return "machines"
        case _:
            return "fakes"


def every_point(ground: Ground, boundaries: Sequence[str]) -> Iterator[Point]:
    """All points of a ground, in the order of its boundaries."""
    for boundary in boundaries:
        for name, fault in FAULTS.items():
            point = Point(ground, name, boundary)
            if fault.fits(ground, point):
                yield point


def drawn(seed: int, grounds: Sequence[Ground], boundaries: Boundaries) -> Iterator[Point]:
    """Points without end, the same for the same seed.

    No ground comes again before all have come, and none of a ground's faults; boundaries are chance.
    """
    chance = random.Random(seed)
    decks: dict[Ground, Iterator[Point]] = {}
    while True:
        for ground in chance.sample(grounds, len(grounds)):
            if ground not in decks:
                points = [*every_point(ground, boundaries(ground))]
                decks[ground] = _dealt(points, random.Random(f"{seed} {ground}"))
            yield next(decks[ground])


def _dealt(points: Sequence[Point], chance: random.Random) -> Iterator[Point]:
    """One of each fault, in any order, and again."""
    by_fault: dict[str, list[Point]] = {}
    for point in points:
        by_fault.setdefault(point.fault, []).append(point)
    while True:
        for fault in chance.sample(sorted(by_fault), len(by_fault)):
            yield chance.choice(by_fault[fault])

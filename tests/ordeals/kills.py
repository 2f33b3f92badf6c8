"""How often ordeals kill: one setting, QCSC_LOOP_KILLS, and when each kill comes."""

from __future__ import annotations

import math
import os
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

KILLS = int(os.environ.get("QCSC_LOOP_KILLS", "6"))
# one driver is killed, and the one that goes on, and the one that goes on with what that one left
LEAST = 3
EVERY_POINT = 30  # kills from which on no point is left out of what is to be tried everywhere
NIGHTLY = 200  # and none of anything
T = TypeVar("T")
AT_ONCE = 0.02  # seconds that an instant lasts, if nothing else is known of it


def kills(share: float = 1.0, *, by_day: float | None = None) -> int:
    """How often an ordeal kills: the setting, or a share of it where a kill takes longer.

    Args:
        by_day: the share of fewer kills than a night's, if that is another.
    """
    share = share if by_day is None or KILLS >= NIGHTLY else by_day
    return max(math.ceil(KILLS * share), min(KILLS, LEAST))


@dataclass(frozen=True)
class Death:
    """When a driver is killed.

    Attributes:
        mark: the instant; "" is the start of its process.
        count: it is the so many-th of its name.
        delay: seconds from the mark to the kill; None: it kills itself there and then.
    """

    mark: str
    count: int = 1
    delay: float | None = None


@dataclass(frozen=True)
class Mark:
    """An instant on a driver's way at which it may be killed.

    Attributes:
        lasts: seconds within which the kill comes.
        most: it is one of the first so many of its name.
        from_outside: it never kills itself there: nothing of it runs yet, or it may be anywhere.
    """

    name: str
    lasts: float = AT_ONCE
    most: int = 2
    from_outside: bool = False

    def death(self, chance: random.Random) -> Death:
        """One of the many that are possible."""
        delay = chance.uniform(0, self.lasts)
        itself = not self.from_outside and chance.random() < 1 / 2
        return Death(self.name, chance.randint(1, self.most), None if itself else delay)


def choose(marks: Sequence[T], kills: int) -> list[T]:
    """As many, in their order: each as often as every other, or, of fewer, spread over the way."""
    rounds, rest = divmod(kills, len(marks))
    spread = [marks[number * len(marks) // rest] for number in range(rest)]
    return [*marks] * rounds + spread


def share_out(marks: Sequence[Mark], kills: int, runs: int) -> list[list[Mark]]:
    """What the drivers of each run die at, in any order."""
    chosen = choose(marks, kills)
    random.Random(kills).shuffle(chosen)
    return [chosen[run::runs] for run in range(runs)]


def deaths(marks: Sequence[Mark], seed: int) -> Iterator[Death]:
    """Of drivers one after the other."""
    chance = random.Random(seed)
    for mark in marks:
        yield mark.death(chance)

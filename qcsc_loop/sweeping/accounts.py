"""Whether a sweep's budget lets a member go on: what is spent, what is lost, what is reserved.

An iteration's greatest cost is reserved before it begins, for as many iterations as a member may still
do. So at no instant is more spent than there is, whatever is killed. Who comes first in the sweep is
served first, so that who gets what depends on no clock: see decision 23.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

DUST = 1e-9  # of an amount that sums of floats are off by


@dataclass
class Account:
    """One member's.

    Attributes:
        used: what its records say that it has spent.
        lost: what attempts that ended in the middle may have spent beside that, at most.
        reserved: for what it may still do.
    """

    used: Mapping[str, float] = field(default_factory=dict[str, float])
    lost: Counter[str] = field(default_factory=Counter[str])
    reserved: Mapping[str, float] = field(default_factory=dict[str, float])

    def charged(self, amount: str) -> float:
        """What nobody else can have of an amount."""
        return self.used.get(amount, 0.0) + self.lost[amount] + self.reserved.get(amount, 0.0)

    @property
    def share(self) -> dict[str, float]:
        """Of what is reserved, by amount: up to where its records may come."""
        found = {name: self.used.get(name, 0.0) + v for name, v in self.reserved.items()}
        return {n: v if v.is_integer() else v * (1 + DUST) for n, v in found.items()}


class Accounts:
    """All members', against the budget of all.

    Args:
        budget: by amount; empty: there is none, and all is granted.
    """

    def __init__(self, budget: Mapping[str, float]) -> None:
        self._budget = dict(budget)
        self._of: dict[str, Account] = {}

    def of(self, run_id: str) -> Account:
        """A member's account."""
        return self._of.setdefault(run_id, Account())

    @property
    def left(self) -> dict[str, float]:
        """What is neither spent nor reserved; below 0 only where a cost was more than was said."""
        return {
            name: limit - sum(account.charged(name) for account in self._of.values())
            for name, limit in self._budget.items()
        }

    @property
    def charged(self) -> dict[str, float]:
        """What is spent, lost or reserved, by amount of the budget."""
        return {name: self._budget[name] - left for name, left in self.left.items()}

    def fitting(self, iteration: Mapping[str, float], wanted: int) -> int:
        """How many iterations of a cost there is room for, and at most so many."""
        for name, left in self.left.items():
            fits = math.floor(left / iteration[name] + DUST)
            wanted = min(wanted, max(0, fits))
        return wanted

    def reserve(self, run_id: str, iteration: Mapping[str, float], iterations: int) -> None:
        """Sets aside what so many iterations cost at most."""
        account = self.of(run_id)
        account.reserved = {name: iteration[name] * iterations for name in self._budget}

    def settle(self, run_id: str, used: Mapping[str, float]) -> None:
        """It goes on no more for now: what it did not use is free again."""
        account = self.of(run_id)
        account.used, account.reserved = dict(used), {}

    def lose(self, run_id: str, amounts: Mapping[str, float]) -> None:
        """An attempt ended in the middle."""
        self.of(run_id).lost.update(amounts)

"""What a run has cost, and what its next iteration may cost: for budgets and for the outcome."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping

from qcsc_loop.jobs.ledger import Ledger
from qcsc_loop.store.records import Commit

LAST = 3  # iterations from which the next one's cost is foretold


class Spending:
    """Amounts by name: `shots`, which steps report, and `qpu_seconds` and `node_hours` of jobs."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._steps: Counter[str] = Counter()
        self._recent: deque[tuple[int, Mapping[str, float]]] = deque(maxlen=LAST)

    def add(self, commit: Commit) -> None:
        """Counts a committed iteration."""
        if commit.spent is not None:  # else it is one before the newest, which says it
            self._steps = Counter(commit.spent)
        self._recent.append((commit.iteration, commit.usage))

    @property
    def total(self) -> dict[str, float]:
        """So far; failed jobs cost as well."""
        return dict(self._steps + self._ledger.costs())

    def foretell(self, iteration: int) -> tuple[dict[str, float], dict[str, float]]:
        """What was spent before the next iteration, and what that may cost.

        The latter is as much as the dearest of the last ones, or what a driver that died has paid of
        it and will be used, which is not in the former.
        """
        paid = self._ledger.costs_to_be_used(iteration)
        dearest = Counter(paid)
        for done, usage in self._recent:
            dearest |= Counter(usage) + self._ledger.costs(done)
        return dict(Counter(self.total) - paid), dict(dearest)

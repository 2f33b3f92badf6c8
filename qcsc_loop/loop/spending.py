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

    def before(self, iteration: int) -> dict[str, float]:
        """So far, without what a driver that died has paid of that iteration and will be used."""
        return dict(Counter(self.total) - self._ledger.costs_to_be_used(iteration))

    def of(self, iteration: int) -> dict[str, float]:
        """What the next one may cost: as much as the dearest of the last ones, or is paid already."""
        dearest = self._ledger.costs_to_be_used(iteration)
        for done, usage in self._recent:
            dearest |= Counter(usage) + self._ledger.costs(done)
        return dict(dearest)

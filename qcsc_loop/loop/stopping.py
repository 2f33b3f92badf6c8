"""Whether a run is to stop: what it has committed and spent, as its stop rule sees it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable

from qcsc_loop.jobs.ledger import Ledger
from qcsc_loop.loop.spending import LAST, Spending
from qcsc_loop.rules.reason import Reason
from qcsc_loop.rules.stop import Committed, Progress, Stop, StopRule, with_convergence
from qcsc_loop.store.records import Commit


class Stopping:
    """One driver's view of how far its run is.

    Args:
        hand_over_at: the iteration after which another driver goes on; None: there is none.
    """

    def __init__(self, rule: StopRule, ledger: Ledger, hand_over_at: int | None) -> None:
        self._rule, self._hand_over_at = with_convergence(rule), hand_over_at
        self._recent: deque[Committed] = deque(maxlen=max(1, self._rule.lookback))
        self._spending = Spending(ledger)
        self._started = time.monotonic()

    @property
    def lookback(self) -> int:
        """How many of the last commits a resumed run's rule and budgets have to see."""
        return max(self._rule.lookback, LAST)

    def add(self, commits: Iterable[Commit]) -> None:
        """Counts committed iterations, in their order."""
        for commit in commits:
            self._recent.append(commit.seen_by_rules())
            self._spending.add(commit)

    def check(self) -> Stop | None:
        """Why to stop before the next iteration; None means go on."""
        used, next_use = self._spending.foretell(self.iteration + 1)
        progress = Progress(tuple(self._recent), self.seconds, used, next_use)
        stop = self._rule.check(progress)
        if stop is None and self._hand_over_at is not None and self.iteration >= self._hand_over_at:
            return Stop(Reason.HANDED_OVER, "another driver goes on")
        return stop

    @property
    def iteration(self) -> int:
        """The last committed one; 0 before there is one."""
        return self._recent[-1].iteration if self._recent else 0

    @property
    def seconds(self) -> float:
        """For how long this driver has been running the run."""
        return time.monotonic() - self._started

    @property
    def spent(self) -> dict[str, float]:
        """What all drivers together have spent, by name."""
        return self._spending.total

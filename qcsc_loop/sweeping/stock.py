"""What a member's records say before it is driven: how far it is, what was spent, and lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

from qcsc_loop.errors import DamagedDocument
from qcsc_loop.jobs.ledger import job_records
from qcsc_loop.store.journal import Journal
from qcsc_loop.store.store import Store
from qcsc_loop.sweeping.plan import Member
from qcsc_loop.sweeping.sweep_journal import Lost

FROM_STEPS = ("shots",)
"""Amounts that only steps report; those of jobs are in the run's ledger, whatever was killed."""


@dataclass(frozen=True)
class Stock:
    """A member as its records have it.

    Attributes:
        iteration: the last committed one; -1 before there is one.
        used: what its iterations and its jobs have spent.
        lost: what attempts may have spent beside that, of those that were not looked at before.
        has_jobs: it left jobs that may still cost.
    """

    iteration: int
    used: Mapping[str, float]
    lost: tuple[Lost, ...] = ()
    has_jobs: bool = False


def take_stock(store: Store, member: Member, seen: Collection[int]) -> Stock:
    """Reads a member's records; nobody may be driving it.

    Args:
        seen: drivers of it that were looked at before.
    """
    journal = Journal(store, member.run_id)
    if not journal.exists():
        return Stock(-1, {})
    newest = journal.commits.newest()
    used = Counter((newest.spent or {}) if newest is not None else {})
    jobs = job_records(store, member.run_id)
    for job in jobs:
        used.update(job.metrics.costs)
    iteration = -1 if newest is None else newest.iteration
    lost = tuple(_losses(journal, member, iteration, seen)) if member.iteration else ()
    return Stock(iteration, dict(used), lost, any(not job.over for job in jobs))


def _losses(
    journal: Journal, member: Member, iteration: int, seen: Collection[int]
) -> Iterator[Lost]:
    """A line for each driver, so that it is looked at once: what stands here is pruned later."""
    newest = journal.newest_epoch()
    for epoch in range(1, newest + 1):
        if epoch in seen:
            continue
        amounts: dict[str, float] = {}
        end = journal.end(epoch)
        if end is None or not (end.reason.finished or end.reason == "handed_over"):
            kept = _recorded(journal, iteration + 1) if epoch == newest else {}
            amounts = {
                name: max(0.0, most - kept.get(name, 0.0))
                for name, most in member.iteration.items()
                if name in FROM_STEPS
            }
        yield Lost(run_id=member.run_id, epoch=epoch, amounts=amounts)


def _recorded(journal: Journal, iteration: int) -> dict[str, float]:
    """What the recorded steps of an iteration have spent: it is used, and counted, once it is done."""
    total: Counter[str] = Counter()
    for step in ("initialize", "sample", "evaluate", "update"):
        with suppress(DamagedDocument):
            if (found := journal.step(iteration, step)) is not None:
                total.update(found[0].usage)
    return dict(total)

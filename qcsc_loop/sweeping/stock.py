"""What a member's records say before it is driven: how far it is, what was spent, and lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from qcsc_loop.errors import DamagedDocument
from qcsc_loop.jobs.entries import JobRecord
from qcsc_loop.jobs.ledger import job_records
from qcsc_loop.store.journal import Journal
from qcsc_loop.store.store import Store
from qcsc_loop.sweeping.accounts import DUST
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
        dearest: the most that one of its iterations has cost, by amount.
    """

    iteration: int
    used: Mapping[str, float]
    lost: tuple[Lost, ...] = ()
    has_jobs: bool = False
    dearest: Mapping[str, float] = field(default_factory=dict[str, float])


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
    usages = ((c.iteration, c.usage) for c in journal.history()) if member.iteration else ()
    return Stock(
        iteration,
        dict(used),
        lost,
        has_jobs=any(not job.over for job in jobs),
        dearest=dearest(usages, jobs) if member.iteration else {},
    )


def dearest(
    usages: Iterable[tuple[int, Mapping[str, float]]], jobs: Iterable[JobRecord]
) -> dict[str, float]:
    """The most that an iteration has cost, by amount: its steps and its jobs, failed ones too."""
    costs: dict[int, Counter[str]] = {}
    for iteration, usage in usages:
        costs.setdefault(iteration, Counter()).update(usage)
    for job in jobs:
        costs.setdefault(job.key.iteration, Counter()).update(job.metrics.costs)
    most: Counter[str] = Counter()
    for cost in costs.values():
        most |= cost
    return dict(most)


def cost_more(run_id: str, said: Mapping[str, float], cost: Mapping[str, float]) -> str:
    """'an iteration of ghz-s0 cost 1,500 shots, and 500 were said to be the most'; empty: none did.

    Args:
        said: the most that one costs.
        cost: the most that one has cost.
    """
    each = [
        f"{value:,.6g} {name}, and {most:,.6g} were said to be the most"
        for name, most in said.items()
        if (value := cost.get(name, 0.0)) > most * (1 + DUST)
    ]
    return f"an iteration of {run_id} cost {'; '.join(each)}" if each else ""


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

"""A sweep for programs: JSON of a documented form, and a table as CSV.

`SweepFacts` is the form that `sweep --json` and `sweep show --json` end stdout with; `docs/sweeps.md`
says what each name means. Numbers that JSON lacks are strings that `float()` reads.
"""

from __future__ import annotations

import csv
import io
import math
from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from qcsc_loop.reports.listing import plain_number
from qcsc_loop.reports.view import View
from qcsc_loop.sweeping.plan import Plan
from qcsc_loop.sweeping.signed_rank import CONFIDENCE, NAME
from qcsc_loop.sweeping.standing import MemberStanding, Standing
from qcsc_loop.sweeping.stock import cost_more, dearest
from qcsc_loop.sweeping.summary import Against, Row, claim, rows_of

Number = float | str  # "nan", "inf" and "-inf", which JSON lacks


class _Facts(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PairedFacts(_Facts):
    """A setting beside the baseline, over the seeds that both have."""

    baseline: str
    test: str
    seeds: int
    below: int
    above: int
    difference: float
    interval: tuple[float, float] | None
    confidence: float
    p: float
    p_holm: float
    claimed: bool
    seeds_at_least: int
    seeds_wanted: int | None
    sentence: str


class RowFacts(_Facts):
    """One setting."""

    group: str
    setting: str
    members: int
    values: int
    statuses: dict[str, int]
    headline: str
    unit: str
    better: str
    median: Number
    lowest: Number
    highest: Number
    reference: str
    above_reference: Number
    iterations: float
    spent: dict[str, float]
    paired: PairedFacts | None


class MemberFacts(_Facts):
    """One member."""

    run_id: str
    group: str
    setting: str
    seed: int
    status: str
    why: str
    iteration: int | None
    value: Number
    spent: dict[str, float]


class SweepFacts(_Facts):
    """A sweep."""

    sweep: str
    status: str
    sentence: str
    created: str
    source: str
    at_once: int
    members: list[MemberFacts]
    rows: list[RowFacts]
    stopped: list[StoppedFacts]
    budget: dict[str, float]
    spent: dict[str, float]
    lost: dict[str, float]
    warnings: list[str]
    next: str


class StoppedFacts(_Facts):
    """What a halving rule decided at a rung."""

    group: str
    rung: int
    settings: list[str]
    values: dict[str, Number]


class ListedFacts(_Facts):
    """A sweep in a list."""

    sweep: str
    status: str
    members: int
    sentence: str
    created: str
    spent: dict[str, float]
    next: str


class PlanFacts(Plan):
    """A sweep that was not begun, or not now."""

    created: datetime = Field(exclude=True)


class ForetoldFacts(_Facts):
    """What a sweep would be.

    Attributes:
        at_most: what all members may cost, by amount, where every member says so.
    """

    sweep: str
    new: bool
    at_most: dict[str, float]
    plan: PlanFacts


class DetachedFacts(_Facts):
    """A sweep that goes on in the background.

    Attributes:
        output: the file with what its driver says.
        show: the command that shows it.
    """

    sweep: str
    pid: int
    output: str
    ended: bool
    show: str


SweepFacts.model_rebuild()


def foretold_facts(plan: Plan, at_most: dict[str, float], *, new: bool) -> ForetoldFacts:
    """A sweep that is not begun yet, or not now."""
    would = PlanFacts.model_validate(plan, from_attributes=True)
    return ForetoldFacts(sweep=plan.name, new=new, at_most=at_most, plan=would)


def facts_of(standing: Standing) -> SweepFacts:
    """A sweep with its table."""
    return SweepFacts(
        sweep=standing.plan.name,
        status=str(standing.status),
        sentence=standing.sentence,
        created=standing.plan.created.isoformat(),
        source=standing.plan.source,
        at_once=standing.plan.at_once,
        members=[_member(each) for each in standing.members],
        rows=[_row(row) for row in rows_of(standing)],
        stopped=[
            StoppedFacts(
                group=line.group, rung=line.rung, settings=list(line.settings), values=line.values
            )
            for line in standing.stopped
        ],
        budget=standing.plan.budget,
        spent=standing.spent,
        lost=standing.lost or {},
        warnings=warnings_of(standing),
        next=standing.next_command,
    )


def listed_facts(standing: Standing) -> ListedFacts:
    """A sweep in a list."""
    return ListedFacts(
        sweep=standing.plan.name,
        status=str(standing.status),
        members=len(standing.members),
        sentence=standing.sentence,
        created=standing.plan.created.isoformat(),
        spent=standing.spent,
        next=standing.next_command,
    )


def warnings_of(standing: Standing) -> list[str]:
    """What a reader of the table has to know, a sentence each."""
    found: list[str] = []
    if (codes := standing.codes) > 1:
        found.append(
            f"the members were driven by {codes} versions of their algorithm's file: it was changed "
            "while the sweep went on"
        )
    nan = [e.member.run_id for e in standing.members if e.has_come and _is_nan(e)]
    if nan:
        more = f" and {len(nan) - 3} more" if len(nan) > 3 else ""
        found.append(f"no finite headline, and not in the table: {', '.join(nan[:3])}{more}")
    found += _costs(standing)
    for name, spent in standing.overspent.items():
        limit, before = standing.plan.budget[name], standing.budget_before[name]
        why = "an iteration cost more than was said, or a member was driven outside the sweep"
        if spent <= before:
            was = f"it was {before:,.6g}" if math.isfinite(before) else "there was none"
            why = f"the budget is lower than it was when they were ({was})"
        found.append(f"{spent:,.6g} {name} are spent of {limit:,.6g}: {why}")
    return found


def _costs(standing: Standing) -> list[str]:
    """Who has cost more than was said, and that nothing is granted since."""
    each = [
        words
        for e in standing.members
        if e.view is not None
        and (words := cost_more(e.member.run_id, e.member.iteration, _dearest(e.view)))
    ]
    if not each:
        return []
    more = f" (and of {len(each) - 1} more members)" if len(each) > 1 else ""
    return [f"{each[0]}{more}: nothing more is granted until `iteration` says what it costs"]


def _dearest(view: View) -> dict[str, float]:
    history = view.history
    usages = (
        (iteration, {name: values[place] for name, values in history.usage.items()})
        for place, iteration in enumerate(history.iterations)
    )
    return dearest(usages, view.jobs)


def _is_nan(each: MemberStanding) -> bool:
    return not math.isfinite(each.value)


def _member(each: MemberStanding) -> MemberFacts:
    member, view = each.member, each.view
    return MemberFacts(
        run_id=member.run_id,
        group=member.group,
        setting=member.setting,
        seed=member.seed,
        status=str(each.status),
        why=each.why,
        iteration=view.iteration if view is not None and len(view.history) else None,
        value=plain_number(each.value),
        spent=view.spent if view is not None else {},
    )


def _row(row: Row) -> RowFacts:
    return RowFacts(
        group=row.group,
        setting=row.setting,
        members=row.members,
        values=row.values,
        statuses=row.statuses,
        headline=row.headline,
        unit=row.unit,
        better=row.better,
        median=plain_number(row.value),
        lowest=plain_number(row.lowest),
        highest=plain_number(row.highest),
        reference=row.reference,
        above_reference=plain_number(row.above),
        iterations=row.iterations,
        spent=row.spent,
        paired=None if row.against is None else _paired(row, row.against),
    )


def _paired(row: Row, against: Against) -> PairedFacts:
    paired = against.paired
    return PairedFacts(
        baseline=against.baseline,
        test=NAME,
        seeds=paired.pairs,
        below=paired.below,
        above=paired.above,
        difference=paired.estimate,
        interval=paired.interval,
        confidence=CONFIDENCE,
        p=paired.p,
        p_holm=against.p_holm,
        claimed=against.is_claimed,
        seeds_at_least=paired.least,
        seeds_wanted=paired.wanted,
        sentence=claim(row),
    )


MEMBER_COLUMNS = ("run_id", "group", "setting", "seed", "status", "iteration", "value")
AMOUNTS = ("shots", "qpu_seconds", "node_hours")


def csv_of(facts: SweepFacts) -> str:
    """A row a member, for other programs' tables."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow([*MEMBER_COLUMNS, *AMOUNTS])
    for member in facts.members:
        cells = [getattr(member, name) for name in MEMBER_COLUMNS]
        amounts = [member.spent.get(name, 0.0) for name in AMOUNTS]
        writer.writerow(["" if cell is None else cell for cell in [*cells, *amounts]])
    return out.getvalue()

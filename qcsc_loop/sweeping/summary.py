"""What a sweep comes to: a row for each setting, and its paired differences over seeds."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from qcsc_loop.reports.phrases import difference
from qcsc_loop.sweeping.signed_rank import (
    CONFIDENCE,
    Paired,
    compare_pairs,
    holm,
)
from qcsc_loop.sweeping.standing import MemberStanding, MemberStatus, Standing

AMOUNTS = ("shots", "qpu_seconds", "node_hours")
LEAST_P = 1e-12  # that is written out: what is smaller says nothing more


@dataclass(frozen=True)
class Against:
    """A setting beside the baseline, seed by seed.

    Attributes:
        paired: of the differences, this setting's value less the baseline's.
        p_holm: of all comparisons of the group together.
    """

    baseline: str
    paired: Paired
    p_holm: float

    @property
    def is_claimed(self) -> bool:
        """Whether the two differ, at the confidence of all comparisons together."""
        return self.p_holm <= 1 - CONFIDENCE + 1e-12


@dataclass(frozen=True)
class Row:
    """One setting's members.

    Attributes:
        members: how many there are.
        values: how many of them came as far as they go, with a finite headline: the numbers are over
            these, and never over those that failed or are on their way.
        value: the median of the members' best headlines; NaN where there is none.
        lowest, highest: of those.
        above: the median's distance from the reference, if all members have the same one.
        spent: medians, by amount.
        against: None of the baseline, and where no seed is in both.
    """

    group: str
    setting: str
    members: int
    values: int
    statuses: dict[str, int]
    headline: str
    unit: str
    better: str
    value: float
    lowest: float
    highest: float
    reference: str
    above: float
    iterations: float
    spent: dict[str, float]
    against: Against | None = None

    @property
    def spread(self) -> float:
        """From the lowest to the highest."""
        return self.highest - self.lowest


def rows_of(standing: Standing) -> list[Row]:
    """A row for each setting, in the order of the sweep."""
    return [row for group in standing.plan.groups for row in _group_rows(standing, group)]


def _group_rows(standing: Standing, group: str) -> Iterator[Row]:
    plan = standing.plan
    settings = plan.settings(group)
    by_setting = {
        setting: [
            each
            for each in standing.members
            if (each.member.group, each.member.setting) == (group, setting)
        ]
        for setting in settings
    }
    baseline = plan.baselines.get(group, settings[0])
    differences = {
        setting: found
        for setting in settings
        if setting != baseline
        and (found := _differences(by_setting[setting], by_setting[baseline]))
    }
    paired = {
        setting: several
        for setting, each in differences.items()
        if (several := compare_pairs(each, len(differences)))
    }
    together = dict(zip(paired, holm([each.p for each in paired.values()]), strict=True))
    for setting in settings:
        against = None
        if setting in paired:
            against = Against(baseline, paired[setting], together[setting])
        yield _row(group, setting, by_setting[setting], against)


def _differences(ones: Sequence[MemberStanding], others: Sequence[MemberStanding]) -> list[float]:
    """By seeds of which both members are done: at other costs they say nothing of each other."""
    done = MemberStatus.DONE
    values = {each.member.seed: each.value for each in others if each.status is done}
    found = [
        each.value - values.get(each.member.seed, math.nan) for each in ones if each.status is done
    ]
    return [difference for difference in found if math.isfinite(difference)]


def _row(
    group: str, setting: str, members: Sequence[MemberStanding], against: Against | None
) -> Row:
    views = [each.view for each in members if each.view is not None]
    come = [each for each in members if each.has_come]
    values = [each.value for each in come if math.isfinite(each.value)]
    chart = views[0].chart if views else None
    goals = {view.reference for view in views}
    goal = goals.pop() if len(goals) == 1 else None
    middle = median(values) if values else math.nan
    return Row(
        group=group,
        setting=setting,
        members=len(members),
        values=len(values),
        statuses={s: n for s in MemberStatus if (n := sum(m.status is s for m in members))},
        headline=chart.headline if chart is not None else "",
        unit=chart.unit if chart is not None else "",
        better=chart.better if chart is not None else "",
        value=middle,
        lowest=min(values, default=math.nan),
        highest=max(values, default=math.nan),
        reference=goal[0] if goal else "",
        above=middle - goal[1] if goal else math.nan,
        iterations=median([view.iteration for view in views]) if views else 0,
        spent={name: median([v.spent.get(name, 0.0) for v in views] or [0.0]) for name in AMOUNTS},
        against=against,
    )


def claim(row: Row) -> str:
    """What may be said of a setting beside the baseline, in a sentence."""
    if row.against is None:
        return ""
    paired, unit = row.against.paired, row.unit
    seeds = f"{paired.pairs} seed{'' if paired.pairs == 1 else 's'}"
    far = f"{'below' if paired.estimate < 0 else 'above'} {row.against.baseline} by "
    far += difference(abs(paired.estimate), unit) if paired.estimate else "nothing"
    if paired.interval is not None:
        low, high = paired.interval
        far += f" ({CONFIDENCE:.0%}: {_signed(low, unit)} to {_signed(high, unit)})"
    p = row.against.p_holm
    test = f"p = {p:.2g}" if p >= LEAST_P else f"p < {LEAST_P:g}"
    if row.against.is_claimed:
        return f"{row.setting}: {far}, {test}, {seeds}"
    more = paired.wanted
    if paired.pairs < paired.least:
        wanted = f"no claim from {seeds}: it takes at least {paired.least}"
        about = f", and about {more} at such a difference" if more and more > paired.least else ""
        return f"{row.setting}: {far}; {wanted}{about}"
    about = f", about {more} seeds may be enough" if more and more > paired.pairs else ""
    return f"{row.setting}: {far}; no claim from {seeds} ({test}){about}"


def _signed(value: float, unit: str) -> str:
    return f"{'-' if value < 0 else '+' if value > 0 else ''}{difference(abs(value), unit)}"

"""A sweep's picture: every member's curve, and of each setting the median with what it lies between."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from statistics import median

from qcsc_loop.reports.figure import ALONG_LABELS, Figure, Line, finite_values
from qcsc_loop.reports.view import View
from qcsc_loop.sweeping.standing import Standing

THIN_LINES = 60  # in all: of more the picture would be one surface, and a large file


def group_figure(standing: Standing, group: str) -> Figure:
    """The headlines of a group's members over their iterations.

    A member that has ended keeps its last value, so that the median is of the same members from its
    beginning to its end.
    """
    views = {
        setting: [
            each.view
            for each in standing.members
            if (each.member.group, each.member.setting) == (group, setting) and each.view
        ]
        for setting in standing.plan.settings(group)
    }
    some = next((view for found in views.values() for view in found), None)
    lines = [*_medians(views), *_members(views)]
    chart = some.chart if some is not None else None
    headline = chart.headline if chart is not None else ""
    unit = f" ({chart.unit})" if chart is not None and chart.unit else ""
    several = len(standing.plan.groups) > 1
    return Figure(
        lines=tuple(lines) or (Line("", (), ()),),
        x_label=ALONG_LABELS["iteration"],
        y_label=f"{headline}{unit}",
        references=_references(list(views.values())),
        title=f"{standing.plan.name}{f', {group}' if several else ''}: {headline}",
    )


def _medians(views: dict[str, list[View]]) -> Iterator[Line]:
    for setting, found in views.items():
        if not found:
            continue
        last = max(view.iteration for view in found)
        columns = [_held(view, last) for view in found]
        each = [[v for v in values if math.isfinite(v)] for values in zip(*columns, strict=True)]
        yield Line(
            name=setting,
            x=[float(k) for k in range(last + 1)],
            y=[median(values) if values else math.nan for values in each],
            between=(
                [min(values, default=math.nan) for values in each],
                [max(values, default=math.nan) for values in each],
            )
            if len(found) > 1
            else None,
            family=setting,
        )


def _held(view: View, last: int) -> list[float]:
    """Its headline at each iteration, with its last one from its end on."""
    known = dict(zip(view.history.iterations, finite_values(view.values), strict=False))
    found = [known.get(k, math.nan) for k in range(last + 1)]
    for k in range(view.iteration + 1, last + 1):
        found[k] = found[k - 1]
    return found


def _members(views: dict[str, list[View]]) -> Iterator[Line]:
    every = [
        (setting, view) for setting, found in views.items() if len(found) > 1 for view in found
    ]
    for setting, view in every[:: max(1, math.ceil(len(every) / THIN_LINES))]:
        yield Line(
            name=view.run_id,
            x=[float(k) for k in view.history.iterations],
            y=finite_values(view.values),
            family=setting,
            thin=True,
        )


def _references(views: Sequence[Sequence[View]]) -> dict[str, float]:
    """Those that all members have, with one value."""
    charts = [view.chart.references for found in views for view in found]
    if not charts:
        return {}
    first = charts[0].items()
    return {
        name: value
        for name, value in first
        if math.isfinite(value) and all(chart.get(name) == value for chart in charts)
    }

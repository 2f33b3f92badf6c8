"""The cards of a run's page: how far it is, and what it cost."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator

from qcsc_loop.reports.figure import places_along
from qcsc_loop.reports.markup import text
from qcsc_loop.reports.phrases import best_since, count, difference, exact, span
from qcsc_loop.reports.view import View

NOTHING = "\N{EN DASH}"


def cards(view: View) -> str:
    """How far a run is, and what it cost, each with its budget."""
    found = [_headline_card(view), _iterations_card(view), _work_card(view), *_cost_cards(view)]
    return f'<div class="cards">{"".join(found)}</div>'


def _headline_card(view: View) -> str:
    name = view.chart.headline or "headline"
    unit = f" ({view.chart.unit})" if view.chart.unit else ""
    value = exact(view.headline) if math.isfinite(view.headline) else NOTHING
    return _card(f"{name}{unit}", value, distance_to_goal(view), best_since(view))


def distance_to_goal(view: View) -> str:
    """'14.40 mHa above FCI'; empty where there is no reference."""
    goal = view.reference
    if goal is None or not math.isfinite(view.headline):
        return ""
    far = view.headline - goal[1]
    if not far:
        return f"equal to {goal[0]}"
    return f"{difference(abs(far), view.chart.unit)} {'above' if far > 0 else 'below'} {goal[0]}"


def _iterations_card(view: View) -> str:
    took = [t for t in view.history.took if math.isfinite(t)]
    each = f"{span(statistics.median(took))} each" if took else ""
    left = view.seconds_left
    return _card(
        "iterations",
        count(view.iteration),
        each,
        f"about {span(left)} left" if left else "",
        of=("iterations", view.iteration, view.limits.get("iterations")),
    )


def _work_card(view: View) -> str:
    worked = places_along(view, "wall")
    limit = view.limits.get("seconds")
    drivers = f"{view.drivers} driver{'' if view.drivers == 1 else 's'}"
    bound = f"at most {span(limit)} a driver" if limit is not None else ""
    return _card("time of work", span(worked[-1]) if worked else NOTHING, drivers, bound)


def _cost_cards(view: View) -> Iterator[str]:
    spent, limits = view.spent, view.limits
    shots, jobs = spent.get("shots", 0.0), len(view.jobs)
    of_each = view.history.usage.get("shots", ())
    each = f"{count(of_each[-1])} in the last iteration" if of_each and of_each[-1] else ""
    yield _card("shots", count(shots), each, of=("shots", shots, limits.get("shots")))
    qpu = spent.get("qpu_seconds", 0.0)
    used = "" if qpu else "no QPU used"
    yield _card("QPU", span(qpu), used, of=("qpu_seconds", qpu, limits.get("qpu_seconds")))
    hours = spent.get("node_hours", 0.0)
    yield _card(
        "node hours",
        f"{hours:.4f}" if 0 < hours < 1 else count(round(hours, 2)),
        f"{jobs:,} job{'' if jobs == 1 else 's'}",
        of=("node_hours", hours, limits.get("node_hours")),
    )


def _card(
    name: str, value: str, *more: str, of: tuple[str, float, float | None] | None = None
) -> str:
    budget = "" if of is None or of[2] is None else _budget(of[0], of[1], of[2])
    wide = ' class="long"' if len(value) > 12 else ""
    rest = "".join(f"<span>{text(words)}</span>" for words in more if words)
    return (
        f'<div class="card"><span>{text(name)}</span><b{wide}>{text(value)}</b>{budget}{rest}</div>'
    )


def _budget(what: str, used: float, limit: float) -> str:
    if not (math.isfinite(limit) and limit > 0):
        return ""
    share = min(1.0, max(0.0, used / limit))
    shown = span(limit) if what == "qpu_seconds" else count(limit)
    bar = f'<progress max="1" value="{share:.4f}"{_full(share)}></progress>'
    return f"{bar}<span>of {text(shown)}</span>"


def _full(share: float) -> str:
    return ' class="full"' if share >= 1 else ""

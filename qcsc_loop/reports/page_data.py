"""What a run's page computes with: its numbers as JSON, few enough that it opens at once.

Of a long run each scalar keeps, of every few iterations, the lowest and the highest value, so that no
spike is lost; its last iterations are kept all.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from qcsc_loop.plain import Json
from qcsc_loop.reports.columns import Columns, Numbers
from qcsc_loop.reports.figure import forked_before, on_one_axis, resumes
from qcsc_loop.reports.view import View, when

ROWS = 500  # of the table of iterations, and of what can be saved as CSV of a long run
WHOLE = 3000  # iterations: up to here nothing is left out
STRETCHES = 1000  # of a longer run; two values of each are kept
TIMES = 600  # bars, each the mean of as many iterations as there have to be
NAMES = 100  # scalars; a page of more is none
WORTH_SECONDS = 1e-3


def page_data(view: View) -> Json:
    """All that its charts and its table of iterations need."""
    history, chart, best, goal = view.history, view.chart, view.best, view.reference
    names, fork = [*history.scalars][:NAMES], forked_before(view)
    return {
        "run": view.run_id,
        "headline": chart.headline,
        "unit": chart.unit,
        "kin": [n for n in chart.beside if n in names and on_one_axis(view, n)],
        "error": chart.error,
        "references": {n: v for n, v in chart.references.items() if math.isfinite(v)},
        "goal": None if goal is None else {"name": goal[0], "value": goal[1]},
        "best": None if best is None else {"iteration": best.iteration, "value": best.value},
        "resumed": [history.iterations[k] for k in resumes(view)],
        "forked": None if fork is None else history.iterations[fork],
        "scalars": {name: _line(history, history.scalars[name]) for name in names},
        "times": times(view),
        "rows": rows(history, names),
        "whole": len(history) <= WHOLE,
        "count": len(history),
    }


def as_script(data: Json) -> str:
    """JSON that no page's parser can take for anything else."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def rows(history: Columns, names: Sequence[str]) -> Json:
    """The last iterations whole, a column each."""
    seconds = {
        step: [_rounded(v) for v in values[-ROWS:]]
        for step, values in worth_showing(history.seconds).items()
    }
    return {
        "iterations": list(history.iterations[-ROWS:]),
        "epochs": list(history.epochs[-ROWS:]),
        "committed": [_when(t) for t in history.committed[-ROWS:]],
        "scalars": {name: [_plain(v) for v in history.scalars[name][-ROWS:]] for name in names},
        "seconds": seconds,
    }


def times(view: View) -> Json:
    """Where the time of iterations went: the steps without queues, queues, and what is left.

    Several iterations are one bar in a long run: the mean of each.
    """
    history = view.history
    queued = _queued(view)
    steps = worth_showing(history.seconds)
    steps = {step: steps[step] for step in sorted(steps, key=lambda step: step != "initialize")}
    parts: dict[str, list[float]] = {
        step: [
            _above(seconds - queued.get((k, step), 0.0)) for k, seconds in _pairs(history, values)
        ]
        for step, values in steps.items()
    }
    in_queue = [
        sum(min(_above(values[at]), queued.get((k, step), 0.0)) for step, values in steps.items())
        for at, k in enumerate(history.iterations)
    ]
    if any(in_queue):
        parts["in the queue"] = in_queue
    rest = [
        _above(took - sum(_above(values[at]) for values in history.seconds.values()))
        for at, took in enumerate(history.took)
    ]
    if any(seconds > WORTH_SECONDS for seconds in rest):
        parts["rest"] = rest
    every = max(1, math.ceil(len(history) / TIMES))
    return {
        "every": every,
        "iterations": list(history.iterations[::every]),
        "parts": {name: _means(values, every) for name, values in parts.items()},
    }


def worth_showing(seconds: dict[str, Numbers]) -> dict[str, Numbers]:
    """The steps that once took a millisecond."""
    return {s: v for s, v in seconds.items() if any(t >= WORTH_SECONDS for t in v)}


def _queued(view: View) -> dict[tuple[int, str], float]:
    """How long the jobs of a step waited in the queue: the longest, since they wait together."""
    found: dict[tuple[int, str], float] = {}
    for job in view.jobs:
        place = job.key.iteration, job.key.step
        seconds = job.metrics.queue_seconds
        if seconds is not None and seconds > found.get(place, 0.0):
            found[place] = seconds
    return found


def _pairs(history: Columns, values: Numbers) -> Iterator[tuple[int, float]]:
    return zip(history.iterations, values, strict=True)


def _means(values: Sequence[float], every: int) -> list[float | None]:
    return [
        _rounded(sum(values[at : at + every]) / len(values[at : at + every]))
        for at in range(0, len(values), every)
    ]


def _above(seconds: float) -> float:
    return seconds if seconds > 0 else 0.0  # NaN is not, either


def _line(history: Columns, values: Numbers) -> Json:
    """A scalar's values with their iterations; each of those as the step from the one before."""
    kept = range(len(values)) if len(values) <= WHOLE else _extremes(values)
    numbers = [history.iterations[place] for place in kept]
    steps = [after - before for before, after in zip([0, *numbers], numbers, strict=False)]
    found: Json = {"values": [_plain(values[place]) for place in kept]}
    if any(step != 1 for step in steps[1:]):
        return {"steps": steps, **found}
    return {"first": steps[0] if steps else 0, **found}


def _extremes(values: Numbers) -> list[int]:
    """Of each stretch the places of its ends' lowest and highest value, and of a gap in it."""
    size = math.ceil(len(values) / STRETCHES)
    kept: set[int] = {0, len(values) - 1}
    for start in range(0, len(values), size):
        places = range(start, min(start + size, len(values)))
        finite = [place for place in places if math.isfinite(values[place])]
        if finite:
            kept.add(min(finite, key=values.__getitem__))
            kept.add(max(finite, key=values.__getitem__))
        else:
            kept.add(start)
    return sorted(kept)


def _plain(value: float) -> Any:
    """As JSON has it: whole numbers whole, others with twelve digits, NaN and infinity as text."""
    if not math.isfinite(value):
        return {math.inf: "inf", -math.inf: "-inf"}.get(value, "NaN")
    if value == int(value) and abs(value) < 1e15:
        return int(value)
    return float(f"{value:.12g}")


def _when(seconds: float) -> str:
    try:
        return when(datetime.fromtimestamp(seconds, UTC))
    except (ValueError, OverflowError, OSError):  # NaN, or what no calendar has
        return ""


def _rounded(seconds: float) -> float | None:
    return round(seconds, 4) if math.isfinite(seconds) else None

"""A run as Markdown, for a page of somebody else's: how it stands, its curve, its iterations."""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from qcsc_loop.printing import printable
from qcsc_loop.reports.placement_cost import placement_cost
from qcsc_loop.reports.run import WORTH_SECONDS, number
from qcsc_loop.reports.status import RunStatus
from qcsc_loop.reports.svg import curve_svg
from qcsc_loop.reports.view import View

COLUMNS = 7  # more lie over what stands beside the page
ROWS = 30
JOBS = 10
LARGEST_BYTES = 30_000  # of a page: it is sent every few seconds
_CURVE_BYTES = 20_000  # of the picture in it
_CELL = 40  # letters
_MARKUP = re.compile(r"([\\`*_\[\]<>|~#!&])")
_UNITS = {"shots": "shots", "qpu_seconds": "QPU seconds", "node_hours": "node hours"}


def markdown(view: View, more: str = "") -> str:
    """The page, of at most 30 kB.

    Args:
        more: what stands behind each command, as `--store DIR`.
    """
    what_next = _next(view, more)
    head = "\n".join([f"# {_text(view.run_id)}", "", f"**{_sentence(view)}**", *what_next, ""])
    facts = "\n".join(f"- {fact}" for fact in _facts(view))
    foot = f"Kept in `{view.folder.replace('`', '')}`."
    image = _image(view)
    pages = (
        "\n\n".join(filter(None, [head, facts, picture, _table(view, rows), foot]))
        for picture, rows in ((image, ROWS), (image, 5), ("", 5))
    )
    return next((page for page in pages if len(page.encode()) <= LARGEST_BYTES), head)


def _sentence(view: View) -> str:
    message = _text(view.heading, 500)
    return f"{message[:1].upper()}{message[1:]}."


def _next(view: View, more: str) -> Iterator[str]:
    command = view.next_command
    if command and view.status is not RunStatus.RUNNING:
        first, _, words = (view.advice() or f"to go on: {command}").partition(f": {command}")
        yield ""
        yield f"{first[:1].upper()}{first[1:]}: `{command}{more.replace('`', '')}`{words}"


def _facts(view: View) -> Iterator[str]:
    if line := _headline(view):
        yield line
    if spent := [
        f"{number(value)} {_UNITS.get(name, _text(name))}"
        for name, value in view.spent.items()
        if value
    ]:
        yield f"spent: {', '.join(spent)}"
    if cost := placement_cost(view.jobs):
        yield _text(cost.words(), 500)
    for job in view.live_jobs[:JOBS]:
        yield _text(f"job {job.job_id or '?'}, {job.key}: {job.state}", 200)
    if (rest := len(view.live_jobs) - JOBS) > 0:
        yield f"and {rest} more jobs that wait or run"


def _headline(view: View) -> str:
    """'energy **-76.1198** hartree at iteration 7; best -76.12 at 5; 0.0021 above FCI (-76.1219)'."""
    if not math.isfinite(view.headline):
        return ""
    unit = f" {_text(view.chart.unit)}" if view.chart.unit else ""
    name = _text(view.chart.headline)
    error = view.history.last(view.chart.error)
    apart = f" ± {error:.2g}" if math.isfinite(error) and error > 0 else ""
    parts = [f"{name} **{number(view.headline)}**{apart}{unit} at iteration {view.iteration}"]
    if (best := view.best) is not None and best.iteration != view.iteration:
        parts.append(f"best {number(best.value)} at {best.iteration}")
    if view.reference is not None:
        where, value = view.reference
        distance = view.headline - value
        side = "above" if distance >= 0 else "below"
        parts.append(f"{abs(distance):.3g} {side} {_text(where)} ({number(value)})")
    return "; ".join(parts)


def _image(view: View) -> str:
    """The curve as a picture in its own address; empty before there is one."""
    if len(view.history) < 2 or not any(map(math.isfinite, view.values)):
        return ""
    plain = replace(view, chart=view.chart.model_copy(update={"beside": (), "error": ""}))
    for shown in (view, plain):
        coded = base64.b64encode(curve_svg(shown).encode()).decode()
        if len(coded) <= _CURVE_BYTES:
            return f"![{_text(view.chart.headline)}](data:image/svg+xml;base64,{coded})"
    return ""


def _table(view: View, most: int) -> str:
    """The last iterations, newest first: scalars, then what they took; the headline always."""
    history = view.history
    if not len(history):
        return ""
    names = dict.fromkeys([view.chart.headline, *view.chart.beside, *history.scalars])
    scalars = [name for name in names if name in history.scalars]
    steps = [step for step, took in history.seconds.items() if _is_worth_it(step, took)]
    room = COLUMNS - 1
    shown = scalars[: max(1, room - len(steps))]
    took = steps[: room - len(shown)]
    head = ["iteration", *map(_text, shown), *(f"{_text(step)} (s)" for step in took)]
    rows = [head, ["---"] + ["---:"] * (len(head) - 1)]
    for index in range(len(history) - 1, max(-1, len(history) - 1 - most), -1):
        values = (history.scalars[name][index] for name in shown)
        seconds = (history.seconds[step][index] for step in took)
        rows.append(
            [
                str(history.iterations[index]),
                *map(number, values),
                *("" if math.isnan(s) else f"{s:.3f}" for s in seconds),
            ]
        )
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _is_worth_it(step: str, took: Sequence[float]) -> bool:
    """Whether it has a column: what is done once has none."""
    return step != "initialize" and any(seconds >= WORTH_SECONDS for seconds in took[-ROWS:])


def _text(text: str, most: int = _CELL) -> str:
    """A text as it is: nothing in it is markup, or a second line."""
    line = " ".join(printable(text).split())
    cut = line if len(line) <= most else f"{line[: most - 1]}…"
    return _MARKUP.sub(r"\\\1", cut)

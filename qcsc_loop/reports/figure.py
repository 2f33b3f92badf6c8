"""What a picture of runs shows, whoever draws it: lines, references, and the part that is worth seeing.

A run's first values are often far from all that follow: the window leaves them out. It is made of
what is on disk, so that any value may be NaN, infinite or beyond what a picture can hold.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from qcsc_loop.errors import InputError, did_you_mean
from qcsc_loop.reports.columns import Columns, Numbers
from qcsc_loop.reports.view import View

Along = Literal["iteration", "shots", "qpu", "wall"]

ALONG_LABELS: dict[Along, str] = {
    "iteration": "iteration",
    "shots": "shots",
    "qpu": "QPU seconds",
    "wall": "seconds of a driver's work",
}
LARGEST = 1e150  # what lies beyond is a gap: its square, and any span, is finite
LEAST = 1e-300  # of what a logarithm is taken of


@dataclass(frozen=True)
class Line:
    """One scalar of one run.

    Attributes:
        x, y: its points, in order; NaN in `y` is a gap.
        error: the standard error of each; empty: there is none.
        resumed: where another driver went on.
        forked: where it began with another run's state; None: it has its own.
        best: the place of the best value; None: there is none, or it is not asked for.
        beside: it is shown beside what counts.
        between: the lowest and the highest of what it is the middle of, at each place; None: nothing.
        family: lines of one family have one colour; empty: it has one of its own.
        thin: it is one of many behind its family's own line, and has no name in the picture.
    """

    name: str
    x: Numbers
    y: Numbers
    error: Numbers = ()
    resumed: Numbers = ()
    forked: float | None = None
    best: int | None = None
    beside: bool = False
    between: tuple[Numbers, Numbers] | None = None
    family: str = ""
    thin: bool = False


@dataclass(frozen=True)
class Figure:
    """Lines over one axis.

    Attributes:
        references: values by name, in the unit of `y`.
        y_label, x_label: what the axes show, with the unit.
        log: the axis of `y` is logarithmic, and all values are above 0.
        title: of which run, for who reads the picture's text.
    """

    lines: tuple[Line, ...]
    x_label: str
    y_label: str
    references: dict[str, float] = field(default_factory=dict[str, float])
    log: bool = False
    title: str = ""

    @property
    def is_whole(self) -> bool:
        """Whether along x there is nothing between whole numbers."""
        return self.x_label in (ALONG_LABELS["iteration"], ALONG_LABELS["shots"])

    @property
    def window(self) -> tuple[float, float]:
        """The values from and to which it is drawn."""
        return window_of(self.lines, self.references, log=self.log)

    @property
    def span(self) -> tuple[float, float]:
        """From and to where it is drawn along x; never empty."""
        ends = [v for line in self.lines for v in (*line.x[:1], *line.x[-1:]) if math.isfinite(v)]
        low, high = min(ends, default=0.0), max(ends, default=1.0)
        return (low, high) if high > low else (low - 0.5, low + 0.5)


def run_figure(
    view: View, *, name: str | None = None, along: Along = "iteration", log: bool = False
) -> Figure:
    """One run: its headline and what belongs beside it, or one other scalar."""
    chart = view.chart
    shown = name or chart.headline or next(iter(view.history.scalars), "")
    headline = shown == chart.headline
    x = places_along(view, along)
    main = Line(
        name=shown,
        x=x,
        y=finite_values(view.history.scalars.get(shown, ())),
        error=_errors(view) if headline else (),
        resumed=[between(x, k) for k in resumes(view)],
        forked=None if (fork := forked_before(view)) is None else between(x, fork),
        best=_best_place(view) if headline else None,
    )
    beside = [
        Line(n, x, finite_values(view.history.scalars[n]), beside=True)
        for n in (beside_headline(view) if headline else ())
        if n != shown
    ]
    figure = Figure(
        lines=(main, *beside),
        x_label=ALONG_LABELS[along],
        y_label=_with_unit(shown, chart.unit if headline else ""),
        references=_finite(chart.references) if headline else {},
        title=f"{view.run_id}: {shown}",
    )
    return distances(figure, view, headline=headline) if log else figure


def runs_figure(
    views: Sequence[View], *, name: str | None = None, along: Along = "iteration", log: bool = False
) -> Figure:
    """Several runs, a line each by the run's id; one run with what belongs beside it."""
    figures = [run_figure(view, name=name, along=along, log=log) for view in views]
    if len(figures) == 1:
        return figures[0]
    lines = [
        replace(figure.lines[0], name=view.run_id, error=())
        for figure, view in zip(figures, views, strict=True)
    ]
    labels = list(dict.fromkeys(figure.y_label for figure in figures))
    return Figure(
        lines=tuple(lines),
        x_label=ALONG_LABELS[along],
        y_label=", ".join(labels),
        references=_merged(figures, [view.run_id for view in views]),
        log=log,
        title=", ".join(view.run_id for view in views),
    )


def require_scalar(views: Sequence[View], name: str) -> None:
    """Makes sure that each run has a scalar.

    Raises:
        InputError: one has not; says which it has.
    """
    for view in views:
        known = view.history.scalars
        if name not in known:
            near = did_you_mean(name, known) if isinstance(name, str) else ""
            raise InputError(
                f"{view.run_id} has no scalar {name!r}{near}: it has {', '.join(known) or 'none yet'}"
            )


def _merged(figures: Sequence[Figure], run_ids: Sequence[str]) -> dict[str, float]:
    """All runs' references; where runs differ in one, each of its values has its run's id."""
    found: dict[str, dict[float, str]] = {}
    for figure, run_id in zip(figures, run_ids, strict=True):
        for name, value in figure.references.items():
            found.setdefault(name, {}).setdefault(value, run_id)
    return {
        name if len(values) == 1 else f"{name} ({run_id})": value
        for name, values in found.items()
        for value, run_id in values.items()
    }


def distances(figure: Figure, view: View, *, headline: bool) -> Figure:
    """The same on a logarithmic axis.

    The headline and what is beside it by their distance to the reference or, without one, to the
    best value; any other scalar by its size.
    """
    goal, best = (view.reference, view.best) if headline else (None, None)
    name = figure.lines[0].name
    if goal is not None:
        end, label = goal[1], _with_unit(f"|{name} - {goal[0]}|", view.chart.unit)
    elif best is not None and 0 < abs(best.value) < LARGEST:
        end, label = best.value, _with_unit(f"|{name} - best|", view.chart.unit)
    else:
        end, label = 0.0, f"|{figure.y_label}|"
    lines = tuple(
        replace(
            line,
            y=[d if LEAST < (d := abs(v - end)) < LARGEST else math.nan for v in line.y],
            best=None,
        )
        for line in figure.lines
    )
    return replace(figure, lines=lines, y_label=label, references={}, log=True)


def places_along(view: View, along: Along) -> Numbers:
    """Where each iteration is along x; never falling."""
    history = view.history
    if along == "iteration":
        return [float(k) for k in history.iterations]
    if along == "wall":
        return _summed(_worked(history))
    return _summed(_used(view, "shots" if along == "shots" else "qpu_seconds"))


def _used(view: View, what: str) -> list[float]:
    """What each iteration cost, with its jobs, failed ones too."""
    history = view.history
    used = list(history.usage.get(what, [0.0] * len(history)))
    places = {iteration: place for place, iteration in enumerate(history.iterations)}
    for job in view.jobs:
        if (place := places.get(job.key.iteration)) is not None:
            used[place] += job.metrics.costs.get(what, 0.0)
    return used


def _worked(history: Columns) -> list[float]:
    """Wall seconds of each iteration; of a driver's first one, those of its steps."""
    steps = list(history.seconds.values())
    return [
        took
        if math.isfinite(took)
        else sum(column[place] for column in steps if math.isfinite(column[place]))
        for place, took in enumerate(history.took)
    ]


def _summed(values: Iterable[float]) -> list[float]:
    total, found = 0.0, []
    for value in values:
        total += value if math.isfinite(value) and value > 0 else 0.0
        found.append(total)
    return found


def resumes(view: View) -> list[int]:
    """The places of iterations before which another driver went on."""
    epochs, fork = view.history.epochs, forked_before(view)
    return [k for k in range(1, len(epochs)) if epochs[k] != epochs[k - 1] and k != fork]


def forked_before(view: View) -> int | None:
    """The place of the first iteration of its own, where it began with another run's state."""
    fork = view.record.forked_from if view.record is not None else None
    if fork is None:
        return None
    places = (k for k, number in enumerate(view.history.iterations) if number > fork.iteration)
    return next((k for k in places if k), None)


def between(x: Numbers, place: int) -> float:
    """In the middle between an iteration and the one before."""
    return (x[place - 1] + x[place]) / 2


def finite_values(values: Numbers) -> list[float]:
    """With NaN for all that no picture can hold."""
    return [v if -LARGEST < v < LARGEST else math.nan for v in values]


def window_of(
    lines: Sequence[Line], references: dict[str, float], *, log: bool = False
) -> tuple[float, float]:
    """The values from and to which lines are drawn.

    All of them, unless a few are so far off that the others would be one line: then those between
    two quantiles, and the last ones. References that are near are in it.
    """
    scale = math.log10 if log else float
    values = sorted(scale(v) for line in lines for v in line.y if math.isfinite(v))
    if not values:
        values = sorted(map(scale, references.values())) or [0.0, 1.0]
    low, high = _without_outliers(values)
    newest = [scale(line.y[-1]) for line in lines if line.y and math.isfinite(line.y[-1])]
    low, high = min([low, *newest]), max([high, *newest])
    span = high - low
    near = [v for v in map(scale, references.values()) if low - 3 * span <= v <= high + 3 * span]
    low, high = min([low, *near]), max([high, *near])
    room = (high - low) * 0.06 or _room_around(low, log=log)
    low, high = low - room, high + room
    return (10.0**low, 10.0**high) if log else (low, high)


def _without_outliers(values: list[float]) -> tuple[float, float]:
    low, high = values[0], values[-1]
    if len(values) < 8:
        return low, high
    inner_low, inner_high = values[len(values) // 20], values[-1 - len(values) // 20]
    span = inner_high - inner_low
    if not span > 0 or high - low <= 4 * span:
        return low, high
    return max(low, inner_low - span), min(high, inner_high + span)


def _room_around(value: float, *, log: bool) -> float:
    return 0.5 if log else abs(value) * 1e-3 or 1.0


def _errors(view: View) -> Numbers:
    return [
        abs(v) if abs(v) < LARGEST else math.nan
        for v in view.history.scalars.get(view.chart.error, ())
    ]


def _best_place(view: View) -> int | None:
    best = view.best
    return (
        None
        if best is None or abs(best.value) >= LARGEST
        else list(view.history.iterations).index(best.iteration)
    )


def beside_headline(view: View) -> Iterator[str]:
    """The scalars that are drawn with it, of those that belong beside it."""
    for name in view.chart.beside:
        if name in view.history.scalars and on_one_axis(view, name):
            yield name


def on_one_axis(view: View, name: str) -> bool:
    """Whether a scalar is of the headline's kind: that has a unit, or the values are near it."""
    if view.chart.unit:
        return True
    around = [v for v in view.values if abs(v) < LARGEST]
    values = [v for v in view.history.scalars[name] if abs(v) < LARGEST]
    if not around or not values:
        return False
    low, high = min(around), max(around)
    room = 2 * (high - low)
    return 2 * sum(low - room <= v <= high + room for v in values) >= len(values)


def _with_unit(name: str, unit: str) -> str:
    return f"{name} ({unit})" if unit else name


def _finite(values: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in values.items() if -LARGEST < value < LARGEST}

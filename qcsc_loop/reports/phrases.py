"""What a view says in few words: times, distances, what was spent, with the digits that people need."""

from __future__ import annotations

import math
from collections.abc import Mapping

from qcsc_loop.printing import printable
from qcsc_loop.reports.view import View

_LONG = ((86400.0, "d"), (3600.0, "h"))
_DIGITS = 9  # of a headline: a microhartree of a hundred hartree, and two more
_SMALL = {"hartree": ((1e-3, "mHa"), (1e-6, "µHa")), "eV": ((1e-3, "meV"),)}


def one_line(text: str) -> str:
    """Somebody's words, printable and without line ends."""
    return " ".join(printable(text).split())


def span(seconds: float) -> str:
    """'0.024 s', '1.3 s', '64 s', '64 min', '3.4 h', '4.2 d'."""
    if not math.isfinite(seconds):
        return "?"
    seconds = max(0.0, seconds)
    if seconds < 0.0005:
        return "0 s"
    if seconds < 100:
        return f"{_two_digits(seconds)} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    length, unit = next((pair for pair in _LONG if seconds >= 1.5 * pair[0]), _LONG[-1])
    return f"{_two_digits(seconds / length)} {unit}"


def ago(seconds: float) -> str:
    """How long something is over: '2 s', '64 min', '3.4 h'."""
    return f"{seconds:.0f} s" if seconds < 99.5 else span(seconds)


def _two_digits(value: float) -> str:
    decimals = max(0, 1 - math.floor(math.log10(value)))
    return f"{value:.{min(decimals, 3)}f}"


def elapsed(seconds: float) -> str:
    """What a phase has taken so far, in steps that can be seen to go on: '0.4 s', '38 s', '3:05'."""
    seconds = max(0.0, seconds)
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    return (
        f"{minutes}:{rest:02d}"
        if minutes < 60
        else f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"
    )


def exact(value: float) -> str:
    """A headline: nine digits, and whole numbers whole."""
    if not math.isfinite(value):
        return str(value)
    if value == int(value) and abs(value) < 10**_DIGITS:
        return str(int(value))
    return f"{value:#.{_DIGITS}g}"


def count(value: float) -> str:
    """'872,000'; '0.42' of what is no whole number."""
    whole = math.isfinite(value) and value == int(value) and abs(value) < 1e15
    return f"{int(value):,}" if whole else f"{value:.3g}"


def difference(value: float, unit: str) -> str:
    """A positive difference in a unit that it is no small part of: '14.40 mHa'."""
    for size, name in _SMALL.get(unit, ()):
        if size / 10 <= value < 1000 * size:
            return f"{value / size:.2f} {name}"
    shown = f"{value:.2f}" if 0.1 <= value < 1000 else f"{value:.3g}"
    return f"{shown} {'Ha' if unit == 'hartree' else unit}".rstrip()


def distance(view: View) -> str:
    """How far the headline is from its nearest reference: '14.40 mHa above FCI'; else empty."""
    if view.reference is None or not math.isfinite(view.headline):
        return ""
    name, value = view.reference
    far = view.headline - value
    if not far:
        return f"equal to {name}"
    return f"{difference(abs(far), view.chart.unit)} {'above' if far > 0 else 'below'} {name}"


def best_since(view: View) -> str:
    """'best since 54', or what was better and where; empty where nothing is best."""
    best = view.best
    if best is None:
        return ""
    if best.value == view.headline:
        return f"best since {best.iteration}"
    return f"best {exact(best.value)} at {best.iteration}"


def spent(view: View, wall: float | None = None) -> list[str]:
    """What was spent, each with its budget: '872,000 shots of 1,000,000'."""
    found = {"shots": 0.0, **view.spent}
    if wall is not None and "seconds" in view.limits:
        found["seconds"] = wall
    limits = view.limits
    words = [
        _spent(name, value, limits)
        for name, value in found.items()
        if (value or name in limits) and name in _COSTS
    ]
    return words


_COSTS: Mapping[str, str] = {
    "shots": "{} shots",
    "qpu_seconds": "QPU {} s",
    "node_hours": "{} node h",
    "seconds": "{} of wall time",
}


def _spent(name: str, value: float, limits: Mapping[str, float]) -> str:
    write = span if name == "seconds" else count
    words = _COSTS[name].format(write(value))
    if name not in limits:
        return words
    share = f", {100 * value / limits[name]:.0f} %" if limits[name] else ""
    return f"{words} (of {write(limits[name])}{share})"

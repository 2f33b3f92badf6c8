"""The last iterations as a table that fits: columns are whole or not there, and no number is cut."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.text import Text

from qcsc_loop.reports.columns import Columns, Numbers
from qcsc_loop.reports.phrases import exact, one_line
from qcsc_loop.reports.view import View

GAP = 3
CHANGING_OF_LATE = 200  # iterations: a scalar that stood still in these comes last


@dataclass(frozen=True)
class _Column:
    """Cells, the newest first.

    Attributes:
        style: of the cells.
    """

    name: str
    cells: Sequence[str]
    style: str = ""

    @property
    def width(self) -> int:
        return max(len(self.name), *map(len, self.cells))


def iteration_lines(view: View, *, width: int, height: int, missing: str = "-") -> list[Text]:
    """A header and the last iterations, the newest first, in at most so many lines.

    Args:
        missing: what stands where there is no number.
    """
    rows = min(height - 1, len(view.history))
    if rows < 1:
        return []
    last = view.history.tail(rows + 1)
    columns = list(_columns(view, last, rows, missing))
    shown = _fitting(columns, width)
    if not shown:
        return []
    lines = [
        _line([(each.name, "dim", each) for each in shown]),
        *(_line([(each.cells[row], each.style, each) for each in shown]) for row in range(rows)),
    ]
    if (left := len(columns) - len(shown)) and lines[0].cell_len + GAP + len(f"+{left}") <= width:
        lines[0].append(f"{'':{GAP}}+{left}", "dim")
    return lines


def _columns(view: View, last: Columns, rows: int, missing: str) -> Iterator[_Column]:
    """All columns in the order in which they are left out, the last one first."""
    chart, scalars = view.chart, last.scalars
    newest = slice(None, -rows - 1, -1)
    yield _Column("iteration", [str(k) for k in last.iterations[newest]])
    headline = scalars.get(chart.headline, ())
    if headline:
        cells = [exact(v) if math.isfinite(v) else missing for v in headline[newest]]
        yield _Column(one_line(chart.headline), cells, "cyan")
    took = [math.nan, *last.took[1:]] if len(last) > rows else last.took
    seconds = [_seconds(v, missing) for v in list(took)[newest]]
    yield _Column("seconds", seconds)
    if headline:
        yield _Column("moved", _moves(headline, rows))
    for name in _order(view, chart.headline):
        values = scalars[name][newest]
        if any(math.isfinite(v) for v in values):
            write = exact if name in chart.beside else short
            yield _Column(
                one_line(name), [write(v) if math.isfinite(v) else missing for v in values]
            )


def _order(view: View, headline: str) -> list[str]:
    """Those that belong beside the headline, those that change, and those that stand still."""
    of_late = view.history.tail(CHANGING_OF_LATE).scalars
    first = [name for name in (*view.chart.beside, view.chart.error) if name in of_late]
    others = [name for name in of_late if name not in (headline, *first)]
    still = [name for name in others if _stands_still(of_late[name])]
    return [*dict.fromkeys(first), *(n for n in others if n not in still), *still]


def _stands_still(values: Numbers) -> bool:
    known = [v for v in values if not math.isnan(v)]
    return not known or min(known) == max(known)


def _moves(values: Numbers, rows: int) -> list[str]:
    """How far it has moved in each of the last iterations, the newest first."""
    found: list[str] = []
    for at in range(len(values) - 1, len(values) - rows - 1, -1):
        step = values[at] - values[at - 1] if at else math.nan
        found.append("" if not math.isfinite(step) else "·" if not step else f"{step:+.2e}")
    return found


def short(value: float) -> str:
    """A number of which not every digit counts."""
    if math.isfinite(value) and value == int(value) and abs(value) < 1e9:
        return str(int(value))
    return f"{value:.1f}" if 1e4 <= abs(value) < 1e9 else f"{value:.4g}"


def _seconds(value: float, missing: str) -> str:
    if not math.isfinite(value):
        return missing
    return f"{value:.1f}" if value >= 1 else f"{value:.3f}"


def _fitting(columns: Sequence[_Column], width: int) -> list[_Column]:
    """As many as have room; "seconds" stands at the end."""
    shown: list[_Column] = []
    used = -GAP
    for column in columns:
        if used + GAP + column.width > width:
            break
        shown.append(column)
        used += GAP + column.width
    return sorted(shown, key=lambda column: column.name == "seconds")


def _line(cells: Sequence[tuple[str, str, _Column]]) -> Text:
    line = Text(no_wrap=True)
    for text, style, column in cells:
        line.append(" " * (GAP if line else 0))
        line.append(f"{text:>{column.width}}", style)
    return line

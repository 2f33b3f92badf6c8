"""A sweep's table as cells of text, for a terminal and for `str()`."""

from __future__ import annotations

import math
from collections.abc import Sequence

from qcsc_loop.reports.phrases import difference, exact
from qcsc_loop.sweeping.standing import MemberStatus
from qcsc_loop.sweeping.summary import Row

LEFT = {"setting", "note"}
_QUIET = (MemberStatus.DONE,)


def cells_of(rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """Heads and cells of one group's rows; columns that say nothing are left out."""
    headline = next((row.headline for row in rows if row.headline), "value")
    unit = next((row.unit for row in rows if row.unit), "")
    goal = next((row.reference for row in rows if row.reference), "")
    heads = [
        "setting",
        "members",
        f"{headline}{f' ({unit})' if unit else ''}",
        "lowest",
        "highest",
        f"from {goal}" if goal else "",
        "iterations",
        "shots",
        "QPU s",
        "node h",
        "note",
    ]
    cells = [_cells(row) for row in rows]
    kept = [
        place
        for place, head in enumerate(heads)
        if head and (place < 5 or any(row[place] not in ("", "0") for row in cells))
    ]
    return [heads[k] for k in kept], [[row[k] for k in kept] for row in cells]


def _cells(row: Row) -> list[str]:
    return [
        row.setting,
        f"{row.values}/{row.members}" if row.values < row.members else str(row.members),
        _number(row.value),
        _number(row.lowest),
        _number(row.highest),
        _signed(row.above, row.unit) if math.isfinite(row.above) else "",
        f"{row.iterations:g}",
        f"{row.spent['shots']:,.0f}",
        f"{row.spent['qpu_seconds']:.4g}",
        f"{row.spent['node_hours']:.4g}",
        ", ".join(f"{n} {status}" for status, n in row.statuses.items() if status not in _QUIET),
    ]


def _number(value: float) -> str:
    return exact(value) if math.isfinite(value) else "-"


def _signed(value: float, unit: str) -> str:
    sign = "+" if value > 0 else "-" if value < 0 else ""
    return f"{sign}{difference(abs(value), unit)}" if value else "0"


_GIVE_WAY = ("node h", "QPU s", "shots", "iterations", "note", "members", "highest", "lowest")
GAP = 3


def fitting(
    heads: Sequence[str], cells: Sequence[Sequence[str]], width: int
) -> tuple[list[str], list[list[str]]]:
    """The same in so many letters: what says least is left out first; no number is ever cut."""
    kept = list(range(len(heads)))
    for name in (*_GIVE_WAY, *(head for head in heads if head.startswith("from "))):
        if _width(heads, cells, kept) <= width:
            break
        kept = [place for place in kept if heads[place] != name]
    return [heads[k] for k in kept], [[row[k] for k in kept] for row in cells]


def _width(heads: Sequence[str], cells: Sequence[Sequence[str]], kept: Sequence[int]) -> int:
    widest = (max(len(row[place]) for row in [heads, *cells]) for place in kept)
    return sum(widest) + GAP * len(kept)


def plain_lines(rows: Sequence[Row]) -> list[str]:
    """The table as lines of text."""
    heads, cells = cells_of(rows)
    widths = [max(len(row[k]) for row in [heads, *cells]) for k in range(len(heads))]
    return [
        "   ".join(
            cell.ljust(w) if head in LEFT else cell.rjust(w)
            for cell, w, head in zip(row, widths, heads, strict=True)
        ).rstrip()
        for row in [heads, *cells]
    ]

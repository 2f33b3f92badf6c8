"""A figure as PNG or PDF, by matplotlib: for papers and slides. It is an extra: `qcsc-loop[plot]`."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING, Literal

from qcsc_loop.errors import InputError
from qcsc_loop.printing import printable
from qcsc_loop.reports.figure import Figure, Line
from qcsc_loop.reports.svg import BESIDE, COLOURS, GREEN, GREY, NAME_LENGTH, apart
from qcsc_loop.reports.ticks import nice_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

INCHES = (7.2, 3.6)
DOTS_PER_INCH = 200
FEW = 60  # points that are shown each
LABEL_SHARE = 0.045  # of the height


def draw(figure: Figure, form: Literal["png", "pdf"]) -> bytes:
    """The picture's file.

    Raises:
        InputError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure as Page
    except ImportError as error:
        raise InputError(
            f"a picture as {form.upper()} needs matplotlib, which is not installed here: "
            "pip install 'qcsc-loop[plot]' brings it; -o FILE.svg needs nothing"
        ) from error
    page = Page(figsize=INCHES, layout="constrained")
    draw_on(page.add_subplot(), figure)
    file = io.BytesIO()
    page.savefig(file, format=form, dpi=DOTS_PER_INCH)
    return file.getvalue()


def draw_on(axes: Axes, figure: Figure) -> None:
    """The picture on axes of matplotlib's."""
    drawn = [(line, _draw_line(axes, figure, line, colour)) for line, colour in _coloured(figure)]
    named = [(line, handle) for line, handle in drawn if not line.thin]
    handles = [handle for _, handle in named]
    low, high = figure.window
    axes.set_yscale("log" if figure.log else "linear")
    axes.set_ylim(low, high)
    start, end = figure.span
    room = (end - start) * 0.01
    axes.set_xlim(start - room, end + room)
    across = nice_ticks(start, end, 8, whole=figure.is_whole)
    axes.set_xticks(across.values, across.labels)
    axes.set_xlabel(figure.x_label)
    axes.set_ylabel(_plain(figure.y_label), parse_math=False)
    axes.grid(alpha=0.25)
    _draw_references(axes, figure)
    if len(handles) > 1:
        # a name with a leading underscore would be left out
        legend = axes.legend(handles, [f" {_plain(line.name)}" for line, _ in named], fontsize=8)
        for text in legend.get_texts():
            text.set_parse_math(False)


def _draw_references(axes: Axes, figure: Figure) -> None:
    """Lines across, with names beside them that are never over one another."""
    low, high = figure.window
    seen = sorted((v, name) for name, v in figure.references.items() if low <= v <= high)
    wanted = [(v - low) / (high - low) for v, _ in seen]
    for (value, name), place in zip(seen, apart(wanted, LABEL_SHARE, 1.0), strict=True):
        axes.axhline(value, color=GREEN, linestyle="--", linewidth=0.8)
        axes.annotate(
            _plain(name, 16), (1.0, place), xycoords="axes fraction", xytext=(4, 0),
            textcoords="offset points", color=GREEN, va="center", fontsize=8, parse_math=False,
        )  # fmt: skip


def _coloured(figure: Figure) -> list[tuple[Line, str]]:
    plain = [line for line in figure.lines if not line.beside]
    beside = [line for line in figure.lines if line.beside]
    families = list(dict.fromkeys(line.family or str(k) for k, line in enumerate(plain)))
    of = {family: COLOURS[k % len(COLOURS)] for k, family in enumerate(families)}
    return [
        *((line, of[line.family or str(k)]) for k, line in enumerate(plain)),
        *((line, BESIDE[k % len(BESIDE)]) for k, line in enumerate(beside)),
    ]


def _draw_line(axes: Axes, figure: Figure, line: Line, colour: str) -> Line2D:
    x, y = list(line.x), list(line.y)
    width, order = (0.5, 1) if line.thin else (0.9, 2) if line.beside else (1.6, 3)
    points = max(len(each.y) for each in figure.lines)
    marker = (
        "." if points <= FEW and not (line.beside or line.thin) else ""
    )  # of one point there is no line
    (drawn,) = axes.plot(x, y, color=colour, linewidth=width, zorder=order, marker=marker)
    drawn.set_alpha(0.35 if line.thin else None)
    if line.between is not None:
        lower, upper = map(list, line.between)
        axes.fill_between(x, lower, upper, color=colour, alpha=0.1, linewidth=0)
    if line.error and not figure.log:
        pairs = list(zip(y, line.error, strict=False))
        below, above = [v - e for v, e in pairs], [v + e for v, e in pairs]
        axes.fill_between(x[: len(pairs)], below, above, color=colour, alpha=0.15, linewidth=0)
    marks = [*line.resumed, *([] if line.forked is None else [line.forked])]
    for at in marks if not line.beside else ():
        if math.isfinite(at):
            axes.axvline(at, color=GREY, linestyle=":", linewidth=0.8)
    return drawn


def _plain(text: str, length: int = NAME_LENGTH) -> str:
    """A name that cannot command anything, and does not fill the page."""
    shown = text if len(text) <= length else f"{text[: length - 1]}…"
    return " ".join(printable(shown).split())

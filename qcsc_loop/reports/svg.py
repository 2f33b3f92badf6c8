"""A figure as SVG: small, whole in itself, and good on any background.

It has no style sheet, no script, no identifiers and no font of its own, so that it can stand in a page,
in a Markdown image's address, or in a file that is sent to somebody.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from xml.sax.saxutils import escape

from qcsc_loop.printing import printable
from qcsc_loop.reports.figure import Figure, Line, run_figure
from qcsc_loop.reports.run import number
from qcsc_loop.reports.ticks import Ticks, decade_ticks, nice_ticks
from qcsc_loop.reports.view import View

BLUE, ORANGE, GREEN, GREY = "#2563eb", "#f0a35e", "#15803d", "#6b7280"
COLOURS = (BLUE, "#ea580c", "#059669", "#9333ea", "#db2777", "#0891b2", "#ca8a04", "#475569")
BESIDE = (ORANGE, "#a3b18a", "#c4a7e7", "#94a3b8")
POINTS = 2600  # of a figure in all, so that it stays below 100 kB
NAME_LENGTH = 40
MARKS = 40  # more lines of resumes than these are a grey surface
INSET = (
    5  # pixels between the frame and the first and the last value, for what is drawn around them
)
_LETTER = 6.2  # about the width of one, in pixels at the size of labels


def curve_svg(view: View, *, width: int = 720, height: int = 260, name: str | None = None) -> str:
    """A run's convergence, or another scalar of it.

    Args:
        width, height: in pixels.
        name: a scalar; None: the headline, with what belongs beside it.
    """
    return figure_svg(run_figure(view, name=name), width=width, height=height)


def figure_svg(figure: Figure, *, width: int = 720, height: int = 260) -> str:
    """A figure on a white card."""
    frame = _frame(figure, width, height)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" role="img" font-family="system-ui,sans-serif" '
        f'font-size="11" fill="{GREY}">',
        f"<title>{_text(figure.title, 200)}</title>",
        f'<rect width="{width}" height="{height}" rx="8" fill="#fff"/>',
        *_axes(figure, frame),
        *_legend(figure, frame),
        # what is outside a picture in a picture is not shown
        f'<svg x="{frame.left}" y="{frame.top}" width="{frame.width}" height="{frame.height}">',
        *_drawn_references(figure, frame),
        *_drawn_lines(figure, frame),
        "</svg>",
        *_reference_labels(figure, frame),
        *_emptiness(figure, frame),
        "</svg>",
    ]
    return "".join(parts)


@dataclass(frozen=True)
class _Frame:
    """Where in the picture values are."""

    left: int
    top: int
    width: int
    height: int
    x: tuple[float, float]
    y: tuple[float, float]
    log: bool
    x_ticks: Ticks
    y_ticks: Ticks

    def across(self, value: float) -> float:
        """Pixels from the frame's left edge."""
        low, high = self.x
        return INSET + (value - low) / (high - low) * (self.width - 2 * INSET)

    def down(self, value: float) -> float:
        """Pixels from the frame's upper edge; far outside it is just outside."""
        low, high = self.y
        if self.log:
            low, high, value = math.log10(low), math.log10(high), math.log10(value)
        place = (high - value) / (high - low) * self.height
        return min(max(place, -2.0 * self.height), 3.0 * self.height)


def _frame(figure: Figure, width: int, height: int) -> _Frame:
    low, high = figure.window
    top, bottom = 34, 34
    rows = max(2, (height - top - bottom) // 32)
    ticks = decade_ticks(low, high, rows) if figure.log else nice_ticks(low, high, rows)
    left = round(16 + _LETTER * max(map(len, ticks.labels), default=1))
    names = [len(_short(name, 16)) for name in figure.references]
    right = round(16 + _LETTER * max(names, default=0))
    inner = max(40, width - left - right)
    x_ticks = nice_ticks(*figure.span, max(2, inner // 90), whole=figure.is_whole)
    return _Frame(
        left, top, inner, max(30, height - top - bottom), figure.span, (low, high), figure.log,
        x_ticks, ticks,
    )  # fmt: skip


def _axes(figure: Figure, frame: _Frame) -> Iterator[str]:
    bottom = frame.top + frame.height
    grid = "".join(
        f"M{frame.left} {_at(frame.top + frame.down(v))}h{frame.width}"
        for v in frame.y_ticks.values
    )
    yield f'<path d="{grid}M{frame.left} {bottom}h{frame.width}" stroke="#e5e7eb" fill="none"/>'
    yield '<g text-anchor="end">'
    for value, label in zip(frame.y_ticks.values, frame.y_ticks.labels, strict=True):
        y = frame.top + frame.down(value) + 4
        yield f'<text x="{frame.left - 7}" y="{_at(y)}">{label}</text>'
    yield '</g><g text-anchor="middle">'
    for value, label in zip(frame.x_ticks.values, frame.x_ticks.labels, strict=True):
        x = frame.left + frame.across(value)
        yield f'<text x="{_at(x)}" y="{bottom + 15}">{label}</text>'
    middle = frame.left + frame.width / 2
    yield f'<text x="{_at(middle)}" y="{bottom + 29}">{_text(figure.x_label)}</text></g>'


def _legend(figure: Figure, frame: _Frame) -> Iterator[str]:
    x, end = float(frame.left), frame.left + frame.width
    if _several(figure):  # the lines' names are those of runs
        what = _short(figure.y_label, NAME_LENGTH)
        yield f'<text x="{end}" y="20" text-anchor="end">{_text(what)}</text>'
        end -= round(_LETTER * len(what)) + 14
    coloured = zip(figure.lines, _colours(figure), strict=True)
    lines = [(line, colour) for line, colour in coloured if not line.thin]
    for place, (line, colour) in enumerate(lines):
        label = _legend_label(figure, line)
        length = 18 + _LETTER * len(label)
        if x + length > end and place:
            yield f'<text x="{_at(x)}" y="20">and {len(lines) - place} more</text>'
            return
        yield f'<path d="M{_at(x)} 16h12" stroke="{colour}" stroke-width="3"/>'
        yield f'<text x="{_at(x + 17)}" y="20" fill="#374151">{_text(label, 90)}</text>'
        x += length + 14


def _several(figure: Figure) -> bool:
    return sum(not line.beside for line in figure.lines) > 1 or any(
        line.family for line in figure.lines
    )


def _legend_label(figure: Figure, line: Line) -> str:
    newest = next((v for v in reversed(line.y) if math.isfinite(v)), None)
    name = line.name if _several(figure) or line.beside else figure.y_label
    shown = _short(name, NAME_LENGTH)
    return shown if figure.log or newest is None else f"{shown} {number(newest)}"


def _drawn_references(figure: Figure, frame: _Frame) -> Iterator[str]:
    low, high = frame.y
    path = "".join(
        f"M0 {_at(frame.down(value))}h{frame.width}"
        for value in figure.references.values()
        if low <= value <= high
    )
    if path:
        yield f'<path d="{path}" stroke="{GREEN}" stroke-dasharray="5 4" fill="none"/>'


def _reference_labels(figure: Figure, frame: _Frame) -> Iterator[str]:
    """At their lines, but never over one another; with an arrow to those outside the window."""
    low, high = frame.y
    x = frame.left + frame.width + 6
    wanted = sorted(
        (frame.down(min(max(v, low), high)), n, v) for n, v in figure.references.items()
    )
    places = apart([y for y, _, _ in wanted], 12.0, frame.height)
    for (_, name, value), y in zip(wanted, places, strict=True):
        arrow = "↑ " if value > high else "↓ " if value < low else ""
        yield (
            f'<text x="{x}" y="{_at(frame.top + y + 4)}" fill="{GREEN}">'
            f"{arrow}{_text(name, 16)}</text>"
        )


def _emptiness(figure: Figure, frame: _Frame) -> Iterator[str]:
    if not any(math.isfinite(value) for line in figure.lines for value in line.y):
        x, y = frame.left + frame.width // 2, frame.top + frame.height // 2
        yield f'<text x="{x}" y="{y}" text-anchor="middle" font-size="13">nothing to show yet</text>'


def apart(wanted: Sequence[float], least: float, most: float) -> list[float]:
    """Places near those that are wanted, in order, with a least distance."""
    places: list[float] = []
    for place in wanted:
        places.append(max(place, places[-1] + least) if places else place)
    beyond = max(0.0, places[-1] - most) if places else 0.0
    for index in range(len(places) - 1, -1, -1):
        room = places[index + 1] - least if index + 1 < len(places) else most
        places[index] = min(places[index], room) if beyond else places[index]
    return places


def _colours(figure: Figure) -> list[str]:
    plain, beside = iter(range(len(figure.lines))), iter(range(len(figure.lines)))
    families: dict[str, str] = {}
    found: list[str] = []
    for line in figure.lines:
        if line.family in families:
            found.append(families[line.family])
            continue
        several = (BESIDE, beside) if line.beside else (COLOURS, plain)
        found.append(several[0][next(several[1]) % len(several[0])])
        if line.family:
            families[line.family] = found[-1]
    return found


def _drawn_lines(figure: Figure, frame: _Frame) -> Iterator[str]:
    columns = min(frame.width, max(60, POINTS // (2 * max(1, _paths(figure)))))
    # those behind others come last, and are drawn first
    drawn = sorted(zip(figure.lines, _colours(figure), strict=True), key=lambda pair: pair[0].thin)
    alone = not _several(figure)
    for line, colour in reversed(drawn):  # what counts is on top
        if line.error and not figure.log:
            yield from _band(line, colour, frame, columns)
        if line.between is not None:
            yield from _between(line, colour, frame, columns)
        if not (line.beside or line.thin):
            yield from _resumes(line, GREY if alone else colour, frame, alone=alone)
        path = "".join(_path(piece) for piece in _pieces(line.x, line.y, frame, columns))
        width = "0.8" if line.thin else "1.2" if line.beside else "2"
        pale = ' stroke-opacity="0.35"' if line.thin else ""
        if path:
            yield (
                f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="{width}"{pale} '
                'stroke-linejoin="round" stroke-linecap="round"/>'
            )
        if line.best is not None and alone:
            x, y = frame.across(line.x[line.best]), frame.down(line.y[line.best])
            yield (
                f'<circle cx="{_at(x)}" cy="{_at(y)}" r="3.5" fill="#fff" stroke="{colour}" '
                'stroke-width="1.5"/>'
            )


def _paths(figure: Figure) -> int:
    return sum(1 + 2 * bool(line.error or line.between) for line in figure.lines)


def _band(line: Line, colour: str, frame: _Frame, columns: int) -> Iterator[str]:
    """From one standard error below to one above."""
    known = [
        (x, y, e)
        for x, y, e in zip(line.x, line.y, line.error, strict=False)
        if math.isfinite(y) and math.isfinite(e)
    ]
    if not any(e > 0 for _, _, e in known):
        return
    x = [x for x, _, _ in known]
    upper = _pieces(x, [y + e for _, y, e in known], frame, columns)
    lower = _pieces(x, [y - e for _, y, e in known], frame, columns)
    for above, below in zip(upper, lower, strict=True):
        yield (
            f'<path d="{_path([*above, *reversed(below)])}z" fill="{colour}" fill-opacity="0.15"/>'
        )


def _between(line: Line, colour: str, frame: _Frame, columns: int) -> Iterator[str]:
    """From the lowest to the highest of what a line is the middle of."""
    assert line.between is not None
    lower, upper = (_pieces(line.x, values, frame, columns) for values in line.between)
    for above, below in zip(upper, lower, strict=False):
        yield (
            f'<path d="{_path([*above, *reversed(below)])}z" fill="{colour}" fill-opacity="0.1"/>'
        )


def _resumes(line: Line, colour: str, frame: _Frame, *, alone: bool) -> Iterator[str]:
    """Where another driver went on, and a fork: lines for one run, small marks for several."""
    shown = [*line.resumed[-MARKS:], *([] if line.forked is None else [line.forked])]
    top, height = (0, frame.height) if alone else (frame.height - 7, 7)
    path = "".join(f"M{_at(frame.across(x))} {top}v{height}" for x in shown)
    if path:
        dashes = ' stroke-dasharray="2 3"' if alone else ' stroke-width="2"'
        yield f'<path d="{path}" stroke="{colour}"{dashes} fill="none"/>'
    if alone and line.resumed:
        times = f" {len(line.resumed)} times" if len(line.resumed) > 1 else ""
        yield _mark_label(f"resumed{times}", shown[0], frame, 10)
    if alone and line.forked is not None:
        yield _mark_label("forked", line.forked, frame, 22)


def _mark_label(words: str, x: float, frame: _Frame, y: int) -> str:
    across = frame.across(x)
    anchor, aside = ("end", -4) if across > frame.width - 60 else ("start", 4)
    place = f'x="{_at(across + aside)}" y="{y}"'
    return f'<text {place} font-size="10" text-anchor="{anchor}">{words}</text>'


Point = tuple[float, float]


def _pieces(
    x: Sequence[float], y: Sequence[float], frame: _Frame, columns: int
) -> list[list[Point]]:
    """A line's points in pixels, cut at gaps; of many in one column the lowest and the highest."""
    pieces: list[list[Point]] = []
    piece: list[Point] = []
    for across, value in zip(x, y, strict=False):
        if math.isfinite(value) and math.isfinite(across):
            piece.append((frame.across(across), frame.down(value)))
        elif piece:
            pieces.append(piece)
            piece = []
    if piece:
        pieces.append(piece)
    many = sum(map(len, pieces)) > 2 * columns
    return [_thinned(piece, frame.width / columns) for piece in pieces] if many else pieces


def _thinned(piece: list[Point], column: float) -> list[Point]:
    found: list[Point] = []
    low = high = piece[0]
    place = math.floor(low[0] / column)
    for point in piece:
        if math.floor(point[0] / column) != place:
            found += _ends(low, high)
            low = high = point
            place = math.floor(point[0] / column)
        low, high = min(low, point, key=_depth), max(high, point, key=_depth)
    return [*found, *_ends(low, high)]


def _depth(point: Point) -> float:
    return point[1]


def _ends(low: Point, high: Point) -> list[Point]:
    """The two in order; one if they are the same."""
    return [low] if low == high else sorted((low, high))


def _path(points: Sequence[Point]) -> str:
    """In tenths of pixels, each from the one before it: the shortest way to write a path."""
    tenths = [(round(10 * x), round(10 * y)) for x, y in points]
    if len(tenths) == 1:  # a point between two gaps: a line of no length with a round end
        return f"M{_tenth(tenths[0][0])} {_tenth(tenths[0][1])}h0"
    steps = [
        f"{_tenth(x - before_x)} {_tenth(y - before_y)}"
        for (before_x, before_y), (x, y) in pairwise(tenths)
    ]
    return f"M{_tenth(tenths[0][0])} {_tenth(tenths[0][1])}l{' '.join(steps)}"


def _at(place: float) -> str:
    return _tenth(round(10 * place))


def _tenth(tenths: int) -> str:
    whole, rest = divmod(abs(tenths), 10)
    text = f"{whole}.{rest}" if rest else str(whole)
    return f"-{text}" if tenths < 0 else text


def _short(name: str, length: int) -> str:
    return name if len(name) <= length else f"{name[: length - 1]}…"


def _text(text: str, length: int = NAME_LENGTH) -> str:
    """As XML can hold it."""
    plain = printable(_short(text, length)).replace("\ufffe", "?").replace("\uffff", "?")
    return escape(plain)

"""A curve in the dots of braille letters, or in ASCII: values to lines, for any terminal.

The height is for most of the values: the first ones of a run that converges would press all others
flat, and leave through the upper edge instead.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Literal

from rich.cells import cell_len

from qcsc_loop.printing import printable

Role = Literal["", "axis", "curve", "beside", "reference", "mark"]
Line = list[tuple[str, Role]]

CLIPPED_FROM = 8  # values: fewer are all shown
QUANTILE, FENCE = 0.1, 0.5  # the share that may be cut off at an end, if it is far beyond the rest
SAMPLED = 2000  # values that quantiles are taken from
# a reference, or the last value, is shown if it is within so many heights of the curve: in many rows,
# and where each counts
FAR, FAR_IN_FEW_ROWS, FEW_ROWS = 3.0, 1.5, 12
LEAST_COLUMNS, LEAST_ROWS = 8, 2
LABEL_EVERY = 3  # rows
LETTERS_A_SEAM = 6  # a chain has a driver for each iteration
EXACT_DIGITS = 15

_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))


@dataclass(frozen=True, kw_only=True)
class Curves:
    """What is drawn.

    Attributes:
        values: the curve; NaN and infinity leave a gap.
        beside: other curves, of as many values.
        positions: where each value stands from left to right, in ascending order, such as its
            iteration; empty: 0, 1, 2, ...
        references: values by name, drawn as lines across.
        marks: indices of values before which there is a seam, such as a resume.
        log: whether the height is logarithmic; what is not above 0 leaves a gap.
    """

    values: Sequence[float]
    beside: Sequence[Sequence[float]] = ()
    positions: Sequence[float] = ()
    references: Mapping[str, float] = field(default_factory=dict[str, float])
    marks: Sequence[int] = ()
    log: bool = False


def braille_chart(
    columns: Sequence[float],
    *,
    width: int,
    height: int,
    references: Mapping[str, float],
    marks: Sequence[int],
    beside: Sequence[Sequence[float]] = (),
    positions: Sequence[float] = (),
    log: bool = False,
    ascii_only: bool = False,
) -> list[str]:
    """A curve as lines of text, with its axes; see `Curves`. No line where there is nothing to draw.

    Args:
        columns: the values, from left to right.
        width: characters that a line has at most.
        height: lines, the lower axis included.
        ascii_only: for terminals that know nothing else.
    """
    curves = Curves(
        values=columns,
        beside=beside,
        positions=positions,
        references=references,
        marks=marks,
        log=log,
    )
    lines = draw(curves, width=width, height=height, ascii_only=ascii_only)
    return ["".join(text for text, _ in line).rstrip() for line in lines]


def draw(curves: Curves, *, width: int, height: int, ascii_only: bool = False) -> list[Line]:
    """The same in pieces, each with what it is, for who has colours."""
    names = {_plain(name, ascii_only): value for name, value in curves.references.items()}
    curves = replace(curves, references=names)
    scaled = _logarithmic(curves) if curves.log else curves
    found = _range(scaled, height - 1)
    if found is None:
        return []
    drawing = _Drawing(scaled, found, width, height - 1, ascii_only)
    if drawing.width < LEAST_COLUMNS or drawing.height < LEAST_ROWS:
        return []
    return drawing.lines()


# the height


@dataclass(frozen=True)
class _Range:
    """What the height stands for.

    Attributes:
        ticks: the values that are named beside it, with how they are written.
        outside: references that are not in it, by name.
    """

    low: float
    high: float
    ticks: dict[float, str]
    inside: dict[str, float]
    outside: dict[str, float]


def _range(curves: Curves, rows: int) -> _Range | None:
    """None where there is no value."""
    every = [v for each in (curves.values, *curves.beside) for v in each if math.isfinite(v)]
    if not any(map(math.isfinite, curves.values)) or rows < LEAST_ROWS:
        return None
    low, high = _bulk(every)
    last = next(v for v in reversed(curves.values) if math.isfinite(v))
    far = FAR if rows >= FEW_ROWS else FAR_IN_FEW_ROWS
    low, high = _with_near(low, high, [last], far * (high - low))
    known = {n: v for n, v in curves.references.items() if math.isfinite(v)}
    low, high = _with_near(low, high, list(known.values()), far * (high - low))
    inside = {n: v for n, v in known.items() if low <= v <= high}
    outside = {n: v for n, v in known.items() if n not in inside}
    least = max(abs(low), abs(high), 1e-300) * 10.0**-EXACT_DIGITS
    if high - low <= 16 * least:  # no two values that a double can tell apart, or one
        around = abs(low) * 0.01 or 1.0
        label = _in_digits(low, 0) if curves.log else f"{low:.9g}"
        return _Range(low - around, high + around, {low: label}, inside, outside)
    margin = (high - low) * 0.02
    ticks = _ticks(low, high, max(2, rows // LABEL_EVERY), log=curves.log)
    return _Range(low - margin, high + margin, ticks, inside, outside)


def _bulk(every: Sequence[float]) -> tuple[float, float]:
    """Where most of the values are; all of them, where none is far from the rest."""
    low, high = min(every), max(every)
    if len(every) < CLIPPED_FROM:
        return low, high
    some = sorted(every[:: max(1, len(every) // SAMPLED)])
    cut = int(len(some) * QUANTILE)
    lower, upper = some[cut], some[-1 - cut]
    fence = (upper - lower) * FENCE
    if not fence:
        return low, high
    return max(low, lower - fence), min(high, upper + fence)


def _with_near(low: float, high: float, others: Sequence[float], far: float) -> tuple[float, float]:
    """The range with those values that are not far from it; far is 0 where it is one value."""
    least, most = (low - far, high + far) if far else (-math.inf, math.inf)
    near = [value for value in others if least <= value <= most]
    return min([low, *near]), max([high, *near])


def _ticks(low: float, high: float, wanted: int, *, log: bool) -> dict[float, str]:
    """Round values in a range, with their names."""
    step = _round_step((high - low) / wanted)
    if log:
        step = max(1.0, round(step))
    elif len(_multiples(low, high, step)) < 2:
        step = _round_step(step * 0.4)
    found = _multiples(low, high, step)
    if log:
        return {value: f"1e{round(value):+03d}" for value in found} or {
            value: f"{10.0**value:.3g}" for value in (low, high)
        }
    write = _writer(step, max(abs(low), abs(high)))
    return {value: write(value) for value in found}


def _round_step(least: float) -> float:
    """1, 2 or 5, and zeros: the first that is not less."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least * 0.999)


def _multiples(low: float, high: float, step: float) -> list[float]:
    return [n * step for n in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _writer(step: float, largest: float) -> Callable[[float], str]:
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    if largest < 1e7 and decimals <= EXACT_DIGITS:
        return lambda value: _no_minus_zero(f"{value:.{decimals}f}")
    digits = max(0, math.floor(math.log10(largest)) - math.floor(math.log10(step) + 1e-9))
    return lambda value: _no_minus_zero(_in_digits(value, min(digits, EXACT_DIGITS)))


def _in_digits(value: float, digits: int) -> str:
    return f"{value:.{digits}e}"


def _no_minus_zero(text: str) -> str:
    return text.removeprefix("-") if not text.strip("-0.e+") else text


def _logarithmic(curves: Curves) -> Curves:
    def log(values: Sequence[float]) -> list[float]:
        return [math.log10(v) if math.isfinite(v) and v > 0 else math.nan for v in values]

    return replace(
        curves,
        values=log(curves.values),
        beside=[log(each) for each in curves.beside],
        references={n: math.log10(v) for n, v in curves.references.items() if v > 0},
    )


# the dots


class _Raster:
    """Dots that are set, in cells of so many dots."""

    def __init__(self, width: int, height: int, dots: tuple[int, int]) -> None:
        self._across, self._down = dots
        self.width, self.height = width * self._across, height * self._down
        self._bits: dict[tuple[int, int], int] = {}

    def set(self, x: int, y: int) -> None:
        """Sets a dot; one that is outside is not seen."""
        if 0 <= x < self.width and 0 <= y < self.height:
            cell = y // self._down, x // self._across
            bit = _DOTS[y % self._down][x % self._across]
            self._bits[cell] = self._bits.get(cell, 0) | bit

    def join(self, x0: int, y0: int, x1: int, y1: int) -> None:
        """Sets the dots on the way from one to another."""
        steps = max(abs(x1 - x0), abs(y1 - y0), 1)
        for step in range(steps + 1):
            self.set(
                x0 + round((x1 - x0) * step / steps),
                y0 + round((y1 - y0) * step / steps),
            )

    def bits(self, row: int, column: int) -> int:
        """The dots of one cell."""
        return self._bits.get((row, column), 0)


@dataclass(frozen=True)
class _Span:
    """The values that fall on one column of dots."""

    x: int
    first: float
    lowest: float
    highest: float
    last: float


class _Drawing:
    """Curves on their way to lines."""

    def __init__(
        self, curves: Curves, shown: _Range, width: int, rows: int, ascii_only: bool
    ) -> None:
        self._curves, self._range, self._ascii = curves, shown, ascii_only
        names = [*shown.ticks.values(), *(self._named(v) for v in shown.inside.values())]
        self._margin = max(map(len, names), default=0) + 1
        self.width, self.height = width - self._margin, rows
        self._dots = (1, 1) if ascii_only else (2, 4)
        self._positions = curves.positions or range(len(curves.values))
        self._seams = self._find_seams()

    def lines(self) -> list[Line]:
        """All of them, the lower axis last."""
        layers: dict[Role, _Raster] = {
            "curve": self._raster(self._curves.values),
            "beside": self._raster(*self._curves.beside),
        }
        labels = self._labels()
        rows = [
            [
                (f"{labels.get(row, ''):>{self._margin - 1}} ", "axis"),
                *_joined(self._cell(layers, row, column) for column in range(self.width)),
            ]
            for row in range(self.height)
        ]
        for name, value in self._range.inside.items():
            self._write_name(rows[self._row(value)], name)
        return [*rows, self._lower_axis()]

    def _raster(self, *curves: Sequence[float]) -> _Raster:
        raster = _Raster(self.width, self.height, self._dots)
        for values in curves:
            for before, after in pairwise([None, *self._spans(values, raster.width), None]):
                if before is not None and after is not None:
                    y0, y1 = self._y(raster, before.last), self._y(raster, after.first)
                    raster.join(before.x, y0, after.x, y1)
                elif before is not None:
                    raster.set(before.x, self._y(raster, before.last))
                if after is not None:
                    lowest, highest = self._y(raster, after.lowest), self._y(raster, after.highest)
                    raster.join(after.x, lowest, after.x, highest)
        return raster

    def _spans(self, values: Sequence[float], width: int) -> Iterator[_Span | None]:
        """A span for each column of dots that has values; None where the curve is broken."""
        start, ended = 0, len(values)
        for x in range(width):
            end = bisect_left(self._positions, self._edge(x, width), start, ended)
            if x == width - 1:
                end = ended
            if end > start:
                here = [v for v in values[start:end] if math.isfinite(v)]
                yield _Span(x, here[0], min(here), max(here), here[-1]) if here else None
            start = end

    def _edge(self, x: int, width: int) -> float:
        """The position at which the dots' column after this one begins."""
        first, last = self._positions[0], self._positions[-1]
        return first + (x + 0.5) * ((last - first) or 1) / max(1, width - 1)

    def _y(self, raster: _Raster, value: float) -> int:
        """The row of dots; just outside for all that is beyond."""
        share = (self._range.high - value) / (self._range.high - self._range.low)
        return max(-1, min(raster.height, round(share * (raster.height - 1))))

    def _row(self, value: float) -> int:
        return self._y(_Raster(self.width, self.height, self._dots), value) // self._dots[1]

    # letters

    def _cell(self, layers: Mapping[Role, _Raster], row: int, column: int) -> tuple[str, Role]:
        bits: dict[Role, int] = {r: layer.bits(row, column) for r, layer in layers.items()}
        role: Role | None = next((role for role, set_ in bits.items() if set_), None)
        if role is not None:
            letters: dict[Role, str] = {"curve": "*", "beside": "."}
            return (letters[role] if self._ascii else _letter(*bits.values())), role
        if dots := self._reference_bits(row):
            return ("-" if self._ascii else _letter(dots)), "reference"
        if column in self._seams:
            return ("|" if self._ascii else "┊"), "mark"
        return " ", ""

    def _reference_bits(self, row: int) -> int:
        raster = _Raster(1, self.height, self._dots)
        for value in self._range.inside.values():
            for x in range(self._dots[0]):
                raster.set(x, self._y(raster, value))
        return raster.bits(row, 0)

    def _find_seams(self) -> set[int]:
        """The columns of letters in which there are marks; none where there is a mark all over."""
        first, last = self._positions[0], self._positions[-1]
        if first == last:
            return set()
        count = len(self._curves.values)
        places = [self._positions[mark] for mark in self._curves.marks if 0 < mark < count]
        found = {int((at - first) / (last - first) * (self.width - 1)) for at in places}
        return found if len(found) <= self.width // LETTERS_A_SEAM else set()

    def _named(self, value: float) -> str:
        return f"{10.0**value:.4g}" if self._curves.log else _as_ticks(value, self._range.ticks)

    def _labels(self) -> dict[int, str]:
        """By row; a reference's goes over a round value's."""
        values = {**self._range.ticks, **{v: self._named(v) for v in self._range.inside.values()}}
        return {self._row(v): text for v, text in values.items() if self._fits(v)}

    def _fits(self, value: float) -> bool:
        return self._range.low <= value <= self._range.high

    @staticmethod
    def _write_name(line: Line, name: str) -> None:
        """Writes a reference's name over its line, as far to the right as there is room."""
        text = f" {name}"
        for at in range(len(line) - 1, -1, -1):
            piece, role = line[at]
            if role == "reference" and len(piece) > cell_len(text):
                line[at : at + 1] = [(piece[: -cell_len(text)], role), (text, role)]
                return

    def _lower_axis(self) -> Line:
        first, last = self._positions[0], self._positions[-1]
        arrow = {True: "below" if self._ascii else "↓", False: "above" if self._ascii else "↑"}
        far = "  ".join(
            f"{name} {self._named(value)} {arrow[value < self._range.low]}"
            for name, value in self._range.outside.items()
        )
        left, right = _position(first), _position(last)
        if first == last:
            right = ""
        space = self.width - len(left) - len(right)
        at = _middle(self._positions)
        middle = far or (_position(at) if len(self._positions) > 2 else "")
        if cell_len(middle) + 2 > space:
            middle = ""
        share = 0.5 if far or first == last else (at - first) / (last - first)
        column = int(share * (self.width - 1) - (cell_len(middle) - 1) / 2)
        before = max(1, column - len(left))
        before = min(before, max(0, space - cell_len(middle)))
        after = max(0, space - before - cell_len(middle))
        return [
            (f"{'':>{self._margin}}{left}{'':>{before}}", "axis"),
            (middle, "reference" if far else "axis"),
            (f"{'':>{after}}{right}", "axis"),
        ]


def _joined(cells: Iterator[tuple[str, Role]]) -> Iterator[tuple[str, Role]]:
    """Neighbours of one kind as one piece."""
    text = ""
    kind: Role = ""
    for letter, role in cells:
        if role != kind and text:
            yield text, kind
            text = ""
        text, kind = text + letter, role
    yield text, kind


def _plain(name: str, ascii_only: bool) -> str:
    """Somebody's word, in one line and letters that can be shown."""
    text = " ".join(printable(name).split())
    return text.encode("ascii", "backslashreplace").decode() if ascii_only else text


def _letter(*bits: int) -> str:
    together = 0
    for each in bits:
        together |= each
    return chr(0x2800 + together)


def _as_ticks(value: float, ticks: Mapping[float, str]) -> str:
    """A value with two more decimals than the ticks have."""
    decimals = max((len(t.partition(".")[2]) for t in ticks.values() if "e" not in t), default=-1)
    scientific = decimals < 0 or any("e" in text for text in ticks.values())
    return f"{value:.6g}" if scientific else f"{value:.{min(decimals + 2, EXACT_DIGITS)}f}"


def _middle(positions: Sequence[float]) -> float:
    middle = (positions[0] + positions[-1]) / 2
    whole = isinstance(positions[0], int) and isinstance(positions[-1], int)
    return int(middle) if whole else middle


def _position(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.4g}"

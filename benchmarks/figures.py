"""What a benchmark reports: a measured value beside a peer's or a floor's, and the target."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from benchmarks.table import record

MB = 1_000_000


@dataclass(frozen=True)
class Target:
    """What was aimed at, in words, and whether it was met."""

    text: str
    met: bool


@dataclass(frozen=True)
class Figure:
    """One line of a table.

    Attributes:
        what: what was measured, e.g. "DirectoryStore".
        value: the median, in `unit`.
        beside: the peer or floor that was measured in the same run.
        floor: its median, in the same unit.
    """

    what: str
    value: float
    unit: str
    beside: str
    floor: float
    target: Target | None = None

    @property
    def ratio(self) -> float:
        """The value in units of the floor; NaN if the floor is zero."""
        return self.value / self.floor if self.floor else float("nan")


def at_most(limit: float, measured: float, unit: str) -> Target:
    """A target that is met by small values; `unit` begins with its space, if it has one."""
    return Target(f"<= {limit:g}{unit}", measured <= limit)


def at_least(limit: float, measured: float, unit: str) -> Target:
    """A target that is met by large values."""
    return Target(f">= {limit:g}{unit}", measured >= limit)


def medians(repeats: int, measures: Mapping[str, Callable[[], float]]) -> dict[str, float]:
    """The median of each measure, by name.

    They take turns (A B A B): a busy spell of the machine meets all of them alike.
    """
    rounds = [{name: measure() for name, measure in measures.items()} for _ in range(repeats)]
    return {name: statistics.median(each[name] for each in rounds) for name in measures}


def seconds(act: Callable[[], object]) -> float:
    """How long one call takes."""
    started = time.perf_counter()
    act()
    return time.perf_counter() - started


def show(title: str, figures: Sequence[Figure]) -> None:
    """Prints the figures as a table, and records them where that is asked for."""
    record(title, [_facts(figure) for figure in figures])
    table = Table(
        "measured", "", "beside", "", "ratio", "target", title=title, title_justify="left"
    )
    for number in (1, 3, 4):
        table.columns[number].justify = "right"
    for figure in figures:
        table.add_row(
            figure.what,
            _quantity(figure.value, figure.unit),
            figure.beside,
            _quantity(figure.floor, figure.unit),
            f"{figure.ratio:.3g}",
            _verdict(figure.target),
        )
    console = Console()
    if not console.is_terminal:  # a log has no width to respect
        console.width = 140
    console.print(table)


def _facts(figure: Figure) -> dict[str, object]:
    target = figure.target
    return {
        "what": figure.what,
        "value": figure.value,
        "unit": figure.unit,
        "beside": figure.beside,
        "floor": figure.floor,
        "ratio": figure.ratio,
        "target": target.text if target else "",
        "met": bool(target and target.met),
    }


def _quantity(value: float, unit: str) -> str:
    return f"{value:.3g} {unit}" if value < 1000 else f"{value:.0f} {unit}"


def _verdict(target: Target | None) -> str:
    if target is None:
        return ""
    return f"{target.text}: " + ("[green]met[/]" if target.met else "[yellow]missed[/]")

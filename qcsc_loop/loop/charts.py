"""How a run is looked at, read off its states."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from operator import attrgetter

from pydantic import TypeAdapter, ValidationError

from qcsc_loop.concurrency.own_exits import exits_as_errors, raised_by_code
from qcsc_loop.events import Event, Trouble
from qcsc_loop.store.live import ChartRecord
from qcsc_loop.values.chart import Chart
from qcsc_loop.values.record import State

_VALUES = TypeAdapter(dict[str, float])


def best_so_far(
    chart: Chart, iteration: int, scalars: Mapping[str, float], before: tuple[int, float] | None
) -> tuple[int, float] | None:
    """The iteration whose headline is the best by now, and its value; of equal ones the first."""
    value = scalars.get(chart.headline or next(iter(scalars), ""), math.nan)
    sign = {"lower": 1.0, "higher": -1.0}.get(chart.better)
    if sign is None or not math.isfinite(value):
        return before
    return (iteration, value) if before is None or sign * value < sign * before[1] else before


class Charts:
    """The charts of one run's states; what is wrong with them is told once, and fails nothing."""

    def __init__(self, tell: Callable[[Event], None]) -> None:
        self._tell, self._told = tell, set[str]()

    def read(self, state: State, scalars: Mapping[str, float]) -> ChartRecord:
        """The chart of a state that has these scalars."""
        chart = type(state).chart
        return ChartRecord(
            headline=self._scalar("headline", chart.headline, scalars) or next(iter(scalars), ""),
            better=chart.better,
            unit=chart.unit,
            beside=tuple(n for n in chart.beside if self._scalar("beside", n, scalars)),
            error=self._scalar("error", chart.error, scalars),
            references=self._references(state, chart),
        )

    def _scalar(self, role: str, name: str, scalars: Mapping[str, float]) -> str:
        """The name, if there is such a scalar."""
        if not name or name in scalars:
            return name
        there = ", ".join(scalars) or "none"
        self._say(f"chart.{role}: {name!r} is no scalar of the state; its scalars: {there}")
        return ""

    def _references(self, state: State, chart: Chart) -> dict[str, float]:
        if not chart.references:
            return {}
        try:
            with exits_as_errors():
                found = _VALUES.validate_python(attrgetter(chart.references)(state))
            return {name: value for name, value in found.items() if not math.isnan(value)}
        except ValidationError as error:
            why = error.errors(include_url=False)[0]["msg"]
        except Exception as error:  # whatever a property of the algorithm raises
            why = f"{type(raised_by_code(error)).__name__}: {raised_by_code(error)}"
        self._say(f"chart.references: {chart.references!r} is no mapping of name to number: {why}")
        return {}

    def _say(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            self._tell(Trouble(text))

"""A run as lines that come as it goes on: for a pipe, a file, or a terminal that is none."""

from __future__ import annotations

import math
from collections.abc import Iterator

from qcsc_loop.reports.columns import Columns
from qcsc_loop.reports.looking import Look
from qcsc_loop.reports.phrases import exact, one_line
from qcsc_loop.reports.run import scalars_line
from qcsc_loop.reports.view import View

MOST_LINES = 10  # of one look: a fast run must not write a log of megabytes


class PlainWatch:
    """What is new in each look at one run.

    Args:
        name: begin lines with the run's id, where there are several.
    """

    def __init__(self, *, name: bool) -> None:
        self._name, self._through, self._status = name, -1, ""
        self._jobs: dict[str, str] = {}
        self._warned = 0

    def news(self, look: Look) -> list[str]:
        """A line each."""
        before = f"{look.view.run_id}: " if self._name else ""
        return [one_line(f"{before}{line}") for line in self._news(look)]

    def _news(self, look: Look) -> Iterator[str]:
        view = look.view
        if view.status != self._status:
            self._status = view.status
            yield f"run {view.run_id}: {view.algorithm}, {view.status}"
        yield from self._iterations(look)
        live = view.live
        if live is None:
            return
        for warning in live.warnings[max(0, len(live.warnings) - (live.warned - self._warned)) :]:
            yield f"warning: {warning}"
        self._warned = live.warned
        states = {}
        for job in live.jobs:
            why = f" ({job.reason})" if job.reason else ""
            states[job.key] = f"{job.what}, {job.site} job {job.job_id or '?'}: {job.state}{why}"
        for key, text in states.items():
            if self._jobs.get(key) != text:
                yield f"iteration {live.iteration}: {text}"
        self._jobs = states

    def _iterations(self, look: Look) -> Iterator[str]:
        first = self._through < 0
        last = look.view.history.tail(MOST_LINES + 1)
        rows = [row for row, k in enumerate(last.iterations) if k > self._through]
        if last.iterations and last.iterations[-1] < self._through:  # an older checkpoint
            rows = [len(last) - 1]
        took = last.took
        for row in rows[-1 if first else -MOST_LINES :]:
            seconds = f" ({took[row]:.2f} s)" if math.isfinite(took[row]) else ""
            yield f"iteration {last.iterations[row]}: {_scalars(look.view, last, row)}{seconds}"
        if last.iterations:
            self._through = last.iterations[-1]


def _scalars(view: View, history: Columns, row: int) -> str:
    """The headline first, with all its digits."""
    values = history.row(row)
    name = view.chart.headline
    first = [f"{name} = {exact(values.pop(name))}"] if name in values else []
    return ", ".join([*first, *([scalars_line(values)] if values else [])])

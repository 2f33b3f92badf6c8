"""Views of runs that need no run: as many iterations, and as odd values, as a test asks for."""

from __future__ import annotations

import math
import random
from typing import Any

from qcsc_loop.reports.columns import Columns
from qcsc_loop.reports.status import RunStatus
from qcsc_loop.reports.view import View
from qcsc_loop.store.live import ChartRecord

REFERENCES = {"MP2": -76.1117, "CCSD": -76.1184, "FCI": -76.1199}


def energy_view(iterations: int, *, resumed: int = 0, run_id: str = "water", **more: Any) -> View:
    """A run whose energy falls, with a noisy one beside it.

    Args:
        resumed: the iteration at which a second driver went on; 0: none did.
    """
    chance = random.Random(iterations)
    current = [-76.1 + 0.3 * math.exp(-k) + chance.gauss(0, 2e-3) for k in range(iterations)]
    energy, best = [], math.inf
    for value in current:
        best = min(best, value)
        energy.append(best)
    error = [1e-3] * iterations
    return View(
        run_id,
        "/store/water",
        RunStatus.RUNNING,
        chart=ChartRecord(
            headline="energy",
            better="lower",
            unit="hartree",
            beside=("current",),
            error="error",
            references=more.pop("references", REFERENCES),
        ),
        history=Columns(
            iterations=list(range(1, iterations + 1)),
            epochs=[1 if not resumed or k < resumed else 2 for k in range(1, iterations + 1)],
            committed=[1e9 + 2.0 * k for k in range(iterations)],
            scalars={"energy": energy, "current": current, "error": error} | more,
            usage={"shots": [1000.0] * iterations},
        ),
    )


def values_view(values: list[float], name: str = "value", **more: Any) -> View:
    """A run with one scalar."""
    return View(
        "values",
        "/store/values",
        RunStatus.CONVERGED,
        chart=ChartRecord(headline=name, **more),
        history=Columns(
            iterations=list(range(1, len(values) + 1)),
            epochs=[1] * len(values),
            committed=[1e9 + k for k in range(len(values))],
            scalars={name: values},
        ),
    )

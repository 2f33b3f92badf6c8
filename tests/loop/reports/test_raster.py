"""A figure by matplotlib: any name and any value is a picture, and none is taken for mathematics."""

from __future__ import annotations

import math

import pytest

from loop.reports.views import energy_view, values_view
from qcsc_loop.reports.figure import run_figure, runs_figure

pytest.importorskip("matplotlib", reason="the extra `plot` is not installed")

from qcsc_loop.reports.raster import draw


@pytest.mark.parametrize("log", [False, True])
def test_a_run_is_a_picture(log: bool) -> None:
    figure = run_figure(energy_view(30, resumed=10), log=log)
    assert draw(figure, "png").startswith(b"\x89PNG")


def test_names_that_are_no_mathematics_are_a_legend() -> None:
    views = [energy_view(5, run_id=name) for name in ("_hidden", r"$\frac{$", "\x1b[2J")]
    assert draw(runs_figure(views), "pdf").startswith(b"%PDF")


@pytest.mark.parametrize("values", [[], [1.0], [math.nan, math.inf], [1e308, -1e308], [0.0, 0.0]])
def test_any_values_are_a_picture(values: list[float]) -> None:
    assert draw(run_figure(values_view(values, r"$x_{")), "png").startswith(b"\x89PNG")

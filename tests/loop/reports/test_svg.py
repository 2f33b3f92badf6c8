"""A run as a picture: what is seen on it, how large it is, and what no picture may break at."""

from __future__ import annotations

import math
import re
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest

from loop.reports.stored_runs import StoredRun, energies
from loop.reports.views import energy_view, values_view
from qcsc_loop.reports.figure import run_figure, runs_figure
from qcsc_loop.reports.svg import curve_svg, figure_svg
from qcsc_loop.reports.view import RunReader
from qcsc_loop.store.records import ForkedFrom

SVG = "{http://www.w3.org/2000/svg}"


def texts(svg: str) -> list[str]:
    """All that can be read on it; raises where it is no XML."""
    return [element.text or "" for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def places(svg: str) -> list[float]:
    """Every number of every path."""
    paths = [element.get("d", "") for element in ElementTree.fromstring(svg).iter(f"{SVG}path")]
    return [
        float(n) for path in paths for n in re.findall(r"-?[0-9.]+(?:e[+-]?\d+)?|nan|inf", path)
    ]


def test_a_curve_says_its_values_references_and_resumes() -> None:
    shown = texts(curve_svg(energy_view(109, resumed=60)))
    newest = energy_view(109).headline
    assert f"energy (hartree) {newest:.9g}" in shown
    assert any(text.startswith("current ") for text in shown)
    assert {"MP2", "CCSD", "FCI", "resumed", "iteration", "100", "-76.11"} <= set(shown)


def test_where_a_fork_begins_is_no_resume(tmp_path: Path) -> None:
    parent = ForkedFrom(run_id="parent", uid="u", iteration=6, state_sha256="0")
    run = StoredRun(tmp_path, forked_from=parent).driver(1).driver(2)
    run.history(energies(20), resumed=7)
    view = RunReader(run.store, run.run_id).look()
    line = run_figure(view).lines[0]
    assert (line.forked, line.resumed) == (6.5, [])
    shown = texts(curve_svg(view))
    assert "forked" in shown and "resumed" not in shown


def test_the_first_values_do_not_crush_the_others() -> None:
    figure = run_figure(energy_view(109))
    low, high = figure.window
    assert high < -76.05  # the first energy is -75.8
    assert low < min(figure.references.values())


def test_a_reference_far_away_is_named_with_an_arrow() -> None:
    view = energy_view(50, references={"FCI": -90.0})
    assert "↓ FCI" in texts(curve_svg(view))


def test_labels_of_references_are_never_over_one_another() -> None:
    view = energy_view(50, references={f"method {k}": -76.12 + k * 1e-6 for k in range(8)})
    drawn = ElementTree.fromstring(curve_svg(view)).iter(f"{SVG}text")
    heights = sorted(float(t.get("y", "")) for t in drawn if "method" in (t.text or ""))
    assert len(heights) == 8
    assert all(after - before >= 11.9 for before, after in pairwise(heights))


def test_a_curve_of_a_hundred_iterations_fits_into_an_address() -> None:
    assert len(curve_svg(energy_view(109, resumed=60), width=640, height=220)) < 6000


def test_a_picture_of_50_000_iterations_is_small_and_keeps_the_extremes() -> None:
    view = energy_view(50_000, resumed=20_000)
    values = list(view.history.scalars["current"])
    values[31_234] = -76.118  # one value of 50,000, in the window
    view = energy_view(50_000, resumed=20_000, current=values)
    figure = run_figure(view)
    svg = figure_svg(figure, width=720, height=260)
    assert len(svg) < 100_000
    low, high = figure.window
    wanted = (high - -76.118) / (high - low) * (260 - 68)
    path = next(
        p.get("d", "")
        for p in ElementTree.fromstring(svg).iter(f"{SVG}path")
        if p.get("stroke-width") == "1.2"
    )
    start, *steps = re.findall(r"-?[0-9.]+", path)[1:][::2]
    depth = deepest = float(start)
    for step in steps:
        depth += float(step)
        deepest = max(deepest, depth)
    assert deepest == pytest.approx(wanted, abs=1)


def test_many_runs_of_many_iterations_are_small_too() -> None:
    views = [energy_view(5_000, run_id=f"water-{k}") for k in range(12)]
    svg = figure_svg(runs_figure(views))
    assert len(svg) < 100_000
    assert any(text.startswith("water-0 ") for text in texts(svg))
    assert any(re.fullmatch(r"and \d+ more", text) for text in texts(svg))


@pytest.mark.parametrize(
    "values",
    [
        [],
        [1.0],
        [1.0, 1.0, 1.0],
        [math.nan, math.inf, -math.inf],
        [1.0, math.nan, 2.0, math.inf, 3.0],
        [1e308, -1e308, 5e-324],
        [-76.1054513 + k * 1e-12 for k in range(10)],
        [0.0] * 20,
        [10.0**-k for k in range(300)],
    ],
)
@pytest.mark.parametrize("log", [False, True])
def test_any_values_are_a_picture(values: list[float], log: bool) -> None:
    figure = run_figure(values_view(values, better="lower"), log=log)
    svg = figure_svg(figure)
    assert all(math.isfinite(place) and abs(place) < 1e5 for place in places(svg))
    shown = [value for value in figure.lines[0].y if math.isfinite(value)]
    assert ("nothing to show yet" in texts(svg)) == (not shown)


def test_not_a_number_is_a_gap() -> None:
    path = next(
        p
        for p in ElementTree.fromstring(
            curve_svg(values_view([1.0, 2.0, math.nan, 3.0, 4.0, math.inf, 5.0]))
        ).iter(f"{SVG}path")
        if p.get("stroke-width") == "2"
    )
    assert path.get("d", "").count("M") == 3


@pytest.mark.parametrize(
    "name", ["a<b>&\"'", "]]>", "\x00\x1b[2J", "\ufffe\uffff", "é" * 500, "\ud800"]
)
def test_any_name_is_a_picture(name: str) -> None:
    view = values_view([1.0, 2.0], name, references={name: 1.5})
    texts(curve_svg(view))
    texts(figure_svg(runs_figure([view, energy_view(3, run_id="other")])))


def test_a_logarithmic_axis_shows_the_distance_to_the_furthest_reference() -> None:
    figure = run_figure(energy_view(109), log=True)
    assert figure.y_label == "|energy - FCI| (hartree)"
    assert figure.lines[0].y[-1] == pytest.approx(energy_view(109).headline + 76.1199)
    assert figure.references == {}


def test_without_a_reference_it_is_the_distance_to_the_best() -> None:
    figure = run_figure(values_view([4.0, 3.0, 3.5], better="lower"), log=True)
    assert figure.y_label == "|value - best|"
    assert figure.lines[0].y[0] == 1.0 and math.isnan(figure.lines[0].y[1])


def test_along_shots_it_begins_with_what_the_first_iteration_cost() -> None:
    figure = run_figure(energy_view(3), along="shots")
    assert figure.lines[0].x == [1000.0, 2000.0, 3000.0]


def test_time_without_a_driver_is_no_work() -> None:
    figure = run_figure(energy_view(4, resumed=3), along="wall")
    assert figure.lines[0].x == [0.0, 2.0, 2.0, 4.0]

"""A run's page in Markdown: what it says, how large it is, and that nothing in it is markup."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from loop.reports.views import energy_view, values_view
from qcsc_loop.reports.columns import Columns, Numbers
from qcsc_loop.reports.markdown import COLUMNS, LARGEST_BYTES, markdown
from qcsc_loop.reports.status import OF_REASON, RunStatus
from qcsc_loop.reports.view import View
from qcsc_loop.rules.reason import Reason
from qcsc_loop.store.records import EndRecord, Settings


def table(page: str) -> list[list[str]]:
    """The cells of its rows, the head first, without the line below that."""
    rows = [line for line in page.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows]
    return [cells[0], *cells[2:]]


def test_it_says_how_the_run_stands_and_shows_its_curve() -> None:
    page = markdown(replace(energy_view(109), status=RunStatus.GONE))
    assert page.startswith("# water\n")
    assert "To go on: `qcsc-loop resume water`" in page
    assert "- energy **-76.1" in page and "** ± 0.001 hartree at iteration" in page
    assert "](data:image/svg+xml;base64," in page


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        (Reason.MAX_ITERATIONS, "To go on: `qcsc-loop resume water --max-iterations 4 --store /s`"),
        (Reason.FAILED, "After the fix: `qcsc-loop resume water --store /s`"),
    ],
)
def test_a_run_that_has_ended_has_the_command_by_which_it_goes_on(
    reason: Reason, said: str
) -> None:
    stop = {"type": "max-iterations", "iterations": 2}
    view = replace(
        energy_view(2),
        status=OF_REASON[reason],
        settings=Settings(algorithm="m:W", parameters={}, stop=stop),
        end=EndRecord(epoch=1, reason=reason, because="why", iteration=2),
    )
    page = markdown(view, " --store /s")
    assert f"**{view.sentence[:1].upper()}{view.sentence[1:]}.**" in page.replace("\\", "")
    assert said in page.splitlines()


def test_the_newest_iterations_come_first_with_the_headline() -> None:
    view = energy_view(109)
    head, newest, *_ = table(markdown(view))
    assert head[:3] == ["iteration", "energy", "current"]
    assert newest[:2] == [str(view.iteration), f"{view.headline:.9g}"]


@pytest.mark.parametrize("iterations", [0, 1, 2, 1000, 50_000])
def test_it_is_small_however_long_the_run_is(iterations: int) -> None:
    assert len(markdown(energy_view(iterations)).encode()) <= LARGEST_BYTES


def test_a_state_of_many_scalars_is_no_wide_table() -> None:
    numbers = [float(k) for k in range(40)]
    scalars: dict[str, Numbers] = {f"scalar number {k} of them": numbers for k in range(50)}
    history = Columns(
        iterations=list(range(40)),
        epochs=[1] * 40,
        committed=numbers,
        scalars=scalars,
        seconds={"sample": numbers, "evaluate": numbers},
    )
    view = View("wide", "/store/wide", RunStatus.RUNNING, history=history)
    assert {len(row) for row in table(markdown(view))} == {COLUMNS}


def test_values_that_are_no_numbers_break_nothing() -> None:
    page = markdown(values_view([math.nan, math.inf, -math.inf, math.nan]))
    assert [row[1] for row in table(page)[1:]] == ["nan", "-inf", "inf", "nan"]


def test_no_text_of_the_run_is_markup() -> None:
    name = "a|b](http://x) <img src=x> `c`\n# d"
    view = replace(values_view([1.0, 2.0], name), trouble=name, status=RunStatus.DAMAGED)
    page = markdown(view)
    assert "\n# d" not in page
    assert "](http" not in page.replace("\\]", "")
    assert {len(row) for row in table(page)} == {2}

"""A run's page as a file: what is in it, and whose."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import pytest

import qcsc_loop.reports.page
from loop.reports.stored_runs import StoredRun, energies
from loop.reports.views import energy_view, values_view
from loop.toys import Counting
from qcsc_loop.loop.hooks import Table
from qcsc_loop.notebook import reported
from qcsc_loop.reports.page import run_page
from qcsc_loop.reports.page_cards import distance_to_goal
from qcsc_loop.reports.page_sections import Reported, drivers
from qcsc_loop.reports.view import RunReader
from qcsc_loop.rules.stop import MaxIterations
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.records import ForkedFrom

UPLOT = Path(qcsc_loop.reports.page.__file__).with_name("page_files") / "uplot"
AT = datetime(2026, 11, 30, tzinfo=UTC)
RELEASED = {  # of uPlot 1.6.32
    "uPlot.iife.min.js": "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f",
    "uPlot.min.css": "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
    "LICENSE": "8f989229699b4fe2f1a0432d0e9edc338a8a911e250e2d1b01ecd770a5f5b1bd",
}


@pytest.mark.parametrize("name", RELEASED)
def test_the_library_of_its_charts_is_the_released_one(name: str) -> None:
    assert hashlib.sha256((UPLOT / name).read_bytes()).hexdigest() == RELEASED[name]


def test_a_page_has_the_librarys_notice_and_names_no_address_that_it_would_ask() -> None:
    page = run_page(Reported(energy_view(5), AT)).decode()
    assert "Permission is hereby granted, free of charge" in page
    markup = re.sub(r"<script[^>]*>.*?</script>", "", page, flags=re.DOTALL)
    assert set(re.findall(r"""(?:src|href|action|poster)=["']([^"']+)|url\(""", markup)) == {
        "data:,"
    }


def test_the_headline_is_held_against_what_it_is_on_its_way_to() -> None:
    references = {"HF": 5.0, "MP2": 2.1, "FCI": 1.0}
    view = values_view([4.0, 2.0], better="lower", unit="hartree", references=references)
    assert distance_to_goal(view) == "1.00 Ha above FCI"  # though MP2 is nearer
    upward = values_view([4.0, 2.0], better="higher", references=references)
    assert distance_to_goal(upward) == "3.00 below HF"
    assert distance_to_goal(values_view([2.0], references={"exact": 2.0})) == "equal to exact"
    assert distance_to_goal(values_view([2.0])) == ""


def test_commands_name_the_store_where_one_was_named() -> None:
    page = run_page(Reported(energy_view(5), AT, more=" --store '/a b'")).decode()
    assert "qcsc-loop watch water --store &#x27;/a b&#x27;</code>" in page


def test_a_driver_has_committed_what_follows_the_beginning(tmp_path: Path) -> None:
    store, run = DirectoryStore(tmp_path), Counting().run
    anyio.run(lambda: run(store=store, run_id="water", stop=MaxIterations(3)))
    reader = RunReader(store, "water")
    table = drivers(reported(reader))
    assert re.findall(r"<td[^>]*>(\d+)</td>\s*</tr>", table) == ["3"]


def test_a_fork_says_of_which_run_it_is_one(tmp_path: Path) -> None:
    parent = ForkedFrom(run_id="parent", uid="u", iteration=6, state_sha256="0")
    run = StoredRun(tmp_path, forked_from=parent).driver().history(energies(9))
    page = run_page(Reported(RunReader(run.store, run.run_id).look(), AT)).decode()
    assert "forked from parent at iteration 6" in page and '"forked":7' in page


class Tabled(Counting):
    """Counts, and has something to show for it."""

    def tables(self, state: Any) -> dict[str, Table]:
        rows: Table = [{"what": "<b>first</b>", "value": 1.5}, {"what": "second", "value": None}]
        many: Table = [{"row": k} for k in range(400)]
        return {"found": rows, "many": many, "none": []}


class Failing(Tabled):
    def tables(self, state: Any) -> dict[str, Table]:
        raise ZeroDivisionError("by zero")


def page_of(algorithm: Any, folder: Path) -> str:
    store = DirectoryStore(folder)
    run = algorithm.run(store=store, run_id="water", stop=MaxIterations(1))
    anyio.run(lambda: run)
    return run_page(reported(RunReader(store, "water"), with_tables=True)).decode()


def test_what_a_run_has_come_to_is_in_its_page(tmp_path: Path) -> None:
    page = page_of(Tabled(), tmp_path)
    assert "<h2>Results</h2>" in page and "<b>first" not in page
    assert "&lt;b&gt;first&lt;/b&gt;</td><td>1.5</td>" in page
    assert "many, the first 300 of 400 rows" in page and "none</h3>" not in page


def test_tables_that_cannot_be_made_are_said_to_be_missing(tmp_path: Path) -> None:
    page = page_of(Failing(), tmp_path)
    assert "Its tables are not here: " in page and "by zero" in page


def test_code_is_not_run_where_nobody_asks_for_tables(tmp_path: Path) -> None:
    page_of(Tabled(), tmp_path)
    assert (
        "<h2>Results</h2>"
        not in run_page(reported(RunReader(DirectoryStore(tmp_path), "water"))).decode()
    )

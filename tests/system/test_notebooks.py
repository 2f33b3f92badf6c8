"""Notebooks of the examples, run by what people run them with; and what a run shows in one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import nbformat
import pytest
from nbclient import NotebookClient

from loop.toys import Counting
from qcsc_loop import DirectoryStore, MaxIterations, MemoryStore, Run
from qcsc_loop.live_card import PAUSE_SECONDS, LiveCard, live_card
from qcsc_loop.loop.displays import in_notebook, notebook_displays

NOTEBOOKS = sorted((Path(__file__).parents[2] / "examples").rglob("*.ipynb"))
CARD = "max-width:740px"
LONGEST_SECONDS = 300


def executed(path: Path, store: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The notebook with its outputs; a cell that raises fails the test."""
    monkeypatch.setenv("QCSC_LOOP_STORE", str(store))
    read: Any = nbformat.read  # it does not say of what type it is
    notebook = read(path, as_version=4)
    NotebookClient(notebook, timeout=LONGEST_SECONDS).execute(cwd=str(store))
    return notebook


def cards(cell: Any) -> list[str]:
    """The HTML of what a cell shows."""
    shown = [output.data for output in cell.outputs if output.output_type != "stream"]
    return [data["text/html"] for data in shown if CARD in data.get("text/html", "")]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_runs_from_its_first_cell_to_its_last(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = executed(path, tmp_path, monkeypatch)
    cells = [cell for cell in done.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in cells)
    errors = [output for cell in cells for output in cell.outputs if output.output_type == "error"]
    assert errors == []


def test_a_run_shows_one_card_that_ends_as_the_run_draws_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (path,) = (path for path in NOTEBOOKS if path.name == "run.ipynb")
    done = executed(path, tmp_path, monkeypatch)
    driven, drawn = done.cells[1], done.cells[2]
    assert len(cards(driven)) == 1  # drawn anew in its place, not one below the other
    assert cards(driven) == cards(drawn) == [Run("ghz-notebook")._repr_html_()]
    assert "<svg" in cards(driven)[0]


class Kernel:
    """What IPython's `display` gives and does, and a clock."""

    def __init__(self) -> None:
        self.now, self.drawn = 0.0, list[str]()

    def display(self, run: Run, *, display_id: bool) -> Kernel:
        assert display_id
        self.update(run)
        return self

    def update(self, run: Run) -> None:
        self.drawn.append(run.message)


def driven(store: DirectoryStore | MemoryStore, observer: Any) -> None:
    anyio.run(
        lambda: Counting(width=2).run(
            store=store, run_id="seen", stop=MaxIterations(8), observers=[observer]
        )
    )


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    kernel = Kernel()
    monkeypatch.setattr("IPython.display.display", kernel.display)
    return kernel


def test_it_is_drawn_at_its_beginning_and_its_end_however_quick_it_is(
    kernel: Kernel, tmp_path: Path
) -> None:
    driven(store := DirectoryStore(tmp_path), LiveCard(store, lambda: kernel.now))
    assert len(kernel.drawn) == 2  # the clock stood still
    assert kernel.drawn[-1] == Run("seen", store=store).message


def test_it_is_drawn_at_most_so_often(kernel: Kernel, tmp_path: Path) -> None:
    store, events = DirectoryStore(tmp_path), list[float]()
    card = LiveCard(store, lambda: kernel.now)

    def look_on(event: Any) -> None:
        kernel.now += 0.1 * PAUSE_SECONDS
        events.append(kernel.now)
        card(event)

    driven(store, look_on)
    assert 3 <= len(kernel.drawn) <= 2 + len(events) / 10


def test_a_picture_that_cannot_be_drawn_ends_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("the browser went away")

    monkeypatch.setattr("IPython.display.display", broken)
    driven(store := DirectoryStore(tmp_path), LiveCard(store))
    assert Run("seen", store=store).iteration == 8


def test_a_run_in_memory_has_no_card(kernel: Kernel) -> None:
    driven(store := MemoryStore(), live_card(store))
    assert kernel.drawn == []


def test_nothing_is_shown_where_there_is_no_notebook() -> None:
    assert not in_notebook()
    assert notebook_displays(None) == []

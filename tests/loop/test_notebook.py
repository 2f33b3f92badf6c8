"""Runs as objects: what a person asks of a run in a notebook, each in one line."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest
from matplotlib.figure import Figure as MatplotlibPage

from loop.toys import Counting, Draw
from qcsc_loop import DirectoryStore, Run, compare, runs
from qcsc_loop.cli.moving import csv_of
from qcsc_loop.errors import (
    FileNotWritten,
    InputError,
    InvalidParameters,
    InvalidRunId,
    RunNotFound,
)
from qcsc_loop.reports.comparing import compare_runs
from qcsc_loop.rules.stop import AnyOf, Converged, MaxIterations, Shots, StopRule


def drive(store: DirectoryStore, run_id: str, iterations: int, seed: int = 0) -> str:
    run, stop = Counting(width=2).run, MaxIterations(iterations)
    outcome = anyio.run(lambda: run(store=store, run_id=run_id, seed=seed, stop=stop))
    return outcome.state_sha256


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> DirectoryStore:
    store = DirectoryStore(tmp_path_factory.mktemp("runs"))
    drive(store, "one", 12)
    drive(store, "two", 3, seed=1)
    return store


def test_its_history_is_arrays(store: DirectoryStore) -> None:
    run = Run("one", store=store)

    np.testing.assert_array_equal(run.history["count"], np.arange(13.0))
    assert run.history["sample_seconds"].shape == (13,)
    assert math.isnan(run.history["sample_seconds"][0])
    with pytest.raises(KeyError, match="'nope'; there are iteration, count, squares"):
        run.history["nope"]


def test_its_history_is_a_data_frame(store: DirectoryStore) -> None:
    frame = Run("one", store=store).history.to_pandas()

    assert frame.index.tolist() == list(range(13)) and frame.index.name == "iteration"
    assert frame["count"].tolist() == list(range(13))
    assert math.isnan(frame["sample_seconds"][0])


def test_samples_and_states_are_of_their_types(store: DirectoryStore) -> None:
    run = Run("one", store=store)

    assert run.state().count == 12
    assert run.state(5).count == 5
    assert isinstance(run.samples(12), Draw)
    with pytest.raises(InputError, match="keeps those of its last 10 iterations"):
        run.samples(1)


def test_a_state_that_is_not_kept_is_answered_with_those_that_are(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    drive(store, "long", 20)

    assert Run("long", store=store).state(4).count == 4
    with pytest.raises(InputError, match="kept are: 0, 1, 2, 4, 8, 11"):
        Run("long", store=store).state(5)


def test_it_says_how_it_stands(store: DirectoryStore) -> None:
    run = Run("one", store=store)

    assert (run.status, run.iteration, run.seed) == ("limit reached", 12, 0)
    assert repr(run).startswith("Run('one'): Counting, stopped after 12 iterations")
    assert "<svg" in run._repr_html_()
    assert "<svg" in str(run.plot("squares"))
    assert run.parameters["width"] == 2


def test_a_store_is_listed(store: DirectoryStore) -> None:
    assert [run.run_id for run in runs(store)] == ["one", "two"]
    assert [run.run_id for run in runs(store, where=lambda run: run.seed == 1)] == ["two"]


def test_a_run_that_is_not_there_is_said(store: DirectoryStore) -> None:
    with pytest.raises(RunNotFound, match="Runs there: one, two"):
        Run("three", store=store)


def test_what_others_named_shows_as_it_is(tmp_path: Path) -> None:
    run = Run("damaged", store=_damaged(DirectoryStore(tmp_path)))

    assert run.status == "damaged"
    assert "<b>damaged</b>" in run._repr_html_()


def _damaged(store: DirectoryStore) -> DirectoryStore:
    folder = store.root / "damaged"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text("<script>")
    return store


@pytest.mark.parametrize("name", [None, 3, ["one"]], ids=repr)
def test_what_is_no_name_of_a_run_is_said(store: DirectoryStore, name: Any) -> None:
    with pytest.raises(InvalidRunId, match="cannot be a run id: use 1 to 100 lower-case letters"):
        Run(name, store=store)


def test_it_is_equal_to_itself_in_another_object(store: DirectoryStore, tmp_path: Path) -> None:
    drive(DirectoryStore(tmp_path), "one", 1)
    (link := tmp_path / "link").symlink_to(store.root)
    one, other = Run("one", store=store), Run("two", store=store)

    assert one == Run("one", store=str(store.root)) == Run("one", store=link)
    assert one not in (other, Run("one", store=tmp_path), "one", None)
    assert {one, Run("one", store=link), other} == {one, other}


def test_a_scalar_that_is_not_there_is_answered_with_those_that_are(store: DirectoryStore) -> None:
    said = "one has no scalar 'squarse' .did you mean 'squares'..: it has count, squares"
    for draw in (Run("one", store=store).plot, compare("one", "two", store=store).plot):
        with pytest.raises(InputError, match=said):
            draw("squarse")
    with pytest.raises(InputError, match="has no scalar 3: it has count"):
        Run("one", store=store).plot(3)  # type: ignore[arg-type]


def test_a_curve_is_drawn_on_axes_that_a_person_has(store: DirectoryStore) -> None:
    page = MatplotlibPage()
    left, right = page.subplots(1, 2)
    one = Run("one", store=store)
    drawn = one.plot("squares", ax=left), compare("one", "two", store=store).plot(ax=right)

    assert [float(y) for y in left.lines[0].get_ydata()] == list(one.history["squares"])
    assert len(right.lines) == 2
    assert [each._repr_svg_() for each in drawn] == [None, None]  # the axes' page is shown


def test_what_a_curve_cannot_be_drawn_along_is_said(store: DirectoryStore) -> None:
    assert "QPU seconds" in str(Run("one", store=store).plot(x="qpu"))
    for draw in (Run("one", store=store).plot, compare("one", "two", store=store).plot):
        with pytest.raises(InputError, match=r"x='time': .* one of iteration, shots, qpu, wall"):
            draw(x="time")  # type: ignore[arg-type]


def test_a_page_that_cannot_be_written_is_not_the_stores_fault(
    store: DirectoryStore, tmp_path: Path
) -> None:
    with pytest.raises(
        FileNotWritten,
        match=r"page.html cannot be written: No such file .* name another file, in a",
    ):
        Run("one", store=store).report(tmp_path / "nowhere" / "page.html")


def test_its_forks_are_runs_of_its_store(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    drive(store, "parent", 3)
    drive(store, "other", 1)
    parent = Run("parent", store=store)
    assert parent.forks == []

    first = parent.fork("second-by-name", at=1)
    then = parent.fork("a-fork", at=2)
    of_the_fork = then.fork("below")

    assert parent.forks == [first, then]
    assert then.forks == [of_the_fork] and Run("other", store=store).forks == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"stop": 3}, r"stop: 3 is no stop rule: give one, such as MaxIterations\(50\)"),
        ({"stop": None}, "stop: None is no stop rule"),
        ({"retry": 3}, "retry: 3 is no Retry"),
        ({"store": "folder"}, "store: 'folder' is no store: give one, such as DirectoryStore"),
    ],
    ids=["number", "none", "retry", "store"],
)
def test_an_option_of_another_kind_is_said_with_what_it_is(
    tmp_path: Path, options: Any, said: str
) -> None:
    store = DirectoryStore(tmp_path)
    drive(store, "run", 1)
    with pytest.raises(InvalidParameters, match=said):
        anyio.run(lambda: Counting(width=2).run(**{"store": store, "run_id": "run"} | options))
    if "store" not in options:
        with pytest.raises(InvalidParameters, match=said):
            anyio.run(lambda: Run("run", store=store).resume(**options))


def test_a_page_of_it_is_one_file(store: DirectoryStore, tmp_path: Path) -> None:
    page = Run("one", store=store).report(tmp_path / "one.html")

    assert page.read_text().lower().startswith("<!doctype html>")


def test_a_page_that_cannot_be_written_there_says_nothing_of_the_store(
    store: DirectoryStore, tmp_path: Path
) -> None:
    with pytest.raises(InputError) as refused:
        Run("one", store=store).report(tmp_path / "nope" / "one.html")

    assert str(refused.value) == (
        f"{tmp_path / 'nope' / 'one.html'} cannot be written: No such file or directory; name "
        "another file, in a folder that is there"
    )


def test_a_fork_of_it_is_a_run(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    whole = drive(store, "parent", 4)

    fork = Run("parent", store=store).fork("fork", at=2)

    assert fork.forked_from == "parent"
    outcome = anyio.run(lambda: fork.resume(stop=MaxIterations(4)))
    assert outcome.state_sha256 == whole


def test_two_runs_differ_in_what_differs(store: DirectoryStore) -> None:
    compared = compare("one", "two", store=store)

    difference = compared.difference
    assert [row.name for row in difference.rows][:2] == ["seed", "stop.iterations"]
    assert (difference.states_from, difference.scalars_from, difference.common) == (1, None, 4)
    assert "states differ from iteration 1, and no scalar does" in str(compared)
    assert "<svg" in compared._repr_html_()


@pytest.mark.parametrize(
    ("one", "other", "rows"),
    [
        (MaxIterations(2), AnyOf(rules=(MaxIterations(2),)), []),
        (MaxIterations(2), Converged() | MaxIterations(2), []),
        (MaxIterations(2), AnyOf(rules=(AnyOf(rules=(MaxIterations(2), MaxIterations(2))),)), []),
        (MaxIterations(2), MaxIterations(3), [("stop.iterations", "2", "3")]),
        (
            MaxIterations(2),
            MaxIterations(2) | Shots(500),
            [
                (
                    "stop",
                    "at iteration 2, or when it has converged",
                    "at iteration 2 or 500 shots, or when it has converged",
                )
            ],
        ),
    ],
    ids=["one of one", "convergence", "nested", "limits", "more"],
)
def test_stop_rules_differ_in_what_they_say(
    tmp_path: Path, one: StopRule, other: StopRule, rows: list[Any]
) -> None:
    store = DirectoryStore(tmp_path)
    run = Counting(width=2).run
    anyio.run(lambda: run(store=store, run_id="one", stop=one))
    anyio.run(lambda: run(store=store, run_id="other", stop=other))

    difference = compare("one", "other", store=store).difference

    found = [(row.name, row.one, row.other) for row in difference.rows]
    assert [row for row in found if row[0].startswith("stop")] == rows
    assert ("stop rule" in difference.equal) is (not rows)


def test_a_run_is_no_other_than_itself(store: DirectoryStore) -> None:
    one = Run("one", store=store)

    same = compare_runs(one.view, one.view, (one.journal, one.journal))

    assert [row.name for row in same.rows] == ["time of work"]
    assert same.last_line.startswith("the states of all 13 iterations that both have are equal")


def test_a_history_as_a_table_has_all_digits(store: DirectoryStore) -> None:
    head, first, *_ = csv_of(Run("two", store=store).view).splitlines()

    assert head.split(",")[:5] == ["iteration", "driver", "committed", "count", "squares"]
    assert first.split(",")[:2] == ["0", "1"]

"""Many runs in a list: which, in which order, and what is said of each."""

from __future__ import annotations

import json
import shutil
from datetime import timedelta
from pathlib import Path

import anyio
import pytest

from loop.reports.stored_runs import StoredRun
from loop.toys import Counting
from qcsc_loop.cli.run_page import RunPage, Showing
from qcsc_loop.errors import InvalidParameters
from qcsc_loop.reports.columns import Columns
from qcsc_loop.reports.listing import (
    Wanted,
    facts_of,
    line_of,
    newest,
    next_commands,
    note_of,
    parse_since,
    read_entries,
    read_runs,
)
from qcsc_loop.reports.status import RunStatus
from qcsc_loop.reports.tables import PlainConsole
from qcsc_loop.reports.view import RunReader, View
from qcsc_loop.reports.words import rule_in_words
from qcsc_loop.rules.stop import MaxIterations
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.records import now


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> DirectoryStore:
    """Two runs of a toy: one stopped by its limit, and a later one that has converged."""
    store = DirectoryStore(tmp_path_factory.mktemp("listing"))
    for run_id, goal in (("one", 0), ("two", 2)):
        toy = Counting(width=3, goal=goal)
        anyio.run(lambda: toy.run(store=store, run_id=run_id, stop=MaxIterations(3)))  # noqa: B023
    return store


def ids(store: DirectoryStore, **wanted: object) -> list[str]:
    return [view.run_id for view in read_runs(store, Wanted(**wanted))]  # type: ignore[arg-type]


def test_a_run_that_stopped_short_comes_before_one_that_converged(store: DirectoryStore) -> None:
    assert ids(store) == ["one", "two"]
    assert ids(store, order="age") == ["two", "one"]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["converged"], ["two"]),
        (["limit-reached"], ["one"]),
        (["max_iterations"], ["one"]),  # as older versions' JSON has it
        (["finished"], ["one", "two"]),
        (["trouble"], []),
        (["trouble", "Converged"], ["two"]),
    ],
)
def test_they_are_chosen_by_how_they_stand(
    store: DirectoryStore, words: list[str], found: list[str]
) -> None:
    assert ids(store, statuses=words) == found


def test_a_status_that_there_is_not_is_answered_with_the_nearest(store: DirectoryStore) -> None:
    with pytest.raises(
        InvalidParameters, match=r"no status 'convreged' \(did you mean 'converged'"
    ):
        read_runs(store, Wanted(statuses=["convreged"]))


def test_they_are_chosen_by_algorithm_and_time(store: DirectoryStore) -> None:
    assert ids(store, algorithms=["counting"]) == ["one", "two"]
    assert ids(store, algorithms=["SQD"]) == []
    assert ids(store, since=now() - timedelta(hours=1)) == ["one", "two"]
    assert ids(store, since=now() + timedelta(hours=1)) == []


@pytest.mark.parametrize("order", ["best", "cost"])
def test_every_order_has_every_run(store: DirectoryStore, order: str) -> None:
    assert sorted(ids(store, order=order)) == ["one", "two"]


def test_times_are_said_as_people_say_them() -> None:
    assert abs(parse_since("12h") - (now() - timedelta(hours=12))) < timedelta(minutes=1)
    assert parse_since("2026-11-29").utcoffset() is not None
    for text in ("", "soon", "-3h", "1e999d", "12 parsecs"):
        with pytest.raises(InvalidParameters, match="--since"):
            parse_since(text)


def test_a_rule_is_said_in_words_and_one_of_nobodys_as_json() -> None:
    rule = {"type": "any", "rules": [{"type": "max-iterations", "iterations": 3}, {"type": "own"}]}
    assert rule_in_words(rule) == 'at iteration 3 or {"type": "own"}, or when it has converged'


def test_a_line_has_the_iterations_of_its_limit_and_the_headline(store: DirectoryStore) -> None:
    line = line_of(RunReader(store, "one").skim(), now())
    assert (line.sign, line.status, line.iterations) == ("·", "limit reached", "3/3")
    assert line.headline == ("count", "3")


def test_skimming_finds_what_looking_finds(store: DirectoryStore) -> None:
    skimmed, looked = RunReader(store, "two").skim(), RunReader(store, "two").look()
    assert (skimmed.status, skimmed.iteration, skimmed.headline) == (
        looked.status,
        looked.iteration,
        looked.headline,
    )
    assert line_of(skimmed, now()).status == line_of(looked, now()).status


def test_json_has_the_fields_that_it_always_had(store: DirectoryStore) -> None:
    facts = facts_of(RunReader(store, "one").look())
    assert {"run_id", "algorithm", "status", "iteration", "scalars", "created"} <= facts.keys()
    assert (facts["status"], facts["state"]) == ("max_iterations", "limit reached")
    assert facts["next"] == "qcsc-loop resume one --max-iterations 6"
    json.dumps(facts, allow_nan=False)


@pytest.mark.parametrize(
    "left", ["run.json", "history.jsonl", "epochs/0001-end.json", "chart.json"]
)
@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b'{"format": 99}', b"[]"], ids=repr)
def test_whatever_is_damaged_is_a_line(
    store: DirectoryStore, tmp_path: Path, left: str, content: bytes
) -> None:
    shutil.copytree(store.root / "one", tmp_path / "one")
    (tmp_path / "one" / left).write_bytes(content)
    (view,) = read_runs(DirectoryStore(tmp_path), Wanted())
    line = line_of(view, now())
    assert line.run_id == "one" and line.status
    json.dumps(facts_of(view), allow_nan=False)


def test_a_run_that_has_only_begun_is_a_line() -> None:
    view = View("new", "/x/new", RunStatus.RUNNING, history=Columns())
    assert line_of(view, now()).headline == ("", "")
    assert view.history.took == []


def test_the_newest_keep_their_order(store: DirectoryStore) -> None:
    assert [view.run_id for view in newest(read_entries(store, Wanted()), 1)] == ["two"]


def test_what_is_next_are_the_runs_in_trouble_and_else_the_first() -> None:
    views = [
        View("a", "/x", RunStatus.CONVERGED),
        View("b", "/x", RunStatus.FAILED),
        View("c", "/x", RunStatus.GONE),
    ]
    assert next_commands(views) == ["qcsc-loop resume c", "qcsc-loop show b"]
    assert next_commands(views[:1]) == ["qcsc-loop show a"]


@pytest.mark.parametrize(
    "left", ["history.jsonl", "epochs/0001-end.json", "chart.json", "log.jsonl"]
)
@pytest.mark.parametrize(
    "content",
    [b"{", b'{"headline": "gone", "beside": ["nothing"], "references": {"x": "nan"}}\n', b"[]"],
    ids=repr,
)
def test_whatever_is_damaged_is_a_page(
    store: DirectoryStore, tmp_path: Path, left: str, content: bytes
) -> None:
    shutil.copytree(store.root / "two", tmp_path / "two")
    (tmp_path / "two" / left).write_bytes(content)
    console = PlainConsole(width=40)
    asked = Showing(store=tmp_path, all=True, traceback=True)
    with console.capture() as captured:
        RunPage(RunReader(DirectoryStore(tmp_path), "two"), asked, console).print()
    assert captured.get().startswith("two: ")


@pytest.mark.parametrize(("site", "left"), [("local", False), ("slurm", True)])
def test_what_a_driver_ran_itself_is_not_left_when_it_is_gone(
    site: str, left: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = StoredRun(tmp_path).driver(reason=None).job(1, None, site=site)
    view = RunReader(run.store, run.run_id).look()
    assert view.status is RunStatus.GONE
    assert ("1 job left" in note_of(view)) is left
    RunPage(RunReader(run.store, run.run_id), Showing(store=tmp_path), PlainConsole()).print()
    assert ("it runs on, and a resume uses it" in capsys.readouterr().out) is left

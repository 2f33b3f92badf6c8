"""A list that remembers runs that have ended says the same as one that reads them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from loop.reports.stored_runs import StoredRun, energies
from qcsc_loop.jobs.outcome import JobState
from qcsc_loop.reports import remembered
from qcsc_loop.reports.listing import Wanted, line_of, read_entries, read_runs
from qcsc_loop.reports.view import RunReader, View
from qcsc_loop.rules.reason import Reason
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.records import now

LONG_AGO = 1_700_000_000


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DirectoryStore:
    """Three runs: converged, failed, gone; and a cache of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("qcsc_loop.reports.remembered.FEW", 1)
    for run_id, reason in (("one", Reason.CONVERGED), ("two", Reason.FAILED), ("three", None)):
        StoredRun(tmp_path / "store", run_id).driver(reason=reason, because="x").history(
            energies(5)
        )
    age(tmp_path / "store")
    return DirectoryStore(tmp_path / "store")


def age(root: Path) -> None:
    """Nothing of a run is of a moment ago."""
    for path in root.rglob("*"):
        os.utime(path, (LONG_AGO, LONG_AGO))


def listed(store: DirectoryStore) -> list[View]:
    return read_runs(store, Wanted())


@pytest.fixture
def skimmed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The runs that were read."""
    read: list[str] = []
    skim = RunReader.skim

    def counted(reader: RunReader) -> View:
        read.append(reader.journal.run_id)
        return skim(reader)

    monkeypatch.setattr(RunReader, "skim", counted)
    return read


def test_it_says_the_same_and_reads_only_what_may_have_changed(
    store: DirectoryStore, skimmed: list[str]
) -> None:
    first, at = listed(store), now()
    assert sorted(skimmed) == ["one", "three", "two"]
    skimmed.clear()
    again = listed(store)
    assert skimmed == ["three"]  # its driver may yet give a sign of life
    assert [line_of(view, at) for view in again] == [line_of(view, at) for view in first]
    assert [view.next_command for view in again] == [view.next_command for view in first]
    assert [view.last_seen for view in again] == [view.last_seen for view in first]


def test_of_many_runs_only_those_that_are_shown_are_made_of_their_records(
    store: DirectoryStore, skimmed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    listed(store)
    skimmed.clear()
    made: list[str] = []
    make = remembered._view

    def counted(run_id: str, folder: str, facts: Any) -> View:
        made.append(run_id)
        return make(run_id, folder, facts)

    monkeypatch.setattr(remembered, "_view", counted)
    found = read_entries(store, Wanted(statuses=["converged"]))
    assert [(entry.run_id, made) for entry in found] == [("one", [])]
    assert (found[0].view.run_id, made, skimmed) == ("one", ["one"], ["three"])


def test_a_run_that_is_remembered_wrongly_is_read(
    store: DirectoryStore, tmp_path: Path, skimmed: list[str]
) -> None:
    at, first = now(), listed(store)
    (cache,) = (tmp_path / "cache" / "qcsc-loop").iterdir()
    cache.write_text(cache.read_text().replace('\\"status\\"', '\\"state\\"'))
    skimmed.clear()
    assert [line_of(view, at) for view in listed(store)] == [line_of(view, at) for view in first]
    assert sorted(skimmed) == ["one", "three", "two"]


def test_what_has_changed_is_read_again(store: DirectoryStore, skimmed: list[str]) -> None:
    listed(store)
    skimmed.clear()
    run = StoredRun.__new__(StoredRun)
    run.store, run.run_id = store, "one"
    run.job(3, JobState.FAILED)
    listed(store)
    assert sorted(skimmed) == ["one", "three"]


def test_what_was_written_a_moment_ago_is_read_again(
    store: DirectoryStore, skimmed: list[str]
) -> None:
    os.utime(store.root / "one" / "history.jsonl")
    listed(store)
    skimmed.clear()
    listed(store)
    assert sorted(skimmed) == ["one", "three"]


@pytest.mark.parametrize("content", [b"", b"{", b'{"version": "1", "runs": []}', b"[1]", b"\xff"])
def test_a_damaged_cache_costs_time_alone(
    store: DirectoryStore, tmp_path: Path, content: bytes
) -> None:
    expected = [view.run_id for view in listed(store)]
    (cache,) = (tmp_path / "cache" / "qcsc-loop").iterdir()
    assert cache.stat().st_mode & 0o777 == 0o600
    cache.write_bytes(content)
    assert [view.run_id for view in listed(store)] == expected


def test_where_nothing_can_be_kept_it_lists_all_the_same(
    store: DirectoryStore, tmp_path: Path
) -> None:
    (tmp_path / "cache").write_text("no folder")
    assert len(listed(store)) == 3

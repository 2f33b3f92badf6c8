"""A run with a long past goes on as any other, and reads no more of it."""

from __future__ import annotations

import shutil
from pathlib import Path

import anyio
import pytest

from loop.store.test_history import Counted
from loop.toys import Counting, Tally
from qcsc_loop.loop.outcome import Outcome
from qcsc_loop.rules.stop import MaxIterations, Plateau, StopRule
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.journal import Journal
from qcsc_loop.values.document import Document
from qcsc_loop.values.encodings import to_json

RUN = "long"


def ran(store: DirectoryStore, stop: StopRule) -> Outcome[Tally]:
    return anyio.run(lambda: Counting(width=2).run(store=store, run_id=RUN, stop=stop))


def aged(folder: Path, iterations: int) -> DirectoryStore:
    """A run that has been through so many iterations, without going through them."""
    store = DirectoryStore(folder)
    ran(store, MaxIterations(0))
    journal = Journal(store, RUN)
    first, state = journal.checkpoint(journal.checkpoints()[0])
    spent = {"shots": float(iterations)}
    last = first.model_copy(update={"iteration": iterations, "spent": spent})
    commits = [first.model_copy(update={"iteration": k}) for k in range(1, iterations)]
    journal.add_history([*commits, last])
    journal.add_checkpoint(last, state)
    return store


def test_a_resume_reads_no_more_of_a_history_that_is_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = []
    for iterations in (1_000, 10_000):
        store = aged(tmp_path / str(iterations), iterations)
        counted = Counted(monkeypatch)
        outcome = ran(store, MaxIterations(iterations + 2))
        assert (outcome.iteration, outcome.usage["shots"]) == (iterations + 2, float(iterations))
        read.append(counted.read)
        monkeypatch.undo()
    assert 0 < read[1] <= 1.2 * read[0]


def test_a_resume_reads_no_more_records_of_drivers_where_there_were_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[list[str]] = []
    for drivers in (30, 300):
        store = aged(tmp_path / str(drivers), 5)
        epochs = tmp_path / str(drivers) / RUN / "epochs"
        for number in range(2, drivers + 1):
            body = Journal(store, RUN).epoch(1).model_copy(update={"epoch": number})
            written = to_json(Document(body.model_dump_json().encode()), "")
            (epochs / f"{number:04d}.json").write_bytes(written)
        shutil.copy(epochs / "0001-end.json", epochs / f"{drivers:04d}-end.json")
        names, known = list[str](), store.read
        monkeypatch.setattr(
            store, "read", lambda name, to=names, k=known: to.append(name) or k(name)
        )
        ran(store, MaxIterations(6))
        read.append(names)
    assert "/epochs/" in " ".join(read[0])
    assert len(read[1]) == len(read[0])


def test_a_rule_sees_as_far_back_as_it_looks(tmp_path: Path) -> None:
    store = aged(tmp_path, 500)
    outcome = ran(store, MaxIterations(900) | Plateau(400, 1e9))
    assert (outcome.iteration, outcome.reason) == (500, "plateau")


def test_what_an_older_version_has_spent_is_added_up_once(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    ran(store, MaxIterations(0))
    journal = Journal(store, RUN)
    first, state = journal.checkpoint(journal.checkpoints()[0])
    old = [
        first.model_copy(update={"iteration": k, "usage": {"shots": 0.1 * k}, "spent": None})
        for k in range(1, 6)
    ]
    journal.add_history(old)
    journal.add_checkpoint(old[-1], state)
    assert ran(store, MaxIterations(6)).usage["shots"] == sum(0.1 * k for k in range(1, 6))
    newest = journal.commits.newest()
    assert newest is not None and newest.spent == {"shots": sum(0.1 * k for k in range(1, 6))}

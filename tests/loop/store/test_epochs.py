"""Many drivers of one run, and gaps between their numbers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from qcsc_loop.errors import LeaseLost
from qcsc_loop.rules.reason import Reason
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.heartbeat import Heartbeat
from qcsc_loop.store.journal import Journal, Lease, last_in_a_row
from qcsc_loop.store.lease import new_holder
from qcsc_loop.store.memory import MemoryStore
from qcsc_loop.store.records import Commit, EndRecord, EpochRecord, Settings, StepNote
from qcsc_loop.store.store import Store
from qcsc_loop.values.document import Document

RUN, SETTINGS = "run-1", Settings(algorithm="package.module:Class")


def adopted(epoch: int) -> EpochRecord:
    """A driver that worked on another disk."""
    return EpochRecord(epoch=epoch, holder=new_holder(), lease_seconds=30, settings=SETTINGS)


def with_drivers(store: Store, *epochs: int) -> Journal:
    journal = Journal(store, RUN)
    for epoch in epochs:
        content = adopted(epoch).model_dump_json().encode()
        store.write(f"{RUN}/epochs/{epoch:04d}", Document(content))
        end = EndRecord(epoch=epoch, reason=Reason.FAILED, iteration=0).model_dump_json()
        store.write(f"{RUN}/epochs/{epoch:04d}-end", Document(end.encode()))
    return journal


@pytest.mark.parametrize(
    "epochs",
    [
        (),
        (1,),
        (1, 2),
        range(1, 8),
        range(1, 9),
        range(1, 10),
        (7,),
        (8, 9),
        (9_999, 10_000, 10_001),
    ],
)
def test_the_newest_of_drivers_in_a_row_is_the_last(epochs: Sequence[int]) -> None:
    journal = with_drivers(MemoryStore(), *epochs)
    assert journal.newest_epoch() == max(epochs, default=0)
    assert [each.epoch for each in journal.epochs()] == sorted(epochs)


def test_a_driver_is_fenced_by_one_that_leaves_a_gap() -> None:
    journal = with_drivers(MemoryStore())
    lease = journal.claim(SETTINGS, {}, 30)
    journal.adopt_driver(adopted(7), None)
    assert journal.newest_epoch() == 7
    with pytest.raises(LeaseLost, match=r"newer one \(epoch 7\)"):
        lease.check()
    lease.release(None)
    journal.adopt_driver(adopted(4), None)  # an older one than is there: no news
    assert journal.newest_epoch() == 7


def test_a_gap_that_nobody_marked_is_seen_by_what_its_driver_committed() -> None:
    journal = with_drivers(MemoryStore(), 1, 2, 6)  # as an older version adopted it
    state = Document(b"0")
    commit = Commit(iteration=3, epoch=6, state_sha256=state.sha256)
    journal.add_checkpoint(commit, state)
    assert journal.newest_epoch() == 6


def test_a_driver_that_was_adopted_while_one_claimed_the_run_comes_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = MemoryStore()
    journal, create = with_drivers(store, 1), store.create

    def adopting(name: str, document: Document) -> bool:
        if name.endswith("0002") and not store.has(f"{RUN}/epochs/0005"):
            journal.adopt_driver(adopted(5), EndRecord(epoch=5, reason=Reason.FAILED, iteration=0))
        return create(name, document)

    monkeypatch.setattr(store, "create", adopting)
    lease = journal.claim(SETTINGS, {}, 30)
    assert lease.epoch == 6
    lease.check()
    lease.release(None)


def test_a_check_lists_nothing_however_many_there_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(DirectoryStore(tmp_path), RUN)
    lease, looks = journal.claim(SETTINGS, {}, 30), list[object]()
    try:
        monkeypatch.setattr(os, "listdir", looks.append)
        monkeypatch.setattr(os, "scandir", looks.append)
        lease.check()
    finally:
        monkeypatch.undo()
        lease.release(None)
    assert looks == []


def test_the_newest_of_ten_thousand_takes_a_few_looks() -> None:
    looks: list[int] = []

    def there(number: int) -> bool:
        looks.append(number)
        return number <= 10_000

    assert last_in_a_row(there) == 10_000
    assert len(looks) < 40


def test_beyond_9999_drivers_the_newer_one_s_records_count() -> None:
    journal = Journal(MemoryStore(), RUN)
    states = {epoch: Document(str(epoch).encode()) for epoch in (9_999, 10_000)}
    for epoch, state in states.items():
        note = StepNote(iteration=3, step="sample", epoch=epoch, state_sha256="0", seconds=1)
        lease = Lease(journal, adopted(epoch), Heartbeat(journal.store, "beat", 60))
        lease.save_step(note, state)
        journal.add_checkpoint(Commit(iteration=3, epoch=epoch, state_sha256=state.sha256), state)
    found = journal.step(3, "sample")
    assert found is not None and found[0].epoch == 10_000
    assert journal.checkpoints() == ["00000003.e10000", "00000003.e9999"]


def test_beyond_eight_digits_of_iterations_the_newest_comes_first() -> None:
    journal, state = Journal(MemoryStore(), RUN), Document(b"0")
    for iteration in (99_999_999, 100_000_000):
        commit = Commit(iteration=iteration, epoch=1, state_sha256=state.sha256)
        journal.add_checkpoint(commit, state)
    assert journal.checkpoints()[0] == "100000000.e0001"
    lease = Lease(journal, adopted(1), Heartbeat(journal.store, "beat", 60))
    lease.save_step(
        StepNote(iteration=100_000_000, step="s", epoch=1, state_sha256="0", seconds=1), state
    )
    assert journal.newest_step() == 100_000_000
    lease.prune(99_999_999)
    assert journal.checkpoints() == ["100000000.e0001"]
    assert journal.newest_step() == 100_000_000

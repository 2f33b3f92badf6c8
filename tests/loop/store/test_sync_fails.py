"""A disk that says no after the rename: what is named is never removed."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from qcsc_loop.errors import StoreError
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.journal import Journal
from qcsc_loop.store.records import Settings
from qcsc_loop.values.document import Document

NAME = "run/checkpoints/00000007.e0001"
OLD = Document(b'"old"', {"a0": np.zeros(200)})
NEW = Document(b'"new"', {"a0": np.ones(300)})
ARRAYS_FOLDER, FOLDER = 1, 2  # the syncs of folders that a document with arrays needs

Change = Callable[[DirectoryStore, str, Document], object]


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path)


@pytest.fixture
def fail(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Lets the n-th sync of a folder fail."""
    fsync = os.fsync

    def failing(number: int) -> None:
        left = [number]

        def synced(descriptor: int) -> None:
            if stat.S_ISDIR(os.fstat(descriptor).st_mode):
                left[0] -= 1
                if left[0] == 0:
                    raise OSError(errno.EIO, "Input/output error")
            fsync(descriptor)

        monkeypatch.setattr(os, "fsync", synced)

    return failing


def files(store: DirectoryStore, suffix: str) -> list[Path]:
    return sorted(store.root.rglob(f"*{suffix}"))


def is_same(one: Document, other: Document) -> bool:
    return one.body == other.body and bool(np.array_equal(one.arrays["a0"], other.arrays["a0"]))


@pytest.mark.guarantee("G24")
@pytest.mark.parametrize("change", [DirectoryStore.write, DirectoryStore.create])
def test_a_document_whose_folder_is_not_synced_is_told_and_stands_with_its_arrays(
    store: DirectoryStore, fail: Callable[[int], None], change: Change
) -> None:
    fail(FOLDER)
    with pytest.raises(StoreError, match="Input/output error"):
        change(store, NAME, NEW)
    assert is_same(store.read(NAME), NEW)
    assert files(store, ".tmp") == []


@pytest.mark.guarantee("G24")
def test_a_power_cut_may_then_bring_the_old_document_back_whole(
    store: DirectoryStore, fail: Callable[[int], None]
) -> None:
    store.write(NAME, OLD)
    (path,) = files(store, ".json")
    before = path.read_bytes()
    fail(FOLDER)
    with pytest.raises(StoreError):
        store.write(NAME, NEW)
    assert is_same(store.read(NAME), NEW)
    path.write_bytes(before)  # the rename did not reach the disk
    assert is_same(store.read(NAME), OLD)


def test_the_next_write_leaves_no_arrays_but_its_own(
    store: DirectoryStore, fail: Callable[[int], None]
) -> None:
    store.write(NAME, OLD)
    fail(FOLDER)
    with pytest.raises(StoreError):
        store.write(NAME, NEW)
    store.write(NAME, OLD)
    assert len(files(store, ".npz")) == 1
    assert is_same(store.read(NAME), OLD)


@pytest.mark.parametrize("change", [DirectoryStore.write, DirectoryStore.create])
def test_arrays_whose_own_folder_is_not_synced_are_named_by_nothing_and_removed(
    store: DirectoryStore, fail: Callable[[int], None], change: Change
) -> None:
    fail(ARRAYS_FOLDER)
    with pytest.raises(StoreError, match="Input/output error"):
        change(store, NAME, NEW)
    assert files(store, "") == [store.root / "run", store.root / "run/checkpoints"]


@pytest.mark.parametrize("error", [OSError(errno.ESTALE, "Stale file handle"), KeyboardInterrupt()])
def test_a_rename_that_was_done_although_it_raised_keeps_the_arrays(
    store: DirectoryStore, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    replace = os.replace

    def replaced(source: Path, target: Path) -> None:
        replace(source, target)
        if target.suffix == ".json":
            raise error

    monkeypatch.setattr(os, "replace", replaced)
    with pytest.raises((StoreError, KeyboardInterrupt)):
        store.write(NAME, NEW)
    assert is_same(store.read(NAME), NEW)


def test_arrays_are_kept_where_nobody_can_say_whether_they_are_named(
    store: DirectoryStore, fail: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unread(path: Path) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    fail(FOLDER)
    with monkeypatch.context() as context:
        context.setattr(Path, "read_bytes", unread)
        with pytest.raises(StoreError):
            store.write(NAME, NEW)
    assert is_same(store.read(NAME), NEW)


def test_a_claim_whose_record_is_not_synced_does_not_lock_this_process_out(
    store: DirectoryStore, fail: Callable[[int], None]
) -> None:
    journal = Journal(store, "run")
    fail(1)
    with pytest.raises(StoreError, match="Input/output error"):
        journal.claim(Settings(algorithm="toys:Toy"), {}, 30.0)
    assert journal.newest_epoch() == 1
    journal.claim(Settings(algorithm="toys:Toy"), {}, 30.0).release(None)

"""A run that a newer version went on with: refused in a sentence, and nothing is done twice."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import anyio
import numpy as np
import pytest

from loop.toys import Counting, Tally
from qcsc_loop.errors import NewerDocument
from qcsc_loop.rules.stop import MaxIterations
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.journal import Journal
from qcsc_loop.store.recovery import last_good
from qcsc_loop.values.codec import Codec
from qcsc_loop.values.encodings import FORMAT

RUN = "toy-1"
OLD, NEW = b'"format":%d,' % FORMAT, b'"format":%d,' % (FORMAT + 1)


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    """A store with a run of three iterations."""
    store = DirectoryStore(tmp_path / "store")
    drive(store, tmp_path / "trace", 3)
    return store


def drive(store: DirectoryStore, trace: Path, limit: int) -> None:
    async def run() -> None:
        await Counting(trace=str(trace)).run(store=store, run_id=RUN, stop=MaxIterations(limit))

    anyio.run(run)


def write_as_newer(path: Path) -> None:
    """The same document, as a version of the next format would have begun it."""
    rest = path.read_bytes().split(b",", 1)[1]
    assert rest.startswith(OLD)
    rest = NEW + rest.removeprefix(OLD)
    path.write_bytes(b'{"sha256":"%b",%b' % (hashlib.sha256(rest).hexdigest().encode(), rest))


def newest(store: DirectoryStore, folder: str) -> Path:
    return sorted((store.root / RUN / folder).glob("*.json"))[-1]


def test_recovery_does_not_step_back_past_a_newer_version_s_checkpoint(
    store: DirectoryStore,
) -> None:
    write_as_newer(newest(store, "checkpoints"))
    with pytest.raises(NewerDocument, match=r"00000003.* was written by a newer version"):
        last_good(Journal(store, RUN), Codec[Tally](Tally))


def test_nor_past_one_below_a_damaged_one(store: DirectoryStore) -> None:
    newest(store, "checkpoints").write_bytes(b"")
    write_as_newer(sorted((store.root / RUN / "checkpoints").glob("*.json"))[-2])
    with pytest.raises(NewerDocument, match="00000002"):
        last_good(Journal(store, RUN), Codec[Tally](Tally))


def test_the_newest_iteration_on_the_disk_is_not_taken_for_an_older_one(
    store: DirectoryStore,
) -> None:
    write_as_newer(newest(store, "checkpoints"))
    with pytest.raises(NewerDocument):
        Journal(store, RUN).newest_good()


NEWER: dict[str, Callable[[DirectoryStore], Path]] = {
    "checkpoint": lambda store: newest(store, "checkpoints"),
    "run": lambda store: store.root / RUN / "run.json",
    "driver": lambda store: store.root / RUN / "epochs/0001.json",
}


@pytest.mark.guarantee("G27")
@pytest.mark.parametrize("path", NEWER.values(), ids=NEWER.keys())
def test_a_resume_is_refused_before_any_hook_is_called_and_the_store_stays(
    store: DirectoryStore, tmp_path: Path, path: Callable[[DirectoryStore], Path]
) -> None:
    write_as_newer(path(store))
    before = {file.name: file.read_bytes() for file in store.root.rglob("checkpoints/*")}
    with pytest.raises(NewerDocument, match="update qcsc-loop"):
        drive(store, tmp_path / "again", 5)
    assert not (tmp_path / "again").exists()
    assert {file.name: file.read_bytes() for file in store.root.rglob("checkpoints/*")} == before


def test_a_step_that_a_newer_version_recorded_is_not_done_again(
    store: DirectoryStore, tmp_path: Path
) -> None:
    newest(store, "checkpoints").unlink()  # as if its driver had died before the commit
    for array in (store.root / RUN / "checkpoints").glob("00000003*"):
        array.unlink()
    write_as_newer(sorted((store.root / RUN / "steps").glob("00000003.sample.*.json"))[0])
    with pytest.raises(NewerDocument, match=r"00000003\.sample"):
        drive(store, tmp_path / "again", 3)
    assert not (tmp_path / "again").exists()


def test_a_run_of_this_format_goes_on(store: DirectoryStore, tmp_path: Path) -> None:
    drive(store, tmp_path / "again", 5)
    found = last_good(Journal(store, RUN), Codec[Tally](Tally))
    assert found is not None
    assert found.commit.iteration == found.state.count == 5
    assert np.all(found.state.numbers != 0)

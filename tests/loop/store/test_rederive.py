"""A run whose record, or newest driver's, is damaged goes on, and says what it took from where."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from loop.toys import Counting
from qcsc_loop.catalog import recorded_algorithm
from qcsc_loop.errors import DamagedDocument, ParametersChanged, RunLocked, RunNotFound, RunRenamed
from qcsc_loop.events import Event, Trouble
from qcsc_loop.reports.listing import Wanted, facts_of, read_runs
from qcsc_loop.reports.view import RunReader
from qcsc_loop.rules.stop import MaxIterations
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.journal import Journal, run_ids

RUN = "toy-1"
TOY = Counting(width=3, factor=2.0)


def run_to(root: Path, last: int | None, toy: Counting = TOY, seed: int | None = 5) -> list[str]:
    """Drives the run; what it had trouble with."""
    told: list[Event] = []

    async def drive() -> None:
        store = DirectoryStore(root)
        stop = {} if last is None else {"stop": MaxIterations(last)}
        given = {} if seed is None else {"seed": seed}
        await toy.run(store=store, run_id=RUN, observers=[told.append], **stop, **given)  # type: ignore[arg-type]

    anyio.run(drive)
    return [event.message for event in told if isinstance(event, Trouble)]


def final(root: Path) -> str:
    return Journal(DirectoryStore(root), RUN).history()[-1].state_sha256


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "a bit": flipped,
    "cut off": lambda path: path.write_bytes(path.read_bytes()[:40]),
    "empty": lambda path: path.write_bytes(b""),
    "no JSON, by its hash": lambda path: path.write_text("{}"),
}


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    """With a run that two drivers have brought to iteration 4."""
    run_to(tmp_path / "store", 2)
    run_to(tmp_path / "store", 4)
    return DirectoryStore(tmp_path / "store")


@pytest.fixture
def whole(tmp_path: Path) -> str:
    """The state after iteration 6 of a run that nothing happened to."""
    run_to(tmp_path / "whole", 6)
    return final(tmp_path / "whole")


@pytest.mark.parametrize("damage", [*DAMAGES, "gone"])
def test_the_run_s_record_is_taken_from_its_drivers(
    store: DirectoryStore, whole: str, damage: str
) -> None:
    journal, file = Journal(store, RUN), store.root / RUN / "run.json"
    before = journal.record()
    DAMAGES.get(damage, Path.unlink)(file)
    assert journal.exists()
    assert journal.record() == before  # seed, uid, parameters: all that its results and jobs need
    (said,) = run_to(store.root, 6, seed=None)
    assert said.startswith("the run's record is lost (it")
    assert said.endswith("and taken from that of its driver 1")
    assert final(store.root) == whole
    assert run_to(store.root, 7) == []  # mended


def test_it_is_not_taken_over_by_another_run_of_its_id(store: DirectoryStore) -> None:
    (store.root / RUN / "run.json").unlink()
    with pytest.raises(ParametersChanged, match=r"factor: 2\.0 -> 1\.0; seed: 5 -> 9"):
        run_to(store.root, 6, Counting(width=3), seed=9)


def test_where_the_first_driver_is_lost_too_it_says_what_it_assumes(
    store: DirectoryStore, whole: str
) -> None:
    flipped(store.root / RUN / "run.json")
    flipped(store.root / RUN / "epochs" / "0001.json")
    (said,) = run_to(store.root, 6, seed=None)
    assert "of its driver 2: its code and parameters are assumed to be those" in said
    assert final(store.root) == whole


def test_where_nothing_says_what_it_was_it_is_not_begun_anew(store: DirectoryStore) -> None:
    (store.root / RUN / "run.json").unlink()
    shutil.rmtree(store.root / RUN / "epochs")
    with pytest.raises(DamagedDocument, match="it is missing, and no record of a driver says"):
        run_to(store.root, 6)
    assert len(Journal(store, RUN).checkpoints()) == 5


@pytest.mark.parametrize("damage", DAMAGES)
def test_without_its_newest_driver_s_record_the_settings_of_the_one_before_are_taken(
    store: DirectoryStore, whole: str, damage: str
) -> None:
    journal = Journal(store, RUN)
    for name in ("0002", "0002-end"):
        DAMAGES[damage](store.root / RUN / "epochs" / f"{name}.json")
    (store.root / RUN / "epochs" / "0002.beat").unlink()
    assert recorded_algorithm(journal) == TOY
    assert journal.settings().rule() == MaxIterations(2)  # driver 1's
    (said,) = run_to(store.root, 6)
    assert said.startswith("the record of driver 2 is damaged: settings are those of driver 1")
    assert final(store.root) == whole
    assert [driver.epoch for driver in journal.epochs()] == [1, 3]


def test_a_driver_whose_record_is_damaged_still_holds_the_run_while_it_beats(
    store: DirectoryStore,
) -> None:
    for name in ("0002", "0002-end"):
        flipped(store.root / RUN / "epochs" / f"{name}.json")
    (store.root / RUN / "epochs" / "0002.beat").touch()
    with pytest.raises(RunLocked, match="a host that its damaged record does not tell"):
        run_to(store.root, 6)


def test_without_any_driver_s_record_the_next_one_has_a_number_of_its_own(
    store: DirectoryStore, whole: str
) -> None:
    shutil.rmtree(store.root / RUN / "epochs")
    assert run_to(store.root, 6) == []
    assert final(store.root) == whole
    assert Journal(store, RUN).checkpoints()[0] == "00000006.e0003"


def listed(store: DirectoryStore) -> dict[str, Any]:
    """The lines of the list, by the run's id."""
    return {view.run_id: facts_of(view) for view in read_runs(store, Wanted())}


def test_a_run_without_its_record_is_listed_as_damaged_and_resumable(
    store: DirectoryStore,
) -> None:
    (store.root / RUN / "run.json").unlink()
    assert run_ids(store) == [RUN]
    row = listed(store)[RUN]
    assert row["iteration"] == 4
    assert row["status"] == "max_iterations (damaged, resumable)"
    with pytest.raises(RunNotFound, match=RUN):
        Journal(store, "another").record()
    assert RunReader(store, RUN).glance().trouble.startswith("the run's record is lost")


@pytest.mark.parametrize("how", [shutil.move, shutil.copytree])
def test_a_run_whose_folder_was_renamed_or_copied_is_shown_and_not_driven(
    store: DirectoryStore, how: Callable[[Path, Path], object]
) -> None:
    """Its jobs are looked for by the run's name: two copies would pay for the same ones."""
    how(store.root / RUN, store.root / "copy")
    before = sorted(store.root.rglob("*"))
    stop = MaxIterations(9)
    with pytest.raises(RunRenamed, match=r"holds run 'toy-1': it was renamed, or copied.*: mv "):
        anyio.run(lambda: TOY.run(store=store, run_id="copy", stop=stop))
    with pytest.raises(RunRenamed):
        Journal(store, "copy").claim(Journal(store, "copy").settings(), {}, 30)
    assert sorted(store.root.rglob("*")) == before
    assert RunReader(store, "copy").look().iteration == 4
    if how is shutil.move:
        (store.root / "copy").rename(store.root / RUN)
    assert run_to(store.root, 5) == []


def test_a_folder_that_is_no_run_is_not_listed(store: DirectoryStore) -> None:
    for name in ("notes", "lost+found", "Backup-of-Runs/epochs", "empty/epochs"):
        (store.root / name).mkdir(parents=True)
    (store.root / "Backup-of-Runs" / "run.json").touch()
    assert run_ids(store) == [RUN]


def test_a_run_that_cannot_be_looked_at_hides_no_other(store: DirectoryStore) -> None:
    (store.root / "loop").symlink_to(store.root / "loop")
    assert run_ids(store) == ["loop", RUN]
    rows = listed(store)
    assert rows[RUN]["status"] == "max_iterations"
    assert "Too many levels of symbolic links" in rows["loop"]["status"]

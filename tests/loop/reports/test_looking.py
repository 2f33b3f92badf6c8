"""Looking at a run again and again."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from loop.reports.sqd_like import Actor, settings
from qcsc_loop.errors import RunNotFound, StoreError
from qcsc_loop.reports import looking
from qcsc_loop.reports.looking import Looker, phase_seconds
from qcsc_loop.reports.status import RunStatus
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.live import LiveRecord, SideFiles


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path / "store")


@pytest.fixture
def actor(store: DirectoryStore) -> Iterator[Actor]:
    acting = Actor(store)
    yield acting
    acting.vanish()


@pytest.mark.usefixtures("actor")
def test_of_a_long_history_the_first_look_has_the_end_and_the_next_one_all(
    store: DirectoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looking, "LONG_BYTES", 1000)
    looker = Looker(store, "sqd-long")
    first = looker.first_look()
    assert (first.is_first, list(first.view.history.iterations)) == (True, [109])
    assert first.view.best is None  # nobody knows yet
    assert (first.view.status, first.view.reference) == (RunStatus.RUNNING, ("FCI", -76.1210871))
    then = looker.look()
    assert (then.is_first, len(then.view.history)) == (False, 110)
    assert then.view.best is not None


@pytest.mark.usefixtures("actor")
def test_of_a_short_one_it_has_all(store: DirectoryStore) -> None:
    look = Looker(store, "sqd-long").first_look()
    assert (look.is_first, len(look.view.history)) == (False, 110)


@pytest.mark.usefixtures("actor")
def test_where_the_store_cannot_be_read_for_a_while_the_last_look_stays_and_says_so(
    store: DirectoryStore,
) -> None:
    looker, history = Looker(store, "sqd-long"), store.root / "sqd-long" / "history.jsonl"
    before = looker.look()
    away = history.rename(history.with_name("away"))
    history.mkdir()  # reading it fails, as on a disk that is away
    look = looker.look()
    assert look.view is before.view
    assert look.trouble
    history.rmdir()
    away.rename(history)
    assert not looker.look().trouble


@pytest.mark.usefixtures("actor")
def test_what_cannot_be_read_at_first_is_a_sentence(store: DirectoryStore) -> None:
    history = store.root / "sqd-long" / "history.jsonl"
    history.unlink()
    history.mkdir()
    with pytest.raises(StoreError, match="sqd-long"):
        Looker(store, "sqd-long").look()


def test_a_run_that_is_removed_meanwhile_is_not_found(store: DirectoryStore, actor: Actor) -> None:
    looker = Looker(store, "sqd-long")
    looker.look()
    actor.vanish()
    shutil.rmtree(store.root / "sqd-long")
    with pytest.raises(RunNotFound):
        looker.look()


def test_how_long_a_phase_goes_on_needs_one_clock_only(store: DirectoryStore, actor: Actor) -> None:
    looker = Looker(store, "sqd-long")
    looker.look()
    actor.act(phase="sample")
    look = looker.look()
    assert phase_seconds(look, look.at + 5.0) == pytest.approx(5.0, abs=0.5)


def test_what_a_driver_does_is_no_older_than_what_it_has_committed(
    store: DirectoryStore, actor: Actor
) -> None:
    """It says so once a second, and ten iterations may go by in one."""
    actor.commit(3)
    view = Looker(store, "sqd-long").look().view
    assert view.live is not None
    assert (view.live.iteration, view.live.phase, view.live.parts) == (112, "commit", ())
    assert view.sentence == "running, in commit of iteration 112"


def test_a_driver_that_goes_on_starts_after_the_last_iteration(
    store: DirectoryStore, actor: Actor
) -> None:
    actor.vanish()
    lease = actor.journal.claim(settings(), {}, 30.0)
    SideFiles(store, "sqd-long").write_live(LiveRecord(epoch=lease.epoch))
    view = Looker(store, "sqd-long").look().view
    assert view.sentence == "running, starting after iteration 109"
    lease.release(None)

"""A run is handed on to a tracker once, whatever dies on the way; the driver knows nothing of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from loop.reports.stored_runs import StoredRun, energies
from qcsc_loop.errors import InputError, RunNotFound
from qcsc_loop.rules.reason import Reason
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.tracking import following as module
from qcsc_loop.tracking.following import Following, find_tracker
from qcsc_loop.tracking.tracker import TrackedPoint, Tracker

told: list[str] = []
breaks_at: list[int] = []


class Toy(Tracker):
    """Notes what it is told, and fails where it is to."""

    def log(self, points: Sequence[TrackedPoint]) -> None:
        if breaks_at and breaks_at[0] in [point.iteration for point in points]:
            breaks_at.clear()
            raise OSError("the service is away")
        told.extend(str(point.iteration) for point in points)
        self.memory["calls"] = self.memory.get("calls", 0) + 1

    def end(self, status: str, message: str) -> None:
        told.append(status)


@pytest.fixture(autouse=True)
def _toy(monkeypatch: pytest.MonkeyPatch) -> None:
    told.clear()
    breaks_at.clear()
    monkeypatch.setattr(module, "find_tracker", lambda _name: Toy)
    monkeypatch.setattr(module, "AT_ONCE", 2)


@pytest.fixture
def run(tmp_path: Path) -> StoredRun:
    return StoredRun(tmp_path / "store").driver(reason=None).history(energies(5))


def following(run: StoredRun) -> Following:
    return Following(run.store, run.run_id, "toy")


def test_each_iteration_and_the_end_are_told_once(run: StoredRun) -> None:
    following(run).look()
    assert told == ["1", "2", "3", "4", "5", "driver gone"]
    again = following(run)
    again.look()
    assert told == ["1", "2", "3", "4", "5", "driver gone"]
    assert again.position.memory == {"calls": 3}


def test_after_a_resume_only_what_is_new_is_told(run: StoredRun) -> None:
    following(run).look()
    told.clear()
    more = {name: values[5:] for name, values in energies(8).items()}
    run.driver(2, Reason.CONVERGED)
    lines = run.journal.history()
    new = [
        lines[0].model_copy(update={"iteration": 6 + k, "epoch": 2, "scalars": {"energy": value}})
        for k, value in enumerate(more["energy"])
    ]
    run.journal.add_history(new)
    following(run).look()
    assert told == ["6", "7", "8", "converged"]


def test_what_was_not_taken_is_told_again(run: StoredRun) -> None:
    breaks_at.append(3)
    one = following(run)
    with pytest.raises(OSError, match="away"):
        one.look()
    assert told == ["1", "2"]
    one.look()
    assert told == ["1", "2", "3", "4", "5", "driver gone"]


def test_a_damaged_note_of_the_position_tells_all_again(run: StoredRun) -> None:
    following(run).look()
    (run.store.root / run.run_id / "tracked-toy.json").write_text('{"through": ')
    told.clear()
    following(run).look()
    assert told[0] == "1"


def test_there_has_to_be_a_run(tmp_path: Path) -> None:
    with pytest.raises(RunNotFound):
        Following(DirectoryStore(tmp_path), "nobodys", "toy")


def test_a_tracker_that_nobody_offers_is_answered_with_those_that_are_there() -> None:
    with pytest.raises(InputError, match="there is no tracker 'tensorbord'"):
        find_tracker("tensorbord")

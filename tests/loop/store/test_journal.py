"""A run's records: written, read back, preferred and pruned as the loop relies on it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from qcsc_loop.errors import DamagedDocument, LeaseLost, RunNotFound
from qcsc_loop.parameters.compare import to_plain
from qcsc_loop.rules.reason import Reason
from qcsc_loop.rules.retry import Retry
from qcsc_loop.rules.stop import AnyOf, Converged, MaxIterations, Plateau
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.journal import Journal, Lease, journals, run_ids
from qcsc_loop.store.lease import new_holder
from qcsc_loop.store.records import Commit, EndRecord, EpochRecord, RunRecord, Settings, StepNote
from qcsc_loop.store.store import Store
from qcsc_loop.values.codec import Codec
from qcsc_loop.values.document import Document
from qcsc_loop.values.record import NDArray, State

LEASE_SECONDS = 600.0
SETTINGS = Settings(
    algorithm="package.module:Class",
    parameters={"width": 3, "nested": {"type": "aer", "rates": [0.5, None]}},
    stop=to_plain(MaxIterations(7) | (Converged(times=2) & Plateau(3, 0.1, scalar="energy"))),
    keep=None,
    retry=Retry(times=2, on=("OSError",)),
)


class Vector(State):
    values: NDArray


CODEC: Codec[Vector] = Codec(Vector)


@pytest.fixture
def journal(store: Store) -> Journal:
    journal = Journal(store, "run-1")
    journal.create(record())
    return journal


@pytest.fixture
def lease(journal: Journal) -> Iterator[Lease]:
    held = journal.claim(SETTINGS, {}, LEASE_SECONDS)
    yield held
    held.release(None)


def record(run_id: str = "run-1") -> RunRecord:
    facts = {"python": "3.11.7", "versions": {"numpy": "2.4"}, "source": None}
    return RunRecord(run_id=run_id, seed=7, settings=SETTINGS, provenance=facts)


def ended(lease: Lease, reason: Reason = Reason.INTERRUPTED) -> EndRecord:
    return EndRecord(epoch=lease.epoch, reason=reason, iteration=3)


def overtake(lease: Lease) -> Lease:
    """A newer driver, while this one still believes that it holds the run."""
    journal = lease.journal
    newer = lease.record.model_copy(update={"epoch": lease.epoch + 1})
    name = f"{journal.run_id}/epochs/{newer.epoch:04d}"
    assert journal.store.create(name, Document(newer.model_dump_json().encode()))
    return Lease(journal, newer, lease.beat)


def state(number: float) -> Document:
    return CODEC.encode(Vector(values=np.full(200, float(number))))


def commit(iteration: int, epoch: int, number: float = 0.0, **more: object) -> Commit:
    facts = {"iteration": iteration, "epoch": epoch, "state_sha256": state(number).sha256}
    return Commit.model_validate(facts | more)


def note(iteration: int, epoch: int, step: str = "sample") -> StepNote:
    return StepNote(iteration=iteration, step=step, epoch=epoch, state_sha256="0" * 64, seconds=1)


def number_in(document: Document) -> float:
    return float(CODEC.decode(document).values[0])


# what the run is


def test_a_run_s_record_comes_back_as_it_was(journal: Journal) -> None:
    there = journal.record()
    created = record().model_copy(update={"created": there.created, "uid": there.uid})
    assert journal.record() == created


def test_a_record_from_before_there_were_uids_has_the_time_of_its_creation_for_one() -> None:
    old = record().model_dump(mode="json", exclude={"uid"})
    read = RunRecord.model_validate_json(json.dumps(old))
    assert read.uid == read.created.isoformat()  # as its jobs' names have it


def test_the_time_in_a_record_comes_back_exactly() -> None:
    at = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
    written = record().model_copy(update={"created": at})
    assert RunRecord.model_validate_json(written.model_dump_json()) == written


def test_composed_stop_rules_come_back_as_their_classes(journal: Journal) -> None:
    stop = journal.record().settings.rule()
    assert isinstance(stop, AnyOf)
    assert stop == SETTINGS.rule()


def test_a_record_with_fields_of_a_later_version_can_be_read(journal: Journal) -> None:
    later = journal.record().model_dump(mode="json") | {"invented_later": [1, 2]}
    assert RunRecord.model_validate(later) == journal.record()


def test_a_run_can_be_created_once(journal: Journal) -> None:
    other = record().model_copy(update={"seed": 8})
    assert not journal.create(other)
    assert journal.record().seed == 7


def test_a_created_run_exists(store: Store, journal: Journal) -> None:
    assert journal.exists()
    assert not Journal(store, "run-2").exists()


def test_a_run_that_is_not_there_is_refused_with_those_that_are(
    store: Store, journal: Journal
) -> None:
    with pytest.raises(RunNotFound, match=r"no run 'run-2' in .*\. Runs there: run-1\."):
        Journal(store, "run-2").record()


def test_runs_are_listed_by_name(store: Store) -> None:
    for run_id in ("b", "a", "c"):
        Journal(store, run_id).create(record(run_id))
    store.write("no-run/something", Document(b"1"))
    assert run_ids(store) == ["a", "b", "c"]
    assert [journal.run_id for journal in journals(store)] == ["a", "b", "c"]


def test_a_damaged_run_record_says_so(tmp_path: Path) -> None:
    journal = Journal(DirectoryStore(tmp_path), "run-1")
    journal.create(record())
    path = tmp_path / "run-1" / "run.json"
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(DamagedDocument, match="run-1"):
        journal.record()


# who drives it


def test_a_driver_s_record_comes_back_as_it_was(journal: Journal, lease: Lease) -> None:
    (found,) = journal.epochs()
    assert found == lease.record
    assert EpochRecord.model_validate_json(found.model_dump_json()) == found


def test_the_end_of_a_driver_comes_back_as_it_was(journal: Journal, lease: Lease) -> None:
    end = EndRecord(
        epoch=1,
        reason=Reason.FAILED,
        because="HookFailed",
        iteration=3,
        error="one line",
        traceback="many\nlines\n",
    )
    lease.release(end)
    assert journal.end(1) == end


def test_a_driver_that_has_not_ended_has_no_end(journal: Journal, lease: Lease) -> None:
    assert journal.end(lease.epoch) is None


def test_settings_are_those_of_the_newest_driver(journal: Journal) -> None:
    for iterations in (5, 6):
        settings = Settings(algorithm="a:B", stop=to_plain(MaxIterations(iterations)))
        lease = journal.claim(settings, {}, LEASE_SECONDS)
        lease.release(ended(lease))
    assert journal.settings().rule() == MaxIterations(6)


def test_settings_before_the_first_driver_are_those_of_the_run(journal: Journal) -> None:
    assert journal.settings() == SETTINGS


# steps


def test_a_step_comes_back_with_its_note(journal: Journal, lease: Lease) -> None:
    lease.save_step(note(3, 1), state(2.5))
    found = journal.step(3, "sample")
    assert found is not None
    assert found[0] == note(3, 1)
    assert number_in(found[1]) == 2.5


@pytest.mark.parametrize(("iteration", "step"), [(3, "evaluate"), (2, "sample"), (30, "sample")])
def test_a_step_that_was_not_recorded_is_none(
    journal: Journal, lease: Lease, iteration: int, step: str
) -> None:
    lease.save_step(note(3, 1), state(0))
    assert journal.step(iteration, step) is None


def test_a_step_is_not_taken_for_another_one_of_a_longer_name(
    journal: Journal, lease: Lease
) -> None:
    lease.save_step(note(3, 1, "sample_twice"), state(0))
    assert journal.step(3, "sample") is None


def test_of_a_repeated_step_the_newest_driver_s_is_taken(journal: Journal, lease: Lease) -> None:
    lease.save_step(note(3, 1), state(1))
    newer = overtake(lease)
    newer.save_step(note(3, 2), state(2))
    found = journal.step(3, "sample")
    assert found is not None
    assert (found[0].epoch, number_in(found[1])) == (2, 2)


# checkpoints


def test_a_checkpoint_comes_back_with_its_commit(journal: Journal, lease: Lease) -> None:
    made = commit(3, 1, 2.5, scalars={"energy": -1.5, "gap": math.inf}, seconds={"sample": 0.25})
    lease.commit(made, state(2.5))
    (name,) = journal.checkpoints()
    found, document = journal.checkpoint(name)
    assert found == made
    assert number_in(document) == 2.5


def test_checkpoints_are_listed_newest_first(journal: Journal, lease: Lease) -> None:
    for iteration in (0, 1, 10, 2):
        lease.commit(commit(iteration, 1), state(0))
    found = [journal.checkpoint(name)[0].iteration for name in journal.checkpoints()]
    assert found == [10, 2, 1, 0]


def test_of_a_repeated_iteration_the_newest_driver_s_checkpoint_is_first(
    journal: Journal, lease: Lease
) -> None:
    lease.commit(commit(3, 1, 1.0), state(1.0))
    overtake(lease).commit(commit(3, 2, 2.0), state(2.0))
    assert [journal.checkpoint(name)[0].epoch for name in journal.checkpoints()] == [2, 1]


def test_a_checkpoint_of_another_state_is_damaged(journal: Journal, lease: Lease) -> None:
    lease.commit(commit(3, 1, 1.0), state(2.0))
    with pytest.raises(DamagedDocument, match="not the one that was committed"):
        journal.checkpoint(journal.checkpoints()[0])


# a driver that was overtaken


def test_an_overtaken_driver_cannot_save_a_step(journal: Journal, lease: Lease) -> None:
    overtake(lease)
    with pytest.raises(LeaseLost, match=r"\(epoch 1\) lost run 'run-1' to a newer one \(epoch 2\)"):
        lease.save_step(note(3, 1), state(1))
    assert journal.step(3, "sample") is None


def test_an_overtaken_driver_cannot_commit(journal: Journal, lease: Lease) -> None:
    overtake(lease)
    with pytest.raises(LeaseLost):
        lease.commit(commit(3, 1), state(0))
    assert journal.checkpoints() == []
    assert journal.history() == []


def test_an_overtaken_driver_writes_no_end(journal: Journal, lease: Lease) -> None:
    overtake(lease)
    lease.release(ended(lease))
    assert journal.end(1) is None


def test_an_overtaken_driver_does_not_prune_what_the_newer_one_wrote(
    journal: Journal, lease: Lease
) -> None:
    overtake(lease).commit(commit(3, 2, 2.0), state(2.0))
    with pytest.raises(LeaseLost):
        lease.prune(3)
    assert len(journal.checkpoints()) == 1


def test_a_write_that_was_under_way_when_the_driver_was_overtaken_replaces_nothing(
    journal: Journal, lease: Lease
) -> None:
    overtake(lease).commit(commit(3, 2, 2.0), state(2.0))
    # as if the check had passed just before the newer driver came
    journal.add_checkpoint(commit(3, 1, 1.0), state(1.0))
    found, document = journal.checkpoint(journal.checkpoints()[0])
    assert (found.epoch, number_in(document)) == (2, 2.0)


# history


def test_the_history_has_every_iteration_in_order(journal: Journal, lease: Lease) -> None:
    for iteration in range(12):
        lease.commit(commit(iteration, 1), state(0))
    assert [done.iteration for done in journal.history()] == list(range(12))


def test_a_commit_comes_back_from_the_history_as_it_was(journal: Journal, lease: Lease) -> None:
    made = commit(3, 1, scalars={"a": -math.inf, "b": 0.1 + 0.2}, converged=True)
    lease.commit(made, state(0))
    assert journal.history() == [made]


def test_a_nan_in_the_history_stays_one(journal: Journal, lease: Lease) -> None:
    lease.commit(commit(3, 1, scalars={"energy": math.nan}), state(0))
    assert math.isnan(journal.history()[0].scalars["energy"])


def test_of_a_repeated_iteration_the_history_has_the_newest_driver_s(
    journal: Journal, lease: Lease
) -> None:
    journal.add_history([commit(3, 1), commit(4, 1), commit(3, 2), commit(5, 2)])
    found = [(done.iteration, done.epoch) for done in journal.history()]
    assert found == [(3, 2), (4, 1), (5, 2)]


def test_a_late_line_of_an_older_driver_does_not_count(journal: Journal, lease: Lease) -> None:
    journal.add_history([commit(3, 2), commit(3, 1)])
    assert [done.epoch for done in journal.history()] == [2]


def test_a_torn_line_is_left_out_of_the_history(tmp_path: Path) -> None:
    journal = Journal(DirectoryStore(tmp_path), "run-1")
    journal.add_history([commit(1, 1)])
    with (tmp_path / "run-1" / "history.jsonl").open("ab") as file:
        file.write(commit(2, 1).model_dump_json().encode()[:40])
    journal.add_history([commit(3, 2)])
    assert [done.iteration for done in journal.history()] == [1, 3]


def test_a_run_without_a_commit_has_no_history(journal: Journal) -> None:
    assert journal.history() == []


# pruning


def committed_and_saved(lease: Lease, iterations: int) -> None:
    for iteration in range(iterations):
        lease.save_step(note(iteration, 1), state(0))
        (lease.journal.work_folder(iteration, "sample") / "file").write_text("content")
        lease.commit(commit(iteration, 1), state(0))


def test_pruning_removes_state_and_steps_up_to_the_iteration(
    journal: Journal, lease: Lease
) -> None:
    committed_and_saved(lease, 12)
    lease.prune(1)
    assert journal.checkpoints()[::-1] == [f"{k:08d}.e0001" for k in range(2, 12)]
    assert [k for k in range(12) if journal.step(k, "sample") is None] == [0, 1]


def test_pruning_removes_the_work_folders_up_to_the_iteration(
    journal: Journal, lease: Lease
) -> None:
    committed_and_saved(lease, 3)
    folder = journal.work_folder(1, "sample")
    lease.prune(1)
    assert not folder.exists()
    assert (journal.work_folder(2, "sample") / "file").exists()


def test_pruning_leaves_the_history(journal: Journal, lease: Lease) -> None:
    committed_and_saved(lease, 3)
    lease.prune(1)
    assert [done.iteration for done in journal.history()] == [0, 1, 2]


def test_pruning_removes_what_all_drivers_wrote(journal: Journal, lease: Lease) -> None:
    lease.commit(commit(1, 1), state(0))
    newer = overtake(lease)
    newer.commit(commit(1, 2), state(0))
    newer.prune(1)
    assert journal.checkpoints() == []


def test_pruning_twice_is_pruning_once(journal: Journal, lease: Lease) -> None:
    committed_and_saved(lease, 3)
    lease.prune(1)
    lease.prune(1)
    assert len(journal.checkpoints()) == 1


# drivers on other disks


def epoch_record(number: int) -> EpochRecord:
    return EpochRecord(
        epoch=number,
        holder=new_holder(),
        lease_seconds=LEASE_SECONDS,
        settings=SETTINGS,
        provenance={},
    )


def test_a_driver_of_another_disk_leaves_a_note_for_those_who_look_for_jobs(
    journal: Journal, store: Store
) -> None:
    journal.adopt_driver(epoch_record(1), None)
    assert "elsewhere" in store.names("run-1")


def test_a_driver_of_this_disk_that_is_read_back_leaves_none(
    journal: Journal, lease: Lease, store: Store
) -> None:
    journal.adopt_driver(lease.record, None)
    assert "elsewhere" not in store.names("run-1")

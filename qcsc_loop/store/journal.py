"""One run in a store: what it is, who drives it, its steps, checkpoints and history.

    run.json                         RunRecord, written once
    epochs/0002.json                 EpochRecord: the second driver
    epochs/0002.beat                 its signs of life
    epochs/0002-end.json             EndRecord: how it ended
    epochs/0002-cancel.json          CancelOrder: it is to end
    epochs/0002-next.json            a newer driver is there, and its number is not the next one
    epochs/0002-superseded.json      it lived when a newer one took the run, and saw it
    steps/00000007.sample.e0002      what `sample` returned in iteration 7
    checkpoints/00000007.e0002       Commit and state after iteration 7; those of old landmarks stay
    history.jsonl                    every Commit, kept for ever
    live.json, chart.json, log.jsonl   for people who look on; see live.py
    work/00000007-evaluate/          the step's own files

Names carry the epoch: a stale driver never overwrites what a newer one wrote, and readers prefer
the newer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Container, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from qcsc_loop.concurrency.process_life import Life
from qcsc_loop.errors import (
    DamagedDocument,
    LeaseLost,
    NewerDocument,
    RunLocked,
    RunNotBegun,
    RunNotFound,
    RunRenamed,
    StoreError,
)
from qcsc_loop.plain import Json
from qcsc_loop.store.heartbeat import Heartbeat
from qcsc_loop.store.history import History
from qcsc_loop.store.lease import Hold, held, look_at_hold, new_holder
from qcsc_loop.store.records import (
    RUN_ID,
    CancelOrder,
    Commit,
    EndRecord,
    EpochRecord,
    RunRecord,
    Settings,
    StepNote,
    now,
)
from qcsc_loop.store.rederive import in_words, rederived
from qcsc_loop.store.store import Store
from qcsc_loop.store.versions import newer_version, this_version
from qcsc_loop.values.document import Document

R = TypeVar("R", bound=BaseModel)

MOST_LOOKED_AT = 8  # drivers without an end, before a run is gone on with
IMPORTED = "imported"  # a run's document: it was made elsewhere, by whoever made it

_RUN = re.compile(RUN_ID)
_ITERATION = re.compile(r"\d{8,}(?=[.-])")
_EPOCH = re.compile(r"\.e(\d+)$")


# Many short methods: one for each record of a run, and only here are the records' names known.
class Journal:
    """A run's records. Reading needs no lease; writing goes through `claim`."""

    def __init__(self, store: Store, run_id: str) -> None:
        self.store, self.run_id = store, run_id
        self.commits = History(store, f"{run_id}/history.jsonl")

    # what the run is

    def exists(self) -> bool:
        """Whether the store has this run, or what is left of it."""
        return "run" in self.store.names(self.run_id) or self._has_remains()

    def _has_remains(self) -> bool:
        return any(map(self.store.names, (self._epochs, self._checkpoints)))

    def record(self) -> RunRecord:
        """What the run is; where its record is lost, as its drivers' records have it.

        Raises:
            RunNotFound: the store has no such run.
            DamagedDocument: its record is lost, and no other one says what it was.
        """
        found, why = self.own_record()
        return rederived(self.run_id, self.epochs(), why) if found is None else found

    def own_record(self) -> tuple[RunRecord | None, str]:
        """What is written of what the run is; else None, and why.

        Raises:
            RunNotFound: the store has no such run.
        """
        try:
            content = self.store.read(f"{self.run_id}/run").body
            return self._load(RunRecord, content, self.run_id), ""
        except KeyError:
            if self._has_remains():
                return None, "it is missing"
            raise RunNotFound(self.run_id, self.store.place, run_ids(self.store)) from None
        except DamagedDocument as error:
            return None, error.why

    def _identity(self) -> Json:
        """What every driver's record says again."""
        try:
            record = self.record()
        except (RunNotFound, DamagedDocument):
            return {}
        if record.run_id != self.run_id:
            raise RunRenamed(record.run_id, self.run_id, self.store.place)
        return {"seed": record.seed, "created": record.created, "uid": record.uid}

    def create(self, record: RunRecord) -> bool:
        """Writes what the run is; False if it exists, or a run of this id has left anything."""
        name = f"{self.run_id}/run"
        if self.store.has(name) or self._has_remains():  # its drivers are listed where it is lost
            return False
        try:
            return self.store.create(name, _document(record))
        except StoreError as error:
            raise RunNotBegun(error.action, error.place, error.why) from error

    def mend(self, record: RunRecord) -> None:
        """Writes what the run is where that is lost."""
        self.store.write(f"{self.run_id}/run", _document(record))

    def assumed(self) -> str:
        """What is taken from elsewhere since its record is damaged, in words; empty: nothing is."""
        said: list[str] = []
        found, why = self.own_record()
        newest = self.newest_epoch()
        is_damaged = newest > 0 and self._is_damaged(newest)
        # that of thousands of drivers is read only where it is needed
        drivers = self.epochs() if found is None or is_damaged else []
        if found is None and drivers:
            said.append(in_words(drivers, why))
        if is_damaged:
            whose = f"driver {drivers[-1].epoch}" if drivers else "the run's beginning"
            said.append(
                f"the record of driver {newest} is damaged: settings are those of {whose}, its stop "
                "rule included"
            )
        return "; ".join(said)

    def _is_damaged(self, epoch: int) -> bool:
        try:
            self.epoch(epoch)
        except DamagedDocument:
            return True
        return False

    # who drives it

    def epochs(self) -> list[EpochRecord]:
        """Every driver so far, oldest first, but for those whose record is damaged."""
        names = self.store.names(self._epochs)
        found: list[EpochRecord] = []
        for number in sorted(int(name) for name in names if name.isdigit()):
            with suppress(DamagedDocument):
                found.append(self.epoch(number))
        return found

    def epoch(self, number: int) -> EpochRecord:
        """One driver."""
        name = f"{self._epochs}/{number:04d}"
        record = self._load(EpochRecord, self.store.read(name).body, name)
        if record.epoch != number:
            raise DamagedDocument(name, f"it is the record of driver {record.epoch}")
        return record

    def newest_epoch(self) -> int:
        """The epoch that may write; 0 if there was none.

        Epochs are in a row but where a driver of another disk was adopted, so that a few looks find
        the last of thousands; where a later one is known of, all are listed.
        """
        newest = last_in_a_row(lambda number: self.store.has(f"{self._epochs}/{number:04d}"))
        worked = max(map(_epoch_of, self.store.names(self._checkpoints)), default=0)
        if newest >= max(1, worked) and not self.store.has(f"{self._epochs}/{newest:04d}-next"):
            return newest
        names = self.store.names(self._epochs)
        return max((int(name) for name in names if name.isdigit()), default=0)

    def is_superseded(self, epoch: int) -> bool:
        """Whether there is a newer driver; asked before every write, however many there were."""
        following = f"{self._epochs}/{epoch + 1:04d}", f"{self._epochs}/{epoch:04d}-next"
        return any(self.store.has(name) for name in following)

    def end(self, epoch: int) -> EndRecord | None:
        """How an epoch ended; None while it lives, or if nothing that can be read says so."""
        name = f"{self._epochs}/{epoch:04d}-end"
        try:
            return self._load(EndRecord, self.store.read(name).body, name)
        except (KeyError, DamagedDocument):
            return None

    def superseded_by(self, epoch: int) -> int | None:
        """The driver that an epoch's saw to have taken the run from it; None if it saw none."""
        try:
            said = _object(self.store.read(f"{self._epochs}/{epoch:04d}-superseded").body)
        except (KeyError, StoreError, DamagedDocument):
            return None
        return by if isinstance(by := said.get("by"), int) else None

    def order_end(self, epoch: int, order: CancelOrder) -> None:
        """Asks a driver to end, wherever it is; it looks for that every second."""
        self.store.write(f"{self._epochs}/{epoch:04d}-cancel", _document(order))

    def end_ordered(self, epoch: int) -> CancelOrder | None:
        """That an epoch's driver is to end; None: nobody has asked it to.

        Raises:
            StoreError: it cannot be read, or not yet.
        """
        name = f"{self._epochs}/{epoch:04d}-cancel"
        if not self.store.has(name):
            return None
        return self._load(CancelOrder, self.store.read(name).body, name)

    def hold(self, record: EpochRecord) -> Hold:
        """How an epoch's driver, which has not ended, holds the run."""
        return look_at_hold(self.store, self._epochs, record)

    def may_write_late(self, epochs: range) -> bool:
        """Whether one of these drivers, though not the newest, may stand still before a write.

        It has looked for a newer one before that was there. Of thousands a few are looked at: of the
        others it is taken for granted.
        """
        if not epochs:
            return False
        # where they are few, as they are but for many that committed nothing, not all are listed
        listed = set(self.store.names(self._epochs)) if len(epochs) > MOST_LOOKED_AT else None

        def is_there(name: str) -> bool:
            return self.store.has(f"{self._epochs}/{name}") if listed is None else name in listed

        unended = [e for e in epochs if is_there(f"{e:04d}") and not is_there(f"{e:04d}-end")]
        return len(unended) > MOST_LOOKED_AT or any(map(self._may_live, unended))

    def _may_live(self, epoch: int) -> bool:
        try:
            record = self.epoch(epoch)
        except DamagedDocument:
            return True
        return self.superseded_by(epoch) is None and self.hold(record).life is not Life.DEAD

    def settings(self) -> Settings:
        """What the newest driver ran the run with, of those whose record can be read."""
        newest = self.newest_epoch()
        if newest:
            with suppress(DamagedDocument):
                return self.epoch(newest).settings
        drivers = self.epochs() if newest else []
        return drivers[-1].settings if drivers else self.record().settings

    def written_by_other(self) -> str:
        """Who else may have written what the run is, or its newest settings; empty: nobody."""
        names = [f"{self.run_id}/run"]
        if newest := self.newest_epoch():
            names.append(f"{self._epochs}/{newest:04d}")
        return next((who for name in names if (who := self.store.written_by_other(name))), "")

    def was_imported(self) -> bool:
        """Whether it came from a file, whose writer may have been anybody."""
        return self.store.has(f"{self.run_id}/{IMPORTED}")

    def claim(
        self, settings: Settings, provenance: Json, lease_seconds: float, *, take_over: bool = False
    ) -> Lease:
        """Makes this process the run's one driver.

        Args:
            take_over: from whoever holds it, dead or alive; that one may write nothing any more.

        Raises:
            RunLocked: another one is alive, or was until less than its lease ago.
            RunRenamed: its folder has another name.
        """
        identity = self._identity()
        # where records of drivers are gone, checkpoints have their numbers
        worked = max(map(_epoch_of, self.store.names(self._checkpoints)), default=0)
        last = max(self.newest_epoch(), worked)
        if last and not take_over:
            self._refuse_if_held(last, lease_seconds)
        record = EpochRecord(
            epoch=last + 1,
            holder=new_holder(),
            lease_seconds=lease_seconds,
            settings=settings,
            provenance=provenance,
            **identity,
        )
        beat = Heartbeat(self.store, f"{self._epochs}/{record.epoch:04d}.beat", lease_seconds / 5)
        self.store.touch(f"{self._epochs}/{record.epoch:04d}.beat")  # alive before it is seen
        held.add(record.holder)
        try:
            first = self.store.create(f"{self._epochs}/{record.epoch:04d}", _document(record))
            adopted = self.store.has(f"{self._epochs}/{last:04d}-next")
        except BaseException:  # the record may stand all the same, and nobody drives it
            held.remove(record.holder)
            raise
        if not first:
            held.remove(record.holder)
            # two claimed at once, and the other one won
            self._refuse_if_held(last + 1, lease_seconds)
            return self.claim(settings, provenance, lease_seconds)
        if adopted:  # another one meanwhile
            held.remove(record.holder)
            self.store.create(f"{self._epochs}/{record.epoch:04d}-next", Document(b"{}"))
            return self.claim(settings, provenance, lease_seconds)
        lease = Lease(self, record, beat)
        try:
            beat.start()
            for folder in (self._steps, self._checkpoints):
                self.store.sweep(folder)
        except BaseException:
            lease.release(None)
            raise
        return lease

    def require_free(self, lease_seconds: float) -> None:
        """Makes sure that no driver holds the run.

        Raises:
            RunLocked: one does.
        """
        if newest := self.newest_epoch():
            self._refuse_if_held(newest, lease_seconds)

    def _refuse_if_held(self, epoch: int, lease_seconds: float) -> None:
        try:
            record = self.epoch(epoch)
        except (KeyError, DamagedDocument):
            self._refuse_if_beating(epoch, lease_seconds)
            return
        if self.end(epoch) is not None or (hold := self.hold(record)).is_free:
            return
        raise RunLocked(
            self.run_id,
            record.holder.host,
            record.holder.pid,
            record.since,
            hold.seconds,
            lives=hold.life is Life.LIVES,
        )

    def _refuse_if_beating(self, epoch: int, lease_seconds: float) -> None:
        """Of a driver of which nothing is left but its signs of life."""
        age = self.store.age(f"{self._epochs}/{epoch:04d}.beat")
        if age is None or age >= lease_seconds:
            return
        where = "a host that its damaged record does not tell"
        raise RunLocked(self.run_id, where, 0, now() - timedelta(seconds=age), lease_seconds - age)

    # what it did

    def step(self, iteration: int, step: str) -> tuple[StepNote, Document] | None:
        """A step's record; None if there is none.

        Raises:
            DamagedDocument: there is one, and it does not verify.
        """
        prefix = f"{iteration:08d}.{step}.e"
        names = [n for n in self.store.names(self._steps) if n.startswith(prefix)]
        if not names:
            return None
        newest = max(names, key=_epoch_of)
        document = self.store.read(f"{self._steps}/{newest}")
        note = self._load(StepNote, document.meta, newest)
        if (note.iteration, note.step) != (iteration, step):
            raise DamagedDocument(
                newest, f"it is that of {note.step} in iteration {note.iteration}"
            )
        return note, document

    def newest_step(self) -> int:
        """The newest iteration that has a step's record; 0 if none has."""
        names = self.store.names(self._steps)
        return max((iteration_of(name) for name in names), default=0)

    def checkpoints(self) -> list[str]:
        """Names of the checkpoints that are left, newest first."""
        names = self.store.names(self._checkpoints)
        return sorted(names, key=lambda name: (iteration_of(name), _epoch_of(name)), reverse=True)

    def checkpoint(self, name: str) -> tuple[Commit, Document]:
        """A checkpoint by name: its commit and the document of its state.

        Raises:
            DamagedDocument: it does not verify.
        """
        document = self.store.read(f"{self._checkpoints}/{name}")
        commit = self._load(Commit, document.meta, name)
        if document.sha256 != commit.state_sha256:
            raise DamagedDocument(name, "its state is not the one that was committed")
        if commit.rank != (iteration_of(name), _epoch_of(name)):
            raise DamagedDocument(name, f"it is that of iteration {commit.iteration}")
        return commit, document

    def history(self) -> list[Commit]:
        """Every committed iteration, oldest first; of repeated ones the newest epoch's."""
        return self.commits.whole()

    def last_iteration(self) -> int | None:
        """The newest committed one; None before there is one."""
        newest = self.commits.newest()
        return None if newest is None else newest.iteration

    # who wrote it

    def newer_version(self) -> str | None:
        """The version of a driver that knew more than this one; None if there was none."""
        provenances = [self.record().provenance, *(epoch.provenance for epoch in self.epochs())]
        newer = [version for each in provenances if (version := newer_version(each)) is not None]
        return newer[-1] if newer else None

    def _load(self, kind: type[R], content: bytes, name: str) -> R:
        try:
            return kind.model_validate_json(content)
        except ValidationError as error:
            why = error.errors()[0]["msg"]
            if (theirs := newer_version(self._provenance(_object(content)))) is not None:
                raise NewerDocument(name, theirs, this_version(), why) from error
            raise DamagedDocument(name, why) from error

    def _provenance(self, record: Json) -> object:
        """Of a record, or of the driver that wrote it."""
        if "provenance" in record or not isinstance(record.get("epoch"), int):
            return record.get("provenance")
        try:
            driver = self.store.read(f"{self._epochs}/{record['epoch']:04d}")
        except (KeyError, StoreError):
            return None
        return _object(driver.body).get("provenance")

    # writing without a lease: for `Lease`, and for what was made elsewhere

    def adopt_driver(self, epoch: EpochRecord, end: EndRecord | None) -> None:
        """Takes over a driver that worked elsewhere: it ranks before every later one here."""
        self._mark_superseded(epoch.epoch)
        if self.store.create(f"{self._epochs}/{epoch.epoch:04d}", _document(epoch)):
            # it may have left jobs that no log here knows
            self.store.create(f"{self.run_id}/elsewhere", _document(epoch))
        self._mark_superseded(epoch.epoch)  # again: one may have claimed the run in between
        if end is not None:
            self.store.create(f"{self._epochs}/{epoch.epoch:04d}-end", _document(end))

    def _mark_superseded(self, epoch: int) -> None:
        """Tells the driver before, if its number leaves a gap: it looks at the next one alone."""
        numbers = [int(name) for name in self.store.names(self._epochs) if name.isdigit()]
        before = max((number for number in numbers if number < epoch), default=epoch)
        if before + 1 < epoch:
            self.store.create(f"{self._epochs}/{before:04d}-next", Document(b"{}"))

    def add_checkpoint(self, commit: Commit, state: Document) -> None:
        """Writes a checkpoint; a lease commits, this also takes over what was made elsewhere."""
        name = f"{commit.iteration:08d}.e{commit.epoch:04d}"
        self.store.write(f"{self._checkpoints}/{name}", _annotated(state, commit))

    def add_history(self, commits: list[Commit]) -> None:
        """Adds lines to the history, durably."""
        self.commits.add(commits)

    def newest_good(self) -> int:
        """The newest iteration whose checkpoint verifies; -1 if there is none."""
        newest = self.newest_good_commit()
        return -1 if newest is None else newest.iteration

    def newest_good_commit(self) -> Commit | None:
        """That of the newest checkpoint that verifies; None if there is none."""
        for name in self.checkpoints():
            try:
                commit, state = self.checkpoint(name)
                state.verify()
            except (DamagedDocument, KeyError):
                continue
            return commit
        return None

    def work_folder(self, iteration: int, step: str) -> Path:
        """The step's folder, made if need be."""
        return self.store.folder(f"{self.run_id}/work/{iteration:08d}-{step}")

    @property
    def _epochs(self) -> str:
        return f"{self.run_id}/epochs"

    @property
    def _steps(self) -> str:
        return f"{self.run_id}/steps"

    @property
    def _checkpoints(self) -> str:
        return f"{self.run_id}/checkpoints"


class Lease:
    """The right to write to a run, for as long as no newer epoch exists."""

    def __init__(self, journal: Journal, record: EpochRecord, beat: Heartbeat) -> None:
        self.journal, self.record, self.beat = journal, record, beat
        self._store = journal.store

    @property
    def epoch(self) -> int:
        """This driver's fencing token."""
        return self.record.epoch

    def check(self) -> None:
        """Raises LeaseLost if another driver has taken over."""
        if self.journal.is_superseded(self.epoch):
            raise LeaseLost(self.journal.run_id, self.epoch, self.journal.newest_epoch())

    def refuse_if_lost(self, because: Exception) -> None:
        """Raises LeaseLost where that is what lies behind an error.

        A newer driver sweeps and prunes what this one is writing or reading: files that are not
        there are no fault of the disk, nor of the hook that wanted them.
        """
        try:
            self.check()
        except LeaseLost as lost:
            raise lost from because
        except StoreError:  # the disk cannot say: the error speaks for itself
            return

    def save_step(self, note: StepNote, value: Document) -> None:
        """Keeps what a hook returned."""
        self.check()
        name = f"{note.iteration:08d}.{note.step}.e{self.epoch:04d}"
        self._store.write(f"{self.journal.run_id}/steps/{name}", _annotated(value, note))

    def commit(self, commit: Commit, state: Document) -> None:
        """Commits an iteration: its checkpoint first, then its line in the history."""
        self.check()
        self.journal.add_checkpoint(commit, state)
        self.journal.add_history([commit])

    def settle(self, commit: Commit) -> None:
        """Says in the history which of an iteration's commits this driver goes on from.

        A driver between that commit's and this one may stand still before its own of the same
        iteration: late as it comes, and newer, it must not count for what was gone on from.
        """
        if self.journal.may_write_late(range(commit.epoch + 1, self.epoch)):
            self.check()
            self.journal.add_history([commit.model_copy(update={"epoch": self.epoch})])

    def prune(self, through: int, landmarks: Container[int] = ()) -> None:
        """Removes states, steps and work folders up to an iteration; their history lines stay.

        Args:
            landmarks: iterations whose states stay as well.
        """
        self.check()
        for folder in ("steps", "checkpoints", "work"):
            spared = landmarks if folder == "checkpoints" else ()
            for name in self._store.names(f"{self.journal.run_id}/{folder}"):
                iteration = iteration_of(name)
                if 0 <= iteration <= through and iteration not in spared:
                    self._store.remove(f"{self.journal.run_id}/{folder}/{name}")

    def release(self, end: EndRecord | None) -> None:
        """Gives the run back, with how it ended where that can be written."""
        name = f"{self.journal.run_id}/epochs/{self.epoch:04d}"
        try:
            if self.journal.is_superseded(self.epoch):
                said = json.dumps({"by": self.journal.newest_epoch()}).encode()
                self._store.create(f"{name}-superseded", Document(said))
            elif end is not None:
                self._store.write(f"{name}-end", _document(end))
        finally:
            self.beat.stop()
            held.remove(self.record.holder)


def run_ids(store: Store) -> list[str]:
    """The runs of a store, what is left of those whose own record is lost, and what cannot be seen."""
    return [name for name in store.names("") if may_be_run(store, name)]


def may_be_run(store: Store, name: str) -> bool:
    """Whether it is the id of one of a store's runs, as `run_ids` has them."""
    if not _RUN.fullmatch(name):
        return False
    try:
        # nearly all have it, and to ask for one file takes less than to list a folder
        return store.has(f"{name}/run") or Journal(store, name).exists()
    except StoreError:  # another's, or a disk's fault: whoever reads it says so
        return True


def journals(store: Store) -> Iterator[Journal]:
    """The runs of a store, each ready to be read."""
    return (Journal(store, run_id) for run_id in run_ids(store))


def last_in_a_row(there: Callable[[int], bool]) -> int:
    """The last number from 1 on that is there, if all up to it are; in few questions."""
    if not there(1):
        return 0
    low, high = 1, 2
    while there(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if there(middle) else (low, middle)
    return low


def iteration_of(name: str) -> int:
    """Of a step, a checkpoint or a work folder; -1 of what is none. Names sort by text alone."""
    found = _ITERATION.match(name)
    return int(found[0]) if found else -1


def _epoch_of(name: str) -> int:
    found = _EPOCH.search(name)
    return int(found[1]) if found else -1


def _document(record: BaseModel) -> Document:
    return Document(record.model_dump_json().encode())


def _annotated(document: Document, note: BaseModel) -> Document:
    return replace(document, meta=note.model_dump_json().encode())


def _object(content: bytes) -> Json:
    try:
        found = json.loads(content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}

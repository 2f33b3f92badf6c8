"""Real drivers on a real disk that go on a step at a time, as they are told: the model's steps.

Each driver is a thread that runs the journal's own code and stands still before whatever the model
takes for a step; only one of them moves at a time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue

from models.protocol import FIRST, Line, Phase, State
from models.stores import Killed, QuietStore
from qcsc_loop.errors import LeaseLost, RunLocked
from qcsc_loop.store import journal as journal_module
from qcsc_loop.store.journal import Journal, Lease
from qcsc_loop.store.lease import held, new_holder
from qcsc_loop.store.records import Commit, Holder, RunRecord, Settings
from qcsc_loop.store.recovery import last_good
from qcsc_loop.values.codec import Codec
from qcsc_loop.values.document import Document
from qcsc_loop.values.record import State as Record

RUN, SETTINGS = "run-1", Settings(algorithm="package.module:Class", keep=None)
LEASE_SECONDS = 600.0
DEADLINE_SECONDS = 60.0


class Made(Record):
    """Which drivers made the state, an iteration each."""

    by: list[int]


CODEC = Codec[Made](Made)


def elsewhere() -> Holder:
    """A driver of which nobody here can say whether it lives."""
    here = new_holder()
    return here.model_copy(update={"host": f"host-{here.driver}", "boot": "", "machine": ""})


def created(root: Path, settings: Settings = SETTINGS) -> Journal:
    """A run that has its first state."""
    journal = Journal(QuietStore(root), RUN)
    journal.create(RunRecord(run_id=RUN, seed=0, settings=settings))
    commit, state = committed(FIRST, 0)
    journal.add_checkpoint(commit, state)
    journal.add_history([commit])
    return journal


def counting(journal: Journal) -> dict[int, Line]:
    """The lines that count, with the states that the checkpoints have for their hashes."""
    states: dict[str, State] = {}
    for name in journal.checkpoints():
        commit, document = journal.checkpoint(name)
        states[commit.state_sha256] = tuple(CODEC.decode(document).by)
    newest = journal.last_iteration()
    lines = [line for line in journal.history() if newest is not None and line.iteration <= newest]
    return {line.iteration: Line(states[line.state_sha256], line.epoch) for line in lines}


def committed(state: State, epoch: int) -> tuple[Commit, Document]:
    document = CODEC.encode(Made(by=list(state)))
    iteration = len(state) - 1
    return Commit(iteration=iteration, epoch=epoch, state_sha256=document.sha256), document


class SteppedDriver:
    """A process that drives the run, again and again."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._told: SimpleQueue[bool] = SimpleQueue()  # whether to go on; else it dies
        self._at: SimpleQueue[Phase] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self.phase: Phase = "out"

    def step(self) -> None:
        """On to the next phase."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._live, daemon=True)
            self._thread.start()
        else:
            self._told.put(True)
        self._arrive()

    def die(self) -> None:
        """At once, where it stands."""
        if self._thread is not None:
            self._told.put(False)
            self._arrive()

    def _arrive(self) -> None:
        self.phase = self._at.get(timeout=DEADLINE_SECONDS)
        if self.phase == "out" and self._thread is not None:
            self._thread.join(DEADLINE_SECONDS)
            self._thread = None

    def _stand(self, phase: Phase) -> None:
        self._at.put(phase)
        if not self._told.get():
            raise Killed

    def _live(self) -> None:
        journal = _GatedJournal(_GatedStore(self._root, self._stand), self._stand)
        lease: Lease | None = None
        try:
            lease = journal.claim(SETTINGS, {}, LEASE_SECONDS, take_over=True)
            self._drive(journal, lease)
        except (Killed, LeaseLost, RunLocked):
            pass  # it leaves no word
        finally:
            if lease is not None:
                lease.beat.stop()
                held.remove(lease.record.holder)
            self._at.put("out")

    def _drive(self, journal: _GatedJournal, lease: Lease) -> None:
        self._stand("claimed")
        journal.checks_as("settles")
        found = last_good(journal, CODEC)
        assert found is not None
        lease.settle(found.commit)
        state = tuple(found.state.by)
        journal.checks_as("ready")
        while True:
            state = (*state, lease.epoch)
            lease.commit(*committed(state, lease.epoch))


class _GatedJournal(Journal):
    """Stands still before each look for a newer driver."""

    def __init__(self, store: _GatedStore, stand: Callable[[Phase], None]) -> None:
        super().__init__(store, RUN)
        self._gated, self._stand = store, stand
        self._phase: Phase = "settles"

    def checks_as(self, phase: Phase) -> None:
        self._phase = phase

    def is_superseded(self, epoch: int) -> bool:
        self._stand(self._phase)
        superseded = super().is_superseded(epoch)
        self._gated.line_is = "may settle" if self._phase == "settles" else "written"
        return superseded


class _GatedStore(QuietStore):
    """Stands still before each write."""

    def __init__(self, root: Path, stand: Callable[[Phase], None]) -> None:
        super().__init__(root)
        self._stand = stand
        self.line_is: Phase = "completes"

    def create(self, name: str, document: Document) -> bool:
        if "/epochs/" in name and name[-4:].isdigit():
            self._stand("looked")
        return super().create(name, document)

    def write(self, name: str, document: Document) -> None:
        if "/checkpoints/" in name:
            self._stand("may write")
        super().write(name, document)

    def append(self, name: str, lines: Iterable[bytes]) -> None:
        self._stand(self.line_is)
        super().append(name, lines)


def ended(drivers: Iterable[SteppedDriver]) -> None:
    """Ends them, whatever they do."""
    for driver in drivers:
        with suppress(Exception):
            driver.die()


HOLDER_OF_A_CLAIM = (journal_module, "new_holder")

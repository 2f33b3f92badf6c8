"""Finding where to go on: the newest checkpoint that verifies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from qcsc_loop.errors import DamagedDocument, NoGoodCheckpoint
from qcsc_loop.store.journal import Journal
from qcsc_loop.store.records import Commit
from qcsc_loop.values.codec import Codec
from qcsc_loop.values.record import State

S = TypeVar("S", bound=State)


@dataclass(frozen=True)
class Recovered(Generic[S]):
    """A committed point that a driver goes on from.

    Attributes:
        history: every commit up to this one.
        loss: what had to be stepped past, as a sentence; empty if nothing.
    """

    state: S
    commit: Commit
    history: Sequence[Commit]
    loss: str


def last_good(journal: Journal, codec: Codec[S]) -> Recovered[S] | None:
    """The newest checkpoint that verifies; None if the run has committed nothing yet.

    Raises:
        NoGoodCheckpoint: it has, and none verifies. Starting anew would pay for everything twice.
        NewerDocument: a newer version wrote it. It is no damage: an older one is no substitute.
    """
    history = journal.history()
    passed: list[str] = []
    for name in journal.checkpoints():
        try:
            commit, document = journal.checkpoint(name)
            state = codec.decode(document)
        except (DamagedDocument, KeyError) as error:
            passed.append(f"checkpoint {name}: {getattr(error, 'why', 'gone')}")
            continue
        _complete(journal, commit, history)
        before = [known for known in history if known.iteration < commit.iteration]
        return Recovered(state, commit, [*before, commit], _loss(commit, history, passed))
    if passed or history:
        raise NoGoodCheckpoint(journal.run_id, passed)
    return None


def _complete(journal: Journal, commit: Commit, history: Sequence[Commit]) -> None:
    """Adds the line of a checkpoint whose driver was killed between the two."""
    if all(known.iteration != commit.iteration for known in history):
        journal.add_history([commit])


def _loss(commit: Commit, history: Sequence[Commit], passed: Sequence[str]) -> str:
    last = max((known.iteration for known in history), default=0)
    if not passed and last > commit.iteration:
        passed = [f"the checkpoint of iteration {last} is missing"]
    return f"{'; '.join(passed)}. Going on from iteration {commit.iteration}" if passed else ""

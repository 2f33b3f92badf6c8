"""Finding where to go on: the newest checkpoint that verifies."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, TypeVar

from qcsc_loop.errors import DamagedDocument, NoGoodCheckpoint
from qcsc_loop.store.journal import Journal, iteration_of
from qcsc_loop.store.records import Commit
from qcsc_loop.values.codec import Codec
from qcsc_loop.values.record import State

S = TypeVar("S", bound=State)

USUALLY_KEPT = 10  # states in a row; an earlier driver may have kept more than the newest does


@dataclass(frozen=True)
class Recovered(Generic[S]):
    """A committed point that a driver goes on from.

    Attributes:
        commit: with what all iterations up to it have spent.
        recent: the last commits up to this one, oldest first, as many as were asked for.
        loss: what had to be stepped past, as a sentence; empty if nothing.
    """

    state: S
    commit: Commit
    recent: Sequence[Commit]
    loss: str


def last_good(journal: Journal, codec: Codec[S], recent: int = 1) -> Recovered[S] | None:
    """The newest checkpoint that verifies; None if the run has committed nothing yet.

    The history is read from its end: what a resume costs does not grow with it.

    Args:
        recent: how many of the last commits are wanted.

    Raises:
        NoGoodCheckpoint: it has, and none verifies. Starting anew would pay for everything twice.
        NewerDocument: a newer version wrote it. It is no damage: an older one is no substitute.
    """
    newest, keep = journal.last_iteration(), journal.settings().keep
    oldest = -1 if keep is None else (newest or 0) - 2 * max(keep, USUALLY_KEPT)
    passed: list[str] = []
    for name in journal.checkpoints():
        if passed and iteration_of(name) <= oldest:
            break  # a landmark of long ago: all that came after it would be paid for again
        try:
            commit, document = journal.checkpoint(name)
            state = codec.decode(document)
            last = journal.commits.last(recent, commit.iteration)
            _refuse_another(commit, last, name)
        except (DamagedDocument, KeyError) as error:
            passed.append(f"checkpoint {name}: {getattr(error, 'why', 'gone')}")
            continue
        _complete(journal, commit, last)
        before, unknown = _before(journal, commit, last, recent)
        commit = _with_spent(journal, commit)
        losses = [_loss(commit, newest or 0, passed), unknown]
        return Recovered(state, commit, [*before, commit], ". ".join(filter(None, losses)))
    if passed or newest is not None:
        raise NoGoodCheckpoint(journal.run_id, passed)
    return None


def _refuse_another(commit: Commit, last: Sequence[Commit], name: str) -> None:
    """A state that verifies may be that of another run, or one that a newer driver has replaced."""
    for known in last:
        if _replaces(known, commit) and known.state_sha256 != commit.state_sha256:
            raise DamagedDocument(name, "its state is not the one that the history has")


def _before(
    journal: Journal, commit: Commit, last: Sequence[Commit], recent: int
) -> tuple[list[Commit], str]:
    """The commits before one, oldest first, and which of them nothing tells any more, in words.

    A line of the history that is damaged is taken from its checkpoint, if that is kept.
    """
    wanted = range(max(0, commit.iteration - recent + 1), commit.iteration)
    known = {line.iteration: line for line in last if line.iteration in wanted}
    if len(known) < len(wanted):
        for name in journal.checkpoints():
            if (iteration := iteration_of(name)) in wanted and iteration not in known:
                with suppress(DamagedDocument, KeyError):
                    known[iteration] = journal.checkpoint(name)[0]
    gone = ", ".join(str(iteration) for iteration in wanted if iteration not in known)
    unknown = f"what iterations said is lost from the history ({gone}): a stop rule cannot see it"
    return [known[iteration] for iteration in sorted(known)], unknown if gone else ""


def _complete(journal: Journal, commit: Commit, last: Sequence[Commit]) -> None:
    """Adds the line of a checkpoint whose driver was killed between the two."""
    if not any(_replaces(known, commit) for known in last):
        journal.add_history([commit])


def _replaces(known: Commit, commit: Commit) -> bool:
    """Whether a line of the history counts for a commit's iteration, and not the commit's own."""
    return known.iteration == commit.iteration and known.epoch >= commit.epoch


def _with_spent(journal: Journal, commit: Commit) -> Commit:
    """With its sum: of a run that an older version has driven it is made once, of all lines."""
    if commit.spent is not None:
        return commit
    return commit.model_copy(update={"spent": journal.commits.spent(commit.iteration)})


def _loss(commit: Commit, last: int, passed: Sequence[str]) -> str:
    if not passed and last > commit.iteration:
        passed = [f"the checkpoint of iteration {last} is missing"]
    return f"{'; '.join(passed)}. Going on from iteration {commit.iteration}" if passed else ""

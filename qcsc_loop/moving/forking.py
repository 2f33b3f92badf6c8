"""A new run that begins where another one was: with its state, and other parameters from there on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from qcsc_loop.catalog import recorded_algorithm
from qcsc_loop.errors import DamagedDocument, InputError, RunExists
from qcsc_loop.loop.opening import new_run_id
from qcsc_loop.loop.provenance import describe_driver
from qcsc_loop.parameters.compare import to_plain
from qcsc_loop.store.journal import Journal, iteration_of
from qcsc_loop.store.records import (
    NO_DRIVER,
    Commit,
    ForkedFrom,
    RunRecord,
    Settings,
    StepNote,
    new_uid,
    require_run_id,
)
from qcsc_loop.values.document import Document

BEST = "best"


@dataclass(frozen=True)
class Forked:
    """A new run.

    Attributes:
        replayed: iterations whose samples it takes from its parent.
    """

    run_id: str
    iteration: int
    replayed: tuple[int, ...] = ()


@dataclass(frozen=True)
class Fork:
    """What is asked for.

    Attributes:
        at: the iteration that it begins after; None: the last one that is kept.
        changed: parameters given anew.
        run_id: the new run's; None: made from name and time.
        replay: it takes its parent's samples where they are kept, whatever its states are.
        named: where the algorithm's class is, if the parent's record is not to say.
    """

    at: int | None = None
    changed: Mapping[str, Any] | None = None
    run_id: str | None = None
    replay: bool = False
    named: str | None = None


def fork_run(journal: Journal, asked: Fork) -> Forked:
    """Makes a run whose state after an iteration is another one's; that one is only read.

    It has the parent's seed and goes on with the next number, so that an unchanged fork is the same
    run again. What the parent has spent is not the fork's, neither shots nor time.

    Raises:
        InvalidRunId: no run may have the fork's id.
        RunNotFound: there is no such run.
        RunExists: there is one of the fork's id.
        InputError: the state is not kept, or the algorithm does not take the parameters.
    """
    new_id = None if asked.run_id is None else require_run_id(asked.run_id)
    record, before = journal.record(), journal.settings()
    algorithm = recorded_algorithm(journal, named=asked.named, changed=asked.changed)
    commit, state = _checkpoint(journal, asked.at)
    settings = before.model_copy(
        update={"parameters": to_plain(algorithm), "resolved": to_plain(algorithm)}
    )
    run_id = new_run_id(type(algorithm)) if new_id is None else new_id
    parent = ForkedFrom(
        run_id=journal.run_id,
        uid=record.uid,
        iteration=commit.iteration,
        state_sha256=commit.state_sha256,
    )
    new = RunRecord(
        run_id=run_id,
        uid=new_uid(),
        seed=record.seed,
        settings=Settings.model_validate(dict(settings)),
        provenance=describe_driver(type(algorithm)),
        forked_from=parent,
    )
    return _write(journal, Journal(journal.store, run_id), new, (commit, state), asked.replay)


def _write(
    parent: Journal, fork: Journal, record: RunRecord, at: tuple[Commit, Document], replay: bool
) -> Forked:
    """The history first and the run's record last: until then there is no run."""
    commit, state = at
    if fork.exists():
        raise RunExists(fork.run_id, fork.store.place)
    history = [line for line in parent.history() if line.iteration < commit.iteration]
    unpaid = {"epoch": NO_DRIVER, "seconds": {}, "usage": {}, "spent": {}}
    fork.add_history([line.model_copy(update=unpaid) for line in [*history, commit]])
    replayed = _take_samples(parent, fork, commit.iteration) if replay else ()
    fork.store.create(f"{fork.run_id}/run", Document(record.model_dump_json().encode()))
    fork.add_checkpoint(commit.model_copy(update=unpaid), state)
    return Forked(fork.run_id, commit.iteration, tuple(replayed))


def _take_samples(parent: Journal, fork: Journal, after: int) -> list[int]:
    """Copies what `sample` returned in later iterations, to be taken for whatever state."""
    found: list[int] = []
    for iteration in range(after + 1, parent.newest_step() + 1):
        try:
            step = parent.step(iteration, "sample")
        except DamagedDocument:
            continue
        if step is None:
            continue
        note, samples = step
        note = note.model_copy(update={"epoch": NO_DRIVER, "usage": {}, "replayed": True})
        _add_step(fork, note, samples)
        found.append(iteration)
    return found


def _add_step(fork: Journal, note: StepNote, samples: Document) -> None:
    name = f"{note.iteration:08d}.{note.step}.e{NO_DRIVER:04d}"
    noted = replace(samples, meta=note.model_dump_json().encode())
    fork.store.write(f"{fork.run_id}/steps/{name}", noted)


def _checkpoint(journal: Journal, at: int | None) -> tuple[Commit, Document]:
    """That of an iteration, or the newest one that verifies.

    Raises:
        InputError: it is not kept; names those that are.
    """
    names = journal.checkpoints()
    for name in names:
        if at is not None and iteration_of(name) != at:
            continue
        try:
            commit, state = journal.checkpoint(name)
            state.verify()
        except (DamagedDocument, KeyError):
            continue
        return commit, state
    kept = ", ".join(str(k) for k in sorted({iteration_of(name) for name in names})) or "none"
    what = "a state" if at is None else f"the state of iteration {at}"
    raise InputError(
        f"{what} that could be forked from is not there in run {journal.run_id!r}, or is damaged. Kept "
        f"are those of the iterations: {kept}. A run keeps its last 10, its best, and 0, 1, 2, 4, 8, "
        "...; more with --keep N"
    )

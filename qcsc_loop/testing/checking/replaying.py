"""A run's updates made again from what is stored, and compared: no shot, no job."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qcsc_loop.algorithm import AnyAlgorithm
from qcsc_loop.catalog import recorded_algorithm
from qcsc_loop.errors import DamagedDocument, InputError
from qcsc_loop.loop.hooks import hook_types
from qcsc_loop.parameters.environment import environment
from qcsc_loop.steps.step import Step, stepping
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.journal import Journal, iteration_of
from qcsc_loop.store.store import Store
from qcsc_loop.values.document import Document
from qcsc_loop.values.kept import first_difference


@dataclass(frozen=True)
class Replayed:
    """An iteration whose update was made again.

    Attributes:
        same: whether it has the bits that were committed.
        part: what differs first, by dotted name.
    """

    iteration: int
    same: bool
    part: str = ""


async def replay(
    run_id: str, *, store: Store | None = None, algorithm: AnyAlgorithm | None = None
) -> Sequence[Replayed]:
    """Calls `update` again for every iteration whose state and evaluation are kept.

    Tells after a change of the code, or on another machine, whether the run would be the same run.
    Nothing is written, sampled or submitted.

    Args:
        store: where the run is; by default as for `run`.
        algorithm: with other parameters or code than the run has.

    Returns:
        One entry an iteration, oldest first.

    Raises:
        RunNotFound: the store has no such run.
        InputError: nothing of it is kept that could be made again.
    """
    store = store or DirectoryStore(environment().store)
    journal = Journal(store, run_id)
    seed = journal.record().seed
    chosen = recorded_algorithm(journal) if algorithm is None else algorithm
    types = hook_types(type(chosen))
    states = _states(journal)
    found: list[Replayed] = []
    for iteration in sorted(states):
        before, step = states.get(iteration - 1), journal.step(iteration, "evaluate")
        if before is None or step is None:
            continue
        state, evaluation = types.state.decode(before), types.evaluation.decode(step[1])
        with stepping(Step(run_id=run_id, run_seed=seed, iteration=iteration, name="update")):
            new = await chosen.update(state, evaluation)
        made, kept = types.state.encode(new).body, states[iteration].body
        part = "" if made == kept else first_difference(kept, made)
        found.append(Replayed(iteration, made == kept, part))
    if not found:
        raise InputError(
            f"no iteration of run {run_id!r} can be made again: it keeps no state with the evaluation "
            "that followed it. Run with a larger --keep"
        )
    return found


def _states(journal: Journal) -> dict[int, Document]:
    """The committed states that are kept and verify; of repeated iterations the newest driver's."""
    found: dict[int, Document] = {}
    for name in reversed(journal.checkpoints()):
        try:
            _, state = journal.checkpoint(name)
            state.verify()
        except (DamagedDocument, KeyError):
            continue
        found[iteration_of(name)] = state
    return found

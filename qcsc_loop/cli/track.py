"""`track`: runs handed on to an experiment tracker, in a process of its own."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from qcsc_loop.errors import QcscLoopError
from qcsc_loop.parameters.environment import environment
from qcsc_loop.printing import say
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.tracking.following import Following

NOT_TAKEN = 1
LOOK_SECONDS = 2.0
LONGEST_PAUSE = 60.0  # for a service that does not answer


def track_runs(run_ids: Sequence[str], *, to: str, follow: bool, store: Path | None) -> int:
    """Hands runs on; the exit code says whether all was taken.

    Args:
        follow: for as long as one of them has a driver, and until all is taken; else once.

    Raises:
        RunNotFound: one of them is not there.
        InputError: there is no such tracker.
    """
    place = DirectoryStore(store or environment().store)
    going = {run_id: Following(place, run_id, to) for run_id in run_ids}
    lost = 0
    while True:
        failed = [run_id for run_id, run in going.items() if not _look(run_id, run, to)]
        for run_id, run in list(going.items()):
            if run_id in failed or (follow and run.goes_on):
                continue
            say(f"{run_id}: {to} has it up to iteration {run.position.through}")
            del going[run_id]
        if not going or not follow:
            return NOT_TAKEN if failed else 0
        lost = lost + 1 if failed else 0
        time.sleep(min(LOOK_SECONDS * 2**lost, LONGEST_PAUSE))


def _look(run_id: str, run: Following, to: str) -> bool:
    """Whether what is new was taken."""
    try:
        run.look()
    except Exception as error:  # a tracker may be anybody's, and raises what it likes
        own = isinstance(error, QcscLoopError)
        why = str(error) if own else f"{type(error).__name__}: {error}"
        say(f"qcsc-loop: {run_id} could not be handed on to {to}: {why}", to_stderr=True)
        return False
    return True

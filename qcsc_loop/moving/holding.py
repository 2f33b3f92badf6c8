"""Whether a run is being driven right now."""

from __future__ import annotations

from qcsc_loop.errors import RunIsDriven, RunLocked
from qcsc_loop.parameters.environment import environment
from qcsc_loop.store.journal import Journal


def refuse_if_driven(journal: Journal, way: str) -> None:
    """Raises RunIsDriven where a driver holds the run.

    Args:
        way: what can be done instead, as the end of a sentence.
    """
    try:
        journal.require_free(environment().lease_seconds)
    except RunLocked as locked:
        raise RunIsDriven(journal.run_id, locked.host, locked.pid, way) from locked

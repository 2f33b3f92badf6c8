"""Whether a run is being driven right now."""

from __future__ import annotations

from qcsc_loop.errors import QcscLoopError, RunIsDriven
from qcsc_loop.store.journal import Journal


def refuse_if_driven(journal: Journal, way: str) -> None:
    """Raises RunIsDriven where a driver holds the run.

    Args:
        way: what can be done instead, as the end of a sentence.
    """
    newest = journal.newest_epoch()
    if not newest or journal.end(newest) is not None:
        return
    try:
        driver = journal.epoch(newest)
    except QcscLoopError:  # damaged: whoever it was
        return
    if not journal.hold(driver).is_free:
        raise RunIsDriven(journal.run_id, driver.holder.host, driver.holder.pid, way)

"""What a run is, once its own record is lost: its drivers' records say it again."""

from __future__ import annotations

from collections.abc import Sequence

from qcsc_loop.errors import DamagedDocument
from qcsc_loop.store.records import EpochRecord, RunRecord


def rederived(run_id: str, drivers: Sequence[EpochRecord], why: str) -> RunRecord:
    """The record as the oldest driver that is left has it.

    Raises:
        DamagedDocument: none is left that says which run it was: with another seed it would go on
            to other results, and with another uid pay for its jobs again.
    """
    knowing = next((driver for driver in drivers if driver.seed is not None), None)
    if knowing is None or knowing.seed is None or knowing.created is None:
        cure = f"restore it from a backup, or start anew under another --run-id than {run_id}"
        raise DamagedDocument(
            f"{run_id}/run", f"{why}, and no record of a driver says its seed; {cure}"
        )
    return RunRecord(
        run_id=run_id,
        seed=knowing.seed,
        settings=drivers[0].settings,
        created=knowing.created,
        uid=knowing.uid or knowing.created.isoformat(),
        provenance=drivers[0].provenance,
    )


def in_words(drivers: Sequence[EpochRecord], why: str) -> str:
    """That, and what is assumed by it, as a sentence."""
    first = drivers[0].epoch
    said = f"the run's record is lost ({why}), and taken from that of its driver {first}"
    if first == 1:
        return said
    return f"{said}: its code and parameters are assumed to be those that the run was begun with"

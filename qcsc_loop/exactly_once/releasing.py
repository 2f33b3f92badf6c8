"""What sites hold for a run and charge by the clock: ended with the run, or by whoever comes next."""

from __future__ import annotations

from qcsc_loop.errors import QcscLoopError
from qcsc_loop.jobs.entries import JobRecord, Released
from qcsc_loop.jobs.ledger import Ledger
from qcsc_loop.jobs.site import site_from


async def release_all(ledger: Ledger) -> list[tuple[JobRecord, QcscLoopError]]:
    """Ends all that the ledger shows held, whichever driver opened it.

    Returns:
        What is held still, by the job that it was opened for, and why.

    Raises:
        LeaseLost: another driver has the run, and may use it.
    """
    left: list[tuple[JobRecord, QcscLoopError]] = []
    for record in ledger.holding():
        site = site_from(record.intent.site)
        for one in record.holding:
            ledger.check()
            try:
                await site.release(one.held)
            except QcscLoopError as error:
                left.append((record, error))
                continue
            await ledger.write(Released(key=record.key, epoch=ledger.epoch, held=one.held))
    return left

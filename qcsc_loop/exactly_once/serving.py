"""Jobs that serve a run as a whole, and no step of it: they end with the run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

import anyio

from qcsc_loop.errors import LeaseLost
from qcsc_loop.exactly_once.ending import end_or_tell
from qcsc_loop.jobs.ledger import Ledger
from qcsc_loop.jobs.site import site_from


@asynccontextmanager
async def ends_what_serves(ledger: Ledger, steps: Collection[str]) -> AsyncIterator[None]:
    """Ends, after the block, what serves the run and has nobody who would end it.

    A driver ends what it called. What one had called that was killed, and the next one had no need
    of, would hold its nodes until it finds itself idle.

    Args:
        steps: whose jobs are a step's.
    """
    try:
        yield
    finally:
        with anyio.CancelScope(shield=True):
            await _end(ledger, steps)


async def _end(ledger: Ledger, steps: Collection[str]) -> None:
    left = [job for job in ledger.unfinished() if job.key.step not in steps]
    if not left or ledger.leave_jobs():
        return
    try:
        ledger.check()
    except LeaseLost:  # they serve the driver that has the run now
        return
    async with anyio.create_task_group() as group:
        for job in left:
            group.start_soon(end_or_tell, ledger, job, site_from(job.intent.site))

"""What accounting knows of finished jobs, asked for behind the run's back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import anyio

from qcsc_loop.exactly_once.releasing import release_all
from qcsc_loop.jobs.entries import Measured
from qcsc_loop.jobs.events import JobMeasured
from qcsc_loop.jobs.ledger import Ledger
from qcsc_loop.jobs.site import JobSite, PlacedJob

ACCOUNTING_SECONDS = 2.0  # after its end a job is known to accounting; Slurm took up to 1.6
GAP_SECONDS = 5.0  # between two questions to accounting, which are the dear ones
TRIES = 8
END_SECONDS = 4.0  # how long a run's end waits for the last figures


@dataclass(frozen=True)
class _Due:
    site: JobSite
    job: PlacedJob
    at: float
    tries: int = 0


class Measuring:
    """Jobs that wait to be measured. That it fails, or is late, is nobody's trouble."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._due: list[_Due] = []
        self._more = asyncio.Event()

    def later(self, site: JobSite, job: PlacedJob) -> None:
        """Measures the job once accounting can be expected to know it."""
        self._due.append(_Due(site, job, time.monotonic() + ACCOUNTING_SECONDS))
        self._more.set()

    async def forever(self) -> None:
        """Measures jobs as they fall due."""
        while True:
            await self._more.wait()
            self._more.clear()
            await self.rest()
            await asyncio.sleep(GAP_SECONDS)

    async def rest(self) -> None:
        """Measures all there are, several of one site with one question."""
        while self._due:
            await asyncio.sleep(max(0.0, self._due[-1].at - time.monotonic()))
            first, now = self._due[0].site, time.monotonic()
            together = [due for due in self._due if due.site == first and due.at <= now]
            known: set[str] = set()
            with suppress(Exception):  # whatever accounting says that nobody foresaw
                known = await self._measure(first, [due.job for due in together])
            again = [
                _Due(d.site, d.job, now + ACCOUNTING_SECONDS * 2**d.tries, d.tries + 1)
                for d in together
                if d.job.job_id not in known and d.tries < TRIES
            ]
            asked = {id(due) for due in together}
            self._due = [due for due in self._due if id(due) not in asked] + again

    async def _measure(self, site: JobSite, jobs: list[PlacedJob]) -> set[str]:
        found = await site.measure(jobs)
        for job in jobs:
            if (metrics := found.get(job.job_id)) is not None:
                line = Measured(key=job.key, epoch=self._ledger.epoch, metrics=metrics)
                self._ledger.observe(JobMeasured(await self._ledger.write(line)))
        return set(found)


@asynccontextmanager
async def measuring(ledger: Ledger) -> AsyncIterator[None]:
    """Measures the ledger's jobs while the block runs, and for a short while after it."""
    behind = Measuring(ledger)
    ledger.measure = behind.later
    task = asyncio.ensure_future(behind.forever())
    try:
        yield
        await _end(task)
        with anyio.move_on_after(END_SECONDS):
            await behind.rest()
    finally:
        ledger.measure = None
        with anyio.CancelScope(shield=True):
            await _end(task)
        for end in ledger.endings.values():
            with (
                suppress(Exception),
                anyio.move_on_after(END_SECONDS, shield=True),
            ):  # nobody's trouble either
                await end()
        with suppress(Exception), anyio.move_on_after(END_SECONDS, shield=True):
            await release_all(ledger)  # what is left stands in the ledger, for a resume or `reap`


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])

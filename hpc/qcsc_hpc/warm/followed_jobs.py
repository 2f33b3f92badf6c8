"""The warm jobs of one run on one machine, as jobs of its ledger like any other."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from qcsc_hpc.sites.batch import BatchSite
from qcsc_hpc.sites.local import LocalSite
from qcsc_hpc.warm.job_files import write_job_files
from qcsc_hpc.warm.orders import END
from qcsc_hpc.warm.pool_place import PoolPlace
from qcsc_loop.errors import LeaseLost
from qcsc_loop.exactly_once.request import JobRequest, JobResult
from qcsc_loop.exactly_once.run_once import run_once
from qcsc_loop.jobs.entries import JobRecord
from qcsc_loop.jobs.ledger import Ledger
from qcsc_loop.steps.step import Step, stepping

STEP = "warm"  # of the keys of warm jobs
END_SECONDS = 3.0  # for one that was told to end


@dataclass
class FollowedJob:
    """One warm job that this driver follows.

    Attributes:
        served: its supervisor has been seen ready.
        began_at: by its own clock.
        measured: when its cost was noted, by the monotonic clock.
    """

    name: str
    task: asyncio.Task[JobResult[Path]]
    began: float = field(default_factory=time.monotonic)
    served: bool = False
    began_at: float | None = None
    measured: float = 0.0


class FollowedJobs:
    """Those that this driver follows.

    Attributes:
        all: the last one is the newest.
    """

    def __init__(self, ledger: Ledger, place: PoolPlace) -> None:
        self._ledger, self._place = ledger, place
        self.all: list[FollowedJob] = []

    def _records(self) -> list[JobRecord]:
        return self._ledger.of(0, STEP, self._place.root.name)

    def record(self, job: FollowedJob) -> JobRecord | None:
        """What the ledger says of it, once it stands there."""
        return next((r for r in reversed(self._records()) if r.key.name == job.name), None)

    def names_alive(self) -> list[str]:
        """Of those that the ledger shows alive, whoever submitted them."""
        return [record.key.name for record in self._records() if not record.over]

    def next_name(self) -> str:
        """The name of a warm job that there has not been."""
        numbers = [int(record.key.name.rpartition("-")[2]) for record in self._records()]
        return f"{STEP}-{max(numbers, default=0) + 1}"

    def follow(self, name: str) -> None:
        """Follows the job of this name, which is submitted if it was not."""
        step = Step(
            run_id=self._ledger.run_id,
            iteration=0,
            name=STEP,
            label=self._place.root.name,
            ledger=self._ledger,
            make_folder=lambda: self._place.root / "jobs",
        )
        with stepping(step):
            task = asyncio.ensure_future(run_once(self._request(name)))
        task.add_done_callback(_hear)
        self.all.append(FollowedJob(name, task))

    def _request(self, name: str) -> JobRequest[Path]:
        where = self._place.where
        site = LocalSite() if where.scheduler == "local" else BatchSite(where=where)
        return JobRequest(
            name=name,
            site=site,
            input_sha256=self._place.root.name,
            prepare=partial(write_job_files, self._place),
            submit=site.submit,
            collect=Path,
            queue_seconds=self._place.how.queue_timeout,
            tied=True,  # it serves the mailbox of the disk that it was submitted for
        )

    async def cancel(self, job: FollowedJob) -> None:
        """Ends a job that is of no use any more."""
        self.all.remove(job)
        job.task.cancel()
        await asyncio.wait([job.task])

    async def end(self) -> None:
        """Ends the warm job with its run; a driver that others follow leaves it to them."""
        jobs, self.all = self.all, []
        if not self._ledger.leave_jobs():
            with suppress(LeaseLost, OSError):
                self._ledger.check()
                await self._tell_to_end(jobs)
        for job in jobs:
            job.task.cancel()
        if jobs:
            await asyncio.wait([job.task for job in jobs], timeout=END_SECONDS)

    async def _tell_to_end(self, jobs: list[FollowedJob]) -> None:
        for job in jobs:
            if (record := self.record(job)) is not None:
                (record.folder / END).touch()
        if served := [job.task for job in jobs if job.served]:
            await asyncio.wait(served, timeout=END_SECONDS)


def _hear(task: asyncio.Task[JobResult[Path]]) -> None:
    """An end is looked at when somebody asks for the job; it is no error that nobody does."""
    if not task.cancelled():
        task.exception()

"""The driver's care for a warm job: requested when there is work, replaced in time, ended with the run.

The warm job is a job of the run's ledger like any other. Its keeper lives in one event loop, holds
nothing that a killed driver would lose, and begins with what the ledger says.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime

from anyio import to_thread
from anyio.lowlevel import RunVar

from qcsc_hpc.warm.followed_jobs import FollowedJob, FollowedJobs
from qcsc_hpc.warm.mailbox import Ended
from qcsc_hpc.warm.past_jobs import PastJobs
from qcsc_hpc.warm.pool_place import PoolPlace
from qcsc_hpc.warm.signs import Signs
from qcsc_loop.concurrency.per_event_loop import of_this_loop
from qcsc_loop.errors import JobFailed
from qcsc_loop.events import Trouble
from qcsc_loop.jobs.entries import JobRecord, Measured
from qcsc_loop.jobs.ledger import Ledger
from qcsc_loop.jobs.outcome import JobMetrics
from qcsc_loop.steps.step import current_step

MEASURE_SECONDS = 10.0  # between notes of what a running warm job has cost: for budgets


class Keeper:
    """Of the warm job of one run on one machine."""

    def __init__(self, ledger: Ledger, place: PoolPlace) -> None:
        self._ledger, self._place = ledger, place
        self._jobs = FollowedJobs(ledger, place)
        self._past = PastJobs(place.warm.fallback_seconds)
        self._signs = Signs(place.box)
        ledger.endings[f"warm {place.root}"] = self._jobs.end

    @property
    def tail(self) -> str:
        """The end of the output of a warm job that did not serve."""
        return self._past.tail

    async def note_served(self, ended: Ended) -> None:
        """A request has been done; what the warm job has cost until now goes into the ledger."""
        if not ended.place:
            return
        self._past.forgive()
        for job in self._jobs.all:
            if (record := self._jobs.record(job)) is not None and record.job_id == ended.job:
                job.served = True
                if time.monotonic() - job.measured > MEASURE_SECONDS:
                    await to_thread.run_sync(self._look)
                    await self._measure(job, record)

    async def _measure(self, job: FollowedJob, record: JobRecord) -> None:
        if record.over or job.began_at is None:
            return
        job.measured = time.monotonic()
        metrics = JobMetrics(
            started=datetime.fromtimestamp(job.began_at, UTC),
            ended=datetime.now(UTC),
            nodes=self._place.how.num_nodes,
        )
        key, epoch = record.key, self._ledger.epoch
        await self._ledger.write(Measured(key=key, epoch=epoch, metrics=metrics))

    async def is_worth_asking(self) -> bool:
        """Whether a warm job serves, or has not been waited for too long."""
        await to_thread.run_sync(self._look)
        return not self._is_not_to_be_had() and not (self._jobs.all and self._is_too_late())

    async def care(self) -> Ended | None:
        """Sees to it that a warm job serves, or is on its way.

        Returns:
            Why a request is not to wait any longer, if so.
        """
        for job in [job for job in self._jobs.all if job.task.done()]:
            self._jobs.all.remove(job)
            self._note_end(job)
        if self._is_not_to_be_had():
            return Ended("PREEMPTED", reason="the warm job was not begun in its queue_timeout")
        if (failed := self._past.verdict()) is not None:
            return failed
        if not self._jobs.all:
            self._begin()
        await to_thread.run_sync(self._look)
        newest = self._jobs.all[-1]
        if self._is_too_late():
            why = f"the warm job has not served for {self._place.warm.fallback_seconds:g} s"
            return Ended("PREEMPTED", reason=why)
        if newest.served and await to_thread.run_sync(self._is_near_its_end, newest):
            self._follow(self._jobs.next_name())
        elif newest.served and self._signs.silent_seconds > self._place.warm.silent_seconds:
            await self._replace(newest)
        return None

    def _note_end(self, job: FollowedJob) -> None:
        error = None if job.task.cancelled() else job.task.exception()
        if error is not None and not isinstance(error, JobFailed):
            raise error
        record = self._jobs.record(job)
        begun = job.served or (record is not None and record.metrics.started is not None)
        self._past.add(error, served=job.served, begun=begun)

    def _is_not_to_be_had(self) -> bool:
        return not self._jobs.all and self._past.just_missed

    def _is_too_late(self) -> bool:
        waited = time.monotonic() - self._jobs.all[-1].began
        served = any(job.served for job in self._jobs.all)
        return not served and waited > self._place.warm.fallback_seconds

    def _is_near_its_end(self, job: FollowedJob) -> bool:
        reserve = self._place.warm.reserve_seconds
        return self._signs.is_time_to_replace(self._jobs.record(job), reserve)

    def _look(self) -> None:
        """Sees which job serves, if there is a new sign of life. Blocks."""
        if (sign := self._signs.look()) is None:
            return
        for job in self._jobs.all:
            record = self._jobs.record(job)
            if record is not None and record.job_id == sign.job:
                job.began_at, job.served = sign.began, job.served or sign.is_ready

    def _begin(self) -> None:
        """Follows the warm jobs that the ledger shows alive, or makes the next one."""
        for name in self._jobs.names_alive() or [self._jobs.next_name()]:
            self._follow(name)

    def _follow(self, name: str) -> None:
        self._jobs.follow(name)
        self._signs.wait_anew()

    async def _replace(self, job: FollowedJob) -> None:
        silent = self._place.warm.silent_seconds
        self._ledger.observe(
            Trouble(f"the warm job has shown no sign of life for {silent:g} s; it is replaced")
        )
        await self._jobs.cancel(job)
        self._begin()


_keepers: RunVar[dict[str, Keeper]] = RunVar("qcsc_hpc_keepers")


def keeper_of(place: PoolPlace) -> Keeper:
    """The keeper of the current run's warm job."""
    ledger = current_step().ledger
    known, name = of_this_loop(_keepers), f"{id(ledger)} {place.root}"
    if name not in known:
        known[name] = Keeper(ledger, place)
    return known[name]

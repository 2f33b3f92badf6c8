"""A site with a scheduler: jobs are found, followed and ended through its commands."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import anyio
from anyio import to_thread
from anyio.lowlevel import RunVar

from qcsc_hpc.profiles import HPCProfile
from qcsc_hpc.schedulers import scheduler_for, scheduler_named
from qcsc_hpc.schedulers.scheduler import NotUnderstood, Scheduler
from qcsc_hpc.script.job_folder import CLOSED, JobFolder
from qcsc_hpc.sites.commands import Commands, program_path
from qcsc_hpc.sites.following import Followed, Watch
from qcsc_hpc.sites.verdict import Sighting, reach_verdict
from qcsc_loop.concurrency.per_event_loop import of_this_loop
from qcsc_loop.errors import JobRejected, SiteUnreachable, SubmissionUnclear
from qcsc_loop.jobs.key import JobKey
from qcsc_loop.jobs.outcome import JobMetrics, JobOutcome, JobState
from qcsc_loop.jobs.site import AnotherJobRuns, JobSite, PlacedJob, Waiting

GLANCE_SECONDS = 0.5  # between looks at the clock, for limits and graces
CANCEL_PAUSE_SECONDS = 1.0
CANCEL_SECONDS = 60.0  # for a cancelled job to leave its nodes


@dataclass(frozen=True)
class _Runtime:
    """What one site has in one event loop: all its jobs share it."""

    scheduler: Scheduler
    commands: Commands
    watch: Watch


_runtimes: RunVar[dict[str, _Runtime]] = RunVar("qcsc_hpc_runtimes")


class BatchSite(JobSite):
    """A scheduler's machine, as an HPC profile describes it."""

    type: Literal["batch"] = "batch"
    where: HPCProfile

    @property
    def title(self) -> str:
        return scheduler_named(self.where.scheduler).title

    @property
    def accounts(self) -> bool:
        return self._runtime().scheduler.measure([]) is not None

    @property
    def settle_seconds(self) -> float:
        return self.where.settle_seconds

    @property
    def patience_seconds(self) -> float:
        return self.where.patience_seconds

    def require(self) -> None:
        """Raises JobRefused where the scheduler's commands are not."""
        scheduler = scheduler_for(self.where)
        for argv in (scheduler.submit(""), scheduler.status([""])):
            program_path(self.title, argv)

    async def submit(self, key: JobKey, folder: Path) -> str:
        """Hands the folder's script to the scheduler.

        Raises:
            JobRejected: it does not take it.
            SubmissionUnclear: it may have taken it.
        """
        runtime = self._runtime()
        argv = runtime.scheduler.submit(str(JobFolder(folder).script))
        try:
            answer = await runtime.commands.ask(argv, folder=folder, kind="submit")
            return runtime.scheduler.submitted(answer)
        except SiteUnreachable as error:
            raise SubmissionUnclear(self.title, str(error)) from error
        except NotUnderstood as error:
            if error.permanent:
                raise JobRejected(self.title, str(error)) from error
            raise SubmissionUnclear(self.title, str(error)) from error

    async def find(self, key: JobKey, folder: Path) -> str | None:
        """The job that holds the fence; else the oldest of its name that the scheduler lists."""
        runtime, name = self._runtime(), key.job_name
        owner = await to_thread.run_sync(JobFolder(folder).owner)
        if owner is not None and owner != CLOSED:
            return owner
        for question in runtime.scheduler.find(name):
            answer = await runtime.commands.ask(question)
            with self._reading():
                if ids := runtime.scheduler.found(answer, name):
                    return ids[0]
        return None

    async def outcome(self, job: PlacedJob, waiting: Waiting) -> JobOutcome:
        watch = self._runtime().watch
        async with watch.following(job, waiting.output, waiting.trouble) as followed:
            outcome = await self._followed(followed, waiting)
            return outcome.model_copy(
                update={"tail": await to_thread.run_sync(followed.folder.tail)}
            )

    async def _followed(self, followed: Followed, waiting: Waiting) -> JobOutcome:
        told = (JobState.PENDING, "")  # which its submission said
        while True:
            seen = await followed.look(GLANCE_SECONDS)
            if seen is None:
                continue
            if (outcome := await self._verdict(followed, seen)) is not None:
                return outcome
            if seen.status is None:
                continue
            if (now := (seen.status.state, seen.status.reason)) != told:
                waiting.tell(*now)
                told = now
            if (limit := self._beyond(seen, waiting)) is not None:
                waiting.check()
                try:
                    ended = await self.cancel(followed.job)
                except SiteUnreachable as error:
                    waiting.trouble(
                        f"{error}; job {followed.job.job_id} is to end, and is followed"
                    )
                    continue
                if ended.state is JobState.COMPLETED:
                    return ended
                return limit.model_copy(update={"metrics": ended.metrics})

    async def _verdict(self, followed: Followed, seen: Sighting) -> JobOutcome | None:
        scheduler = self._runtime().scheduler
        if seen.status is not None and seen.status.state is JobState.FAILED:
            tail = await to_thread.run_sync(followed.folder.tail)
            seen = Sighting(
                scheduler.in_the_light_of(seen.status, tail),
                seen.record, seen.unknown_seconds, seen.final_seconds,
            )  # fmt: skip
        outcome = reach_verdict(seen, self.where.lost_seconds)
        if outcome is None:
            return None
        if seen.record is None:
            # over without a word: another job of this key may hold the fence, and none may later
            owner = await to_thread.run_sync(followed.folder.close)
            if owner is not None and owner != followed.job.job_id:
                raise AnotherJobRuns(owner)
        return outcome

    def _beyond(self, seen: Sighting, waiting: Waiting) -> JobOutcome | None:
        """The outcome of a job that is to be cancelled now."""
        status = seen.status
        assert status is not None
        now = datetime.now(UTC)
        if self._runtime().scheduler.never_starts(status):
            where = self.where
            queue = where.queue_cpu or where.queue_gpu or "the default queue"
            why = (
                f"it was accepted, but can never start: {status.reason}; look at nodes, memory and "
                f"walltime, and at what {queue} allows"
            )
            return JobOutcome(state=JobState.REJECTED, reason=why)
        if status.state is JobState.PENDING:
            since, limit, what = status.metrics.submitted, waiting.queue_seconds, "waited"
        else:
            since, limit, what = status.metrics.started, waiting.run_seconds, "ran"
        if since is None or limit is None or (now - since).total_seconds() < limit:
            return None
        why = f"it {what} longer than {limit:g} s and was cancelled"
        return JobOutcome(state=JobState.TIMEOUT, reason=why)

    async def cancel(self, job: PlacedJob) -> JobOutcome:
        runtime = self._runtime()
        await to_thread.run_sync(JobFolder(job.folder).cancel)
        owner = await to_thread.run_sync(JobFolder(job.folder).close)
        ended = await self._cancelled(runtime, job)
        if owner is not None and owner != job.job_id:
            raise AnotherJobRuns(owner)
        return ended

    async def _cancelled(self, runtime: _Runtime, job: PlacedJob) -> JobOutcome:
        await self._told_to_end(runtime, job.job_id)
        with anyio.move_on_after(CANCEL_SECONDS):
            async with runtime.watch.following(job, _unheard, _unheard) as followed:
                return await self._ended(followed)
        why = f"job {job.job_id} was cancelled and is not over after {CANCEL_SECONDS:g} s"
        raise SiteUnreachable(self.title, why)

    async def _told_to_end(self, runtime: _Runtime, job_id: str) -> None:
        """Repeats the cancelling command: an answer that was lost must not leave the job running."""
        end = time.monotonic() + CANCEL_SECONDS
        while True:
            try:
                answer = await runtime.commands.ask(runtime.scheduler.cancel(job_id))
                with self._reading():
                    return runtime.scheduler.cancelled(answer)
            except SiteUnreachable:
                if time.monotonic() > end:
                    raise
            await anyio.sleep(CANCEL_PAUSE_SECONDS)

    async def _ended(self, followed: Followed) -> JobOutcome:
        while True:
            seen = await followed.look(GLANCE_SECONDS)
            if seen is None:
                continue
            if seen.status is None and seen.record is None:
                return JobOutcome(state=JobState.CANCELLED, reason="the scheduler does not know it")
            if (outcome := reach_verdict(seen, self.where.lost_seconds)) is not None:
                return outcome

    @property
    def fences(self) -> bool:
        return True

    def forbid(self, key: JobKey, folder: Path) -> str | None:
        return JobFolder(folder).close()

    async def measure(self, jobs: Sequence[PlacedJob]) -> Mapping[str, JobMetrics]:
        runtime = self._runtime()
        question = runtime.scheduler.measure([job.job_id for job in jobs])
        if question is None:
            return {}
        answer = await runtime.commands.ask(question, kind="measure")
        with self._reading():
            return runtime.scheduler.measured(answer)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except NotUnderstood as error:
            raise SiteUnreachable(self.title, str(error)) from error

    def _runtime(self) -> _Runtime:
        known, name = of_this_loop(_runtimes), self.model_dump_json()
        if name not in known:
            scheduler = scheduler_for(self.where)
            commands = Commands(self.title, self.where.command_timeout, scheduler.passed)
            known[name] = _Runtime(scheduler, commands, Watch(scheduler, commands))
        return known[name]


def _unheard(_text: str) -> None:
    pass

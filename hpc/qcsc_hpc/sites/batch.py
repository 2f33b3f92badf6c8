"""A site with a scheduler: jobs are found, followed and ended through its commands."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Literal

from anyio import to_thread
from anyio.lowlevel import RunVar

from qcsc_hpc.profiles import ExecutionProfile, HPCProfile
from qcsc_hpc.schedulers import scheduler_for, scheduler_named
from qcsc_hpc.schedulers.scheduler import Argv, NotUnderstood
from qcsc_hpc.script.job_folder import CLOSED, JobFolder
from qcsc_hpc.sites.arrays import Arrays
from qcsc_hpc.sites.cancelling import cancel_job, tell_to_end
from qcsc_hpc.sites.commands import Commands, program_path
from qcsc_hpc.sites.explaining import explain
from qcsc_hpc.sites.following import GLANCE_SECONDS, Followed, Watch
from qcsc_hpc.sites.limits import Standing, reason_to_cancel
from qcsc_hpc.sites.rank_end import with_output
from qcsc_hpc.sites.runtime import Runtime
from qcsc_hpc.sites.verdict import Sighting, reach_verdict
from qcsc_loop.concurrency.per_event_loop import of_this_loop
from qcsc_loop.errors import (
    JobNotTaken,
    JobRefused,
    JobRejected,
    SiteUnreachable,
    SubmissionUnclear,
)
from qcsc_loop.jobs.key import JobKey
from qcsc_loop.jobs.outcome import JobMetrics, JobOutcome, JobState
from qcsc_loop.jobs.site import AnotherJobRuns, JobSite, PlacedJob, Waiting
from qcsc_loop.parameters.environment import environment
from qcsc_loop.steps.step import current_step

_runtimes: RunVar[dict[str, Runtime]] = RunVar("qcsc_hpc_runtimes")


# Many short methods: one for each thing that the protocol asks of a site.
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

    @property
    def not_now_seconds(self) -> float:
        return self.where.not_now_seconds

    def require(self) -> None:
        """Raises JobRefused where the scheduler's commands are not."""
        scheduler = scheduler_for(self.where)
        for argv in (scheduler.submit(""), scheduler.status([""])):
            program_path(self.title, argv)

    async def submit(self, key: JobKey, folder: Path, how: ExecutionProfile | None = None) -> str:
        """Hands the folder's script to the scheduler.

        Args:
            how: the job's shape: where the site has arrays, a part's job goes with others of its
                step that are of the same. None: it goes by itself.

        Raises:
            JobRejected: it does not take it.
            JobNotTaken: it does not take it yet.
            SubmissionUnclear: it may have taken it.
            SiteUnreachable: it did not answer before it was this job's turn.
            LeaseLost: another driver has the run, and does it.
        """
        runtime = self._runtime()
        if how is not None and runtime.arrays is not None and key.label:
            return await runtime.arrays.submit(key, folder, how)
        return await self._submit_alone(key, folder)

    async def _submit_alone(self, key: JobKey, folder: Path) -> str:
        runtime = self._runtime()
        argv = runtime.scheduler.submit(str(JobFolder(folder).script))
        try:
            check = current_step().ledger.check
            answer = await runtime.commands.ask(argv, folder=folder, kind="submit", before=check)
            return runtime.scheduler.submitted(answer)
        except SiteUnreachable as error:
            raise SubmissionUnclear(self.title, str(error)) from error
        except NotUnderstood as error:
            if error.permanent:
                raise JobRejected(self.title, str(error)) from error
            if error.not_now:
                raise JobNotTaken(self.title, str(error)) from error
            raise SubmissionUnclear(self.title, str(error)) from error

    async def find(self, key: JobKey, folder: Path) -> str | None:
        """The job that holds the fence; else the oldest of its name that the scheduler lists."""
        runtime, name = self._runtime(), key.job_name
        owner = await to_thread.run_sync(JobFolder(folder).owner)
        if owner is not None and owner != CLOSED:
            return owner
        if runtime.arrays is not None and key.label:
            found, may_be_alone = await runtime.arrays.find(key, folder)
            if found is not None or not may_be_alone:
                return found
        for question in runtime.scheduler.find(name):
            if ids := await self._found(question, name):
                return ids[0]
        return None

    async def _found(self, question: Argv, name: str) -> list[str]:
        runtime = self._runtime()
        try:
            answer = await runtime.commands.ask(question)
            with runtime.reading():
                return runtime.scheduler.found(answer, name)
        except (SiteUnreachable, JobRefused) as error:
            # a job that is not in the queue and has no fence has not worked, and never will:
            # accounting could only say so. But one of another disk has its fence there
            elsewhere = not current_step().ledger.complete and isinstance(error, SiteUnreachable)
            if elsewhere or not runtime.scheduler.is_accounting(question):
                raise
            return []

    async def place_of(self, job: PlacedJob) -> Path | None:
        """Where the job was submitted from, which is its folder; of an element its array's tells it."""
        runtime, folder = self._runtime(), job.folder
        element = runtime.scheduler.array_of(job.job_id)
        if element and current_step().ledger.complete:  # the list that it was found by is here
            return folder
        if await to_thread.run_sync(JobFolder(folder).owner) == job.job_id:
            return folder
        for question in runtime.scheduler.place(job.job_id):
            try:
                answer = await runtime.commands.ask(question)
            except JobRefused:
                if not runtime.scheduler.is_accounting(question):
                    raise
                continue  # no accounting here
            with runtime.reading():
                if told := runtime.scheduler.placed(answer, job.job_id):
                    return await to_thread.run_sync(_same_or, folder, told)
        return None

    async def sees(self, job: PlacedJob) -> bool:
        return await to_thread.run_sync(_is_own_folder, job.folder)

    async def outcome(self, job: PlacedJob, waiting: Waiting) -> JobOutcome:
        watch = self._runtime().watch
        async with watch.following(job, waiting.output, waiting.trouble) as followed:
            outcome = await self._wait_for_outcome(followed, waiting)
            outcome = with_output(outcome, await to_thread.run_sync(followed.folder.tail))
            began = followed.record is not None
            return outcome if began else explain(outcome, followed.folder)

    async def _wait_for_outcome(self, followed: Followed, waiting: Waiting) -> JobOutcome:
        told = (JobState.PENDING, "")  # which its submission said
        standing, watch = Standing(followed.folder), self._runtime().watch
        limited = waiting.queue_seconds is not None or waiting.run_seconds is not None
        while True:
            seen = await followed.look(GLANCE_SECONDS * watch.pace if limited else None)
            if seen is None:
                continue
            if (outcome := await self._reach_verdict(followed, seen, waiting)) is not None:
                return outcome
            if seen.status is None:
                continue
            if (now := (seen.status.state, seen.status.reason)) != told:
                waiting.tell(*now)
                told = now
            scheduler = self._runtime().scheduler
            stood = await standing.seconds(seen.status.state) if limited else 0.0
            limit = reason_to_cancel(seen.status, scheduler, self.where, waiting, stood)
            if limit is not None:
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

    async def _reach_verdict(
        self, followed: Followed, seen: Sighting, waiting: Waiting
    ) -> JobOutcome | None:
        scheduler = self._runtime().scheduler
        if seen.status is not None and seen.status.state is JobState.FAILED:
            tail = await to_thread.run_sync(followed.folder.tail)
            seen = replace(seen, status=scheduler.in_the_light_of(seen.status, tail))
        outcome = reach_verdict(seen, self.where.lost_seconds, self.where.patience_seconds)
        if outcome is None:
            return None
        if seen.record is None:
            # over without a word: another job of this key may hold the fence, and none may later
            owner = await to_thread.run_sync(followed.folder.close)
            if owner is not None and owner != followed.job.job_id:
                raise AnotherJobRuns(owner)
        if outcome.state is JobState.LOST and not await self._has_ended_lost(followed, waiting):
            return None
        return outcome

    async def _has_ended_lost(self, followed: Followed, waiting: Waiting) -> bool:
        """Cancels a job that nobody knows, should it live all the same; whether that was heard."""
        waiting.check()
        await to_thread.run_sync(followed.folder.cancel)
        try:
            await tell_to_end(self._runtime(), followed.job.job_id)
        except SiteUnreachable as error:
            waiting.trouble(f"{error}; job {followed.job.job_id} may live, and is followed")
            return False
        return True

    async def cancel(self, job: PlacedJob) -> JobOutcome:
        runtime = self._runtime()
        await to_thread.run_sync(JobFolder(job.folder).cancel)
        owner = await to_thread.run_sync(JobFolder(job.folder).close)
        ended = await cancel_job(runtime, job)
        if owner is not None and owner != job.job_id:
            raise AnotherJobRuns(owner)
        return ended

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
        try:
            answer = await runtime.commands.ask(question, kind="measure")
        except JobRefused:  # there is no such command here: nothing more will ever be known
            return {job.job_id: JobMetrics() for job in jobs}
        with runtime.reading():
            return runtime.scheduler.measured(answer)

    @cached_property
    def _name(self) -> str:
        return self.model_dump_json()

    def _runtime(self) -> Runtime:
        known, name = of_this_loop(_runtimes), self._name
        if name not in known:
            scheduler = scheduler_for(self.where)
            passed = (*scheduler.passed, *self.where.pass_variables)
            commands = Commands(self.title, self.where.command_timeout, passed)
            watch = Watch(scheduler, commands)
            arrays = None
            if self.where.array:
                arrays = Arrays(self.title, scheduler, commands, self._submit_alone, self._found)
            lost_seconds = self.where.lost_seconds
            known[name] = Runtime(self.title, lost_seconds, scheduler, commands, watch, arrays)
        return known[name]


def _is_own_folder(folder: Path) -> bool:
    """Whether results may be taken from there: anybody may call a job of theirs by a job's name."""
    try:
        status = folder.stat()
    except OSError:
        return False
    own = status.st_uid in (os.geteuid(), 0) or environment().shared_store
    return stat.S_ISDIR(status.st_mode) and own


def _same_or(folder: Path, told: str) -> Path:
    """The folder, if it is what a scheduler calls by the name that a command saw; else that."""
    # its answers are text, and a folder's name may be any bytes
    if os.fsencode(folder).decode(errors="replace") == told:
        return folder
    with suppress(OSError):
        if folder.samefile(told):
            return folder
    return Path(told)

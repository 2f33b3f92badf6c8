"""A warm job as a site: what it is asked for is found, followed and withdrawn through its mailbox."""

from __future__ import annotations

import time
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Literal

from anyio import to_thread

from qcsc_hpc.profiles import ExecutionProfile, HPCProfile
from qcsc_hpc.script.job_folder import JobFolder
from qcsc_hpc.warm.doorbell import Doorbell, doorbell
from qcsc_hpc.warm.keeper import Keeper, keeper_of
from qcsc_hpc.warm.mailbox import OUTCOME, Ended, Mailbox, outcome_in, request_in, set_aside, tries
from qcsc_hpc.warm.pool_place import PoolPlace
from qcsc_hpc.warm.settings import Warm
from qcsc_loop.concurrency.listed import is_listed
from qcsc_loop.errors import DamagedDocument
from qcsc_loop.jobs.key import JobKey
from qcsc_loop.jobs.outcome import JobMetrics, JobOutcome, JobState
from qcsc_loop.jobs.site import JobSite, PlacedJob, Waiting

SHORT_LOOK, LONG_LOOK = 0.002, 0.5  # between looks for an outcome; a fiftieth of the time waited
CARE_SECONDS = 1.0  # between looks at the warm job itself
LOST_TRIES = 10  # of a request whose warm jobs die, whatever they die of
LOG_BYTES = 64 * 1024


class WarmSite(JobSite):
    """Ranks that wait, in a job of the site `where`.

    Attributes:
        mailbox: its folder.
        how: the shape of the warm job.
    """

    type: Literal["warm"] = "warm"
    mailbox: str
    where: HPCProfile
    how: ExecutionProfile
    warm: Warm

    @property
    def title(self) -> str:
        return "the warm job"

    @property
    def remote(self) -> bool:
        return False  # the warm job is, and stands in the ledger itself

    @property
    def fences(self) -> bool:
        return True

    @property
    def place(self) -> PoolPlace:
        """The same for its keeper."""
        return PoolPlace(Path(self.mailbox), self.where, self.how, self.warm)

    @property
    def box(self) -> Mailbox:
        return self.place.box

    async def submit(self, key: JobKey, folder: Path) -> str:
        """Has the folder's request seen."""
        name = request_name(key)
        await to_thread.run_sync(self.box.mark, name, folder)
        with doorbell(self.box) as bell:
            await bell.ring()
        return name

    async def find(self, key: JobKey, folder: Path) -> str | None:
        return await to_thread.run_sync(self._found, key, folder)

    def _found(self, key: JobKey, folder: Path) -> str | None:
        name = request_name(key)
        return name if self.box.is_marked(name) or is_listed(folder / OUTCOME) else None

    def forbid(self, key: JobKey, folder: Path) -> str | None:
        return self._found(key, folder)

    async def cancel(self, job: PlacedJob) -> JobOutcome:
        end = Ended("CANCELLED")
        ended = await to_thread.run_sync(self.box.withdraw, job.job_id, job.folder, end)
        return await to_thread.run_sync(_job_outcome, job.folder, ended)

    async def outcome(self, job: PlacedJob, waiting: Waiting) -> JobOutcome:
        keeper = keeper_of(self.place)
        waiting.tell(JobState.RUNNING, "")
        with doorbell(self.box) as bell:
            ended = await self._wait_for_outcome(job, waiting, keeper, bell)
        await keeper.note_served(ended)
        text, _ = await to_thread.run_sync(_results(job.folder, ended).written_since, 0, LOG_BYTES)
        waiting.output(text)
        outcome = await to_thread.run_sync(_job_outcome, job.folder, ended)
        if not ended.place and keeper.tail:  # it never began: the reason is the warm job's
            return outcome.model_copy(update={"tail": keeper.tail})
        return outcome

    async def _wait_for_outcome(
        self, job: PlacedJob, waiting: Waiting, keeper: Keeper, bell: Doorbell
    ) -> Ended:
        began, cared = time.monotonic(), 0.0
        while (ended := await self._look(job, waiting)) is None:
            now = time.monotonic()
            if now - cared > CARE_SECONDS:
                cared = now
                await to_thread.run_sync(self.box.mark, job.job_id, job.folder)
                end = await keeper.care() or await to_thread.run_sync(_worn_out, job.folder)
                if end is not None:
                    waiting.check()
                    withdraw = partial(self.box.withdraw, job.job_id, job.folder, end)
                    return await to_thread.run_sync(withdraw)
                await bell.ring()  # from here: it is answered when the work is done
            await bell.wait(min(max(SHORT_LOOK, (now - began) / 50), LONG_LOOK))
        return ended

    async def _look(self, job: PlacedJob, waiting: Waiting) -> Ended | None:
        try:
            return await to_thread.run_sync(outcome_in, job.folder)
        except DamagedDocument as error:
            waiting.trouble(f"{error}; the work is done again")
            await to_thread.run_sync(set_aside, job.folder)
            await to_thread.run_sync(self.box.mark, job.job_id, job.folder)
            return None


def request_name(key: JobKey) -> str:
    """What a job's request is called in the mailbox."""
    return f"{key.name[:16]}-{key.digest[:20]}"


def results_in(folder: Path) -> Path:
    """Where the results of a job are: in its folder, or in that of a warm job's try."""
    with suppress(DamagedDocument):
        if (ended := outcome_in(folder)) is not None and ended.place:
            return folder / ended.place
    return folder


def _results(folder: Path, ended: Ended) -> JobFolder:
    return JobFolder(folder / ended.place)


def _worn_out(folder: Path) -> Ended | None:
    """The outcome of a request that has killed too many warm jobs."""
    count = len(list(tries(folder)))
    if count <= LOST_TRIES:
        return None
    return Ended("FAILED", reason=f"its warm job ended {count} times in the middle of it")


def _job_outcome(folder: Path, ended: Ended) -> JobOutcome:
    metrics = JobMetrics()
    with suppress(OSError, DamagedDocument, TypeError):
        metrics = JobMetrics(submitted=_time(request_in(folder).asked))
    if ended.began:
        metrics = metrics.over(JobMetrics(started=_time(ended.began), ended=_time(ended.ended)))
    return JobOutcome(
        state=JobState(ended.state),
        exit_code=ended.exit_code,
        reason=ended.reason,
        tail=_results(folder, ended).tail() if ended.place else "",
        metrics=metrics,
    )


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)

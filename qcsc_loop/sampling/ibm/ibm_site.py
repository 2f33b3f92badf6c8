"""IBM Quantum as a site of jobs: found by their tags, followed together, fetched apart."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import anyio
from anyio import to_thread
from anyio.lowlevel import RunVar

from qcsc_loop.concurrency.per_event_loop import of_this_loop
from qcsc_loop.concurrency.whole_file import is_there
from qcsc_loop.errors import CredentialsRefused, SiteUnreachable
from qcsc_loop.jobs.key import JobKey
from qcsc_loop.jobs.outcome import JobMetrics, JobOutcome, JobState
from qcsc_loop.jobs.payload import read_facts, write_facts
from qcsc_loop.jobs.site import JobSite, PlacedJob, Waiting
from qcsc_loop.plain import Json
from qcsc_loop.sampling.ibm.account import TITLE, IBMAccount
from qcsc_loop.sampling.ibm.client import Service, service_for
from qcsc_loop.sampling.ibm.describing import ask_facts
from qcsc_loop.sampling.ibm.job_questions import ask_metrics, ask_status, cancel_job
from qcsc_loop.sampling.ibm.modes import close_mode
from qcsc_loop.sampling.ibm.polling import Pending
from qcsc_loop.sampling.result_files import RESULT, save_results

GLANCE_SECONDS = 30.0
RETRY_SECONDS = 2.0
LONGEST_RETRY_SECONDS = 60.0
_pending: RunVar[dict[str, Pending]] = RunVar("qcsc_loop_ibm_pending")


# Many short methods: one for each thing that the protocol asks of a site.
class IBMSite(JobSite):
    """Jobs of one account.

    Attributes:
        poll_longest: seconds between two questions at most.
        settle: seconds that a submission which broke off may take to turn up.
        patience: seconds for which a service that does not answer is asked again.
    """

    type: Literal["ibm-quantum"] = "ibm-quantum"
    account: IBMAccount = IBMAccount()
    poll_longest: float = 30.0
    settle: float = 60.0
    patience: float = 3600.0

    @property
    def title(self) -> str:
        return TITLE

    @property
    def accounts(self) -> bool:
        return True

    @property
    def settle_seconds(self) -> float:
        return self.settle

    @property
    def patience_seconds(self) -> float:
        return self.patience

    @property
    def service(self) -> Service:
        """The client."""
        return service_for(self.account)

    async def find(self, key: JobKey, folder: Path) -> str | None:
        """The oldest job with the key's tag; others were paid for nothing, and are cancelled.

        The client itself submits again after some errors (a 504, say), and tells of the last one.
        """
        jobs = await self.service.tagged(key.job_name)
        for superfluous in jobs[1:]:
            await cancel_job(self.service, superfluous)
        return jobs[0].job_id() if jobs else None

    @property
    def looks_first(self) -> bool:
        return True

    async def held_for(self, job: PlacedJob) -> Mapping[str, str]:
        held = await self.service.ask(lambda client: client.job(job.job_id).session_id)
        return {str(held): ""} if held else {}

    async def release(self, held: str) -> None:
        """Lets a batch or a session take no more jobs; those that it has go on."""
        service = self.service
        await service.ask(lambda client: close_mode(client, held))
        service.modes.pop(held, None)

    async def outcome(self, job: PlacedJob, waiting: Waiting) -> JobOutcome:
        began = time.monotonic()
        async with self._poll(job.key).following(job.job_id, waiting.trouble) as wait:
            while True:
                over = await wait(min(GLANCE_SECONDS, waiting.queue_seconds or GLANCE_SECONDS))  # type: ignore[misc]
                late = waiting.queue_seconds is not None and (
                    time.monotonic() - began > waiting.queue_seconds
                )
                if not over and not late:
                    continue
                outcome = await self._final(job)
                if outcome is not None:
                    return outcome
                try:
                    if not late or not await self._still_queued(job):
                        continue
                    ended = await self.cancel(job)
                except SiteUnreachable:
                    continue  # asked again after the next pause
                why = f"it waited longer than {waiting.queue_seconds:g} s and was cancelled"
                late_outcome = JobOutcome(state=JobState.TIMEOUT, reason=why)
                return ended if ended.state is JobState.COMPLETED else late_outcome

    def _poll(self, key: JobKey) -> Pending:
        known, tag = of_this_loop(_pending), run_tag(key)
        name = f"{self.model_dump_json()}\0{tag}"
        if name not in known:
            known[name] = Pending(self.service, tag, self.poll_longest)
        return known[name]

    async def _still_queued(self, job: PlacedJob) -> bool:
        return (await ask_status(self.service, job.job_id)).state is JobState.PENDING

    async def _final(self, job: PlacedJob) -> JobOutcome | None:
        """The outcome; None while there is none."""
        try:
            status = await ask_status(self.service, job.job_id)
        except SiteUnreachable:
            return None  # a connection that broke is no state of a job
        if not status.state.final:
            return None
        state = JobState.TIMEOUT if status.ran_too_long else status.state
        metrics = await self._metrics(job)
        return JobOutcome(state=state, reason=status.reason, metrics=metrics)

    async def fetch(
        self, job: PlacedJob, trouble: Callable[[str], None], *, anew: bool = False
    ) -> None:
        """Its results, on disk: asked for until they come, for they are paid."""
        if is_there(job.folder / RESULT) and not anew:
            return
        pause, end = RETRY_SECONDS, time.monotonic() + self.patience
        while True:
            try:
                data = await self.service.ask(lambda client: list(client.job(job.job_id).result()))
                if not read_facts(job.folder):  # they are on the disk of whoever submitted it
                    facts = await ask_facts(self.service, job.job_id)
                    await to_thread.run_sync(_note, job.folder, facts)
                return await to_thread.run_sync(_save, job.folder, data)
            except CredentialsRefused:
                raise
            except SiteUnreachable as error:
                if time.monotonic() > end:
                    raise
                if pause == RETRY_SECONDS:
                    trouble(
                        f"the result of job {job.job_id} is not to be had: {error}; asked again"
                    )
                await anyio.sleep(pause)
                pause = min(2 * pause, LONGEST_RETRY_SECONDS)

    async def cancel(self, job: PlacedJob) -> JobOutcome:
        known = await self.service.ask(lambda client: client.job(job.job_id))
        await cancel_job(self.service, known)
        while (outcome := await self._final(job)) is None:  # noqa: ASYNC110  # a server's event
            await anyio.sleep(min(1.0, self.poll_longest))
        return outcome

    async def _metrics(self, job: PlacedJob) -> JobMetrics:
        try:
            return (await ask_metrics(self.service, job.job_id)).metrics
        except SiteUnreachable:
            return JobMetrics()

    async def measure(self, jobs: Sequence[PlacedJob]) -> Mapping[str, JobMetrics]:
        found: dict[str, JobMetrics] = {}
        for job in jobs:
            usage = await ask_metrics(self.service, job.job_id)
            if not usage.is_pending:
                found[job.job_id] = usage.metrics
        return found


def _save(folder: Path, data: Sequence[Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)  # somebody may have cleaned up
    save_results(folder, data)


def _note(folder: Path, facts: Json) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_facts(folder, facts)


def run_tag(key: JobKey) -> str:
    """The tag of all jobs of a run; of this run, not of one of the same id elsewhere."""
    origin = key.model_copy(
        update={"iteration": 0, "step": "", "label": "", "name": "run", "attempt": 0}
    )
    return origin.job_name

"""A request as a step makes it: the key that every driver comes to, and the ledger it stands in."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Generic, TypeVar

from qcsc_loop.events import Trouble
from qcsc_loop.exactly_once.request import JobRequest
from qcsc_loop.jobs.entries import JobRecord
from qcsc_loop.jobs.events import JobChange, JobChanged
from qcsc_loop.jobs.key import JobKey, checked_name
from qcsc_loop.jobs.ledger import Ledger
from qcsc_loop.jobs.outcome import JobState
from qcsc_loop.jobs.site import JobSite, PlacedJob, site_from
from qcsc_loop.parameters.compare import to_plain
from qcsc_loop.plain import Json
from qcsc_loop.steps.step import Step

T = TypeVar("T")


@dataclass(frozen=True)
class JobCall(Generic[T]):
    """One step's call for one job.

    Attributes:
        name: the request's, numbered within the step.
    """

    step: Step
    name: str
    request: JobRequest[T]

    @property
    def ledger(self) -> Ledger:
        return self.step.ledger

    @cached_property
    def here(self) -> Json:
        """Settings of the site that a new job goes to, as a ledger keeps them."""
        settings: Json = to_plain(self.request.site)
        return settings

    async def place(self) -> JobCall[T]:
        """The call as it is to be made now, which may be to another site."""
        if self.request.placed is None:
            return self
        return replace(self, request=await self.request.placed())

    def key(self, attempt: int) -> JobKey:
        step, ledger = self.step, self.ledger
        return JobKey(
            run_id=ledger.run_id,
            run_uid=ledger.run_uid,
            iteration=step.iteration,
            step=step.name,
            label=step.label,
            name=self.name,
            attempt=attempt,
        )

    def site_of(self, record: JobRecord) -> JobSite:
        """Where the record's job went, which may not be where a new one would go."""
        if record.intent.site == self.here:
            return self.request.site
        return site_from(record.intent.site)

    def placed(self, record: JobRecord) -> PlacedJob:
        """The record's job, as its site knows it."""
        assert record.job_id is not None
        return PlacedJob(record.key, record.job_id, record.folder)

    def trouble(self, text: str) -> None:
        """Tells the run's observers of something that does not end the wait."""
        self.ledger.observe(Trouble(text))

    async def write(self, line: type, key: JobKey, **facts: object) -> JobRecord:
        """Adds a line to the ledger."""
        return await self.ledger.write(line(key=key, epoch=self.ledger.epoch, **facts))

    def tell(
        self,
        record: JobRecord,
        state: JobState,
        reason: str,
        change: JobChange = JobChange.MOVED,
    ) -> None:
        """Tells the run's observers what became of the job."""
        site = self.site_of(record)
        self.ledger.observe(JobChanged(record, site.title, site.remote, state, reason, change))


def call_for(request: JobRequest[T], step: Step) -> JobCall[T]:
    """The step's call for a job; another one for a job of that name is a call for another job."""
    name = checked_name(request.name)
    step.calls[name] += 1
    count = step.calls[name]
    return JobCall(step, name if count == 1 else f"{name}-{count}", request)

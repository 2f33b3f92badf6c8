"""What runs of this process submit, told at the one place where a site is asked to take a job."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import wraps
from pathlib import Path
from typing import TypeVar
from unittest.mock import patch

from qcsc_loop.exactly_once import submission
from qcsc_loop.exactly_once.call import JobCall
from qcsc_loop.jobs.entries import JobRecord
from qcsc_loop.jobs.key import JobKey

T = TypeVar("T")
Submit = Callable[[JobKey, Path], Awaitable[str]]


@dataclass(frozen=True)
class Submission:
    """A job that a site was asked to take.

    Attributes:
        key: the job's, in words: run, iteration, step, label, name, attempt.
        iteration, step, attempt: of the key.
        site: what people call it.
        remote: its jobs outlive their driver; one of this machine dies with it, and is begun again.
        job_id: None while it has not answered, or if it has not taken the job.
    """

    key: str
    iteration: int
    step: str
    attempt: int
    site: str
    remote: bool
    job_id: str | None = None


@contextmanager
def submissions_told(
    before: Callable[[Submission], None], after: Callable[[Submission], None]
) -> Iterator[None]:
    """Calls `before` each submission, and `after` each that was accepted."""
    real = submission._submit

    @wraps(real)
    async def told(call: JobCall[T], record: JobRecord) -> JobRecord:
        site = call.request.site

        async def submit(key: JobKey, folder: Path) -> str:
            asked = Submission(
                str(key), key.iteration, key.step, key.attempt, site.title, site.remote
            )
            before(asked)
            job_id = await call.request.submit(key, folder)
            after(replace(asked, job_id=job_id))
            return job_id

        return await real(replace(call, request=replace(call.request, submit=submit)), record)

    with patch.object(submission, "_submit", told):
        yield


@contextmanager
def recording_submissions() -> Iterator[list[Submission]]:
    """All that the runs of this process submit while the block lasts, in their order.

    One that no site took stays in the list without an id: it may have been accepted all the same, and
    only the site can tell.

    Example:
        What a run asked for::

            with recording_submissions() as submitted:
                await BitCount(machine=machine).run(stop=MaxIterations(2))
            assert [(job.iteration, job.attempt) for job in submitted] == [(1, 0), (2, 0)]
    """
    made: list[Submission] = []

    def accepted(one: Submission) -> None:
        last = max(at for at, asked in enumerate(made) if asked == replace(one, job_id=None))
        made[last] = one

    with submissions_told(made.append, accepted):
        yield made

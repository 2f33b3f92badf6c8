"""What is asked for: a job to be done once, and what it gave."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

from qcsc_loop.jobs.entries import JobRecord
from qcsc_loop.jobs.key import JobKey
from qcsc_loop.jobs.outcome import JobState
from qcsc_loop.jobs.site import JobSite

T = TypeVar("T")


@dataclass(frozen=True)
class JobRequest(Generic[T]):
    """A job to be done once.

    Attributes:
        name: what it is called. A step's second job of that name is `name-2`; where jobs run at the
            same time, and their order is nobody's, give each a label.
        site: where a new one goes.
        input_sha256: over all that its result depends on.
        prepare: puts into the job's folder, made and empty, what it needs. Blocks.
        submit: hands it to the site. Raises `JobRejected`; `JobNotTaken`; `SubmissionUnclear`;
            `SiteUnreachable` if it certainly was not accepted.
        collect: reads its results from the folder, as often as it is asked to. Blocks; whatever
            it raises is about the reading, not about the job.
        resubmit: how many further attempts each outcome is worth, without asking anybody.
        queue_seconds, run_seconds: limits; None: none.
        tied: its job is of use to this disk alone: one that a driver on another disk submitted is
            ended, and another one takes its place.
        placed: asked before each new attempt: the request as it is to be made now, which may be for
            another site. None: as it is.
    """

    name: str
    site: JobSite
    input_sha256: str
    prepare: Callable[[JobKey, Path], None]
    submit: Callable[[JobKey, Path], Awaitable[str]]
    collect: Callable[[Path], T]
    resubmit: Mapping[JobState, int] = field(default_factory=dict[JobState, int])
    queue_seconds: float | None = None
    run_seconds: float | None = None
    tied: bool = False
    placed: Callable[[], Awaitable[JobRequest[T]]] | None = None


@dataclass(frozen=True)
class JobResult(Generic[T]):
    """What a job gave, and how it went."""

    value: T
    record: JobRecord

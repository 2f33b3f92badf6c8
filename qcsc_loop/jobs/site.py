"""Where remote jobs run, as the protocol in exactly_once/ needs it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from qcsc_loop.errors import JobError
from qcsc_loop.jobs.key import JobKey
from qcsc_loop.jobs.outcome import JobMetrics, JobOutcome, JobState
from qcsc_loop.parameters.resource import Resource
from qcsc_loop.plain import Json


@dataclass(frozen=True)
class PlacedJob:
    """A job that its site knows.

    Attributes:
        job_id: the site's name for it.
        folder: the job's own, on a disk that the site sees.
    """

    key: JobKey
    job_id: str
    folder: Path


@dataclass(frozen=True)
class Waiting:
    """How long to wait for a job, and whom to tell what it does.

    Attributes:
        queue_seconds, run_seconds: after these it is cancelled, TIMEOUT; None: never.
        tell: called with each new state and the reason for it.
        output: called with what the job has written since.
        check: raises LeaseLost where this driver may end no job any more.
    """

    queue_seconds: float | None = None
    run_seconds: float | None = None
    tell: Callable[[JobState, str], None] = lambda _state, _reason: None
    output: Callable[[str], None] = lambda _text: None
    trouble: Callable[[str], None] = lambda _text: None
    check: Callable[[], None] = lambda: None


# Many short methods: one for each thing that the protocol asks of a site.
class JobSite(Resource, ABC):
    """Settings of a service that runs jobs: enough to find, follow and end one again.

    They are written to a run's ledger, so that another driver, or `reap`, reaches the job even
    when the algorithm has been moved to another machine since.
    """

    @property
    @abstractmethod
    def title(self) -> str:
        """What people call it, for messages."""

    @property
    def remote(self) -> bool:
        """Whether its jobs are somebody's account, queue and machine: worth a report each."""
        return True

    @property
    def accounts(self) -> bool:
        """Whether `measure` knows more than an outcome's metrics say."""
        return False

    @property
    def settle_seconds(self) -> float:
        """How long after a submission that broke off the job may still turn up."""
        return 0.0

    @abstractmethod
    async def find(self, key: JobKey, folder: Path) -> str | None:
        """The id of the job with this key, wherever the site may list it; None if nowhere.

        Raises:
            SiteUnreachable: it could not look everywhere.
        """

    @abstractmethod
    async def outcome(self, job: PlacedJob, waiting: Waiting) -> JobOutcome:
        """How the job ended, once it has. Nothing of it is cancelled when the caller is.

        Raises:
            AnotherJobRuns: another job of the same key holds the fence.
        """

    @abstractmethod
    async def cancel(self, job: PlacedJob) -> JobOutcome:
        """Ends the job, and returns how it ended: it may have been over before.

        Raises:
            AnotherJobRuns: a living job of the same key holds the fence; this one is ended.
            SiteUnreachable: the site does not answer.
        """

    async def place_of(self, job: PlacedJob) -> Path | None:
        """The folder in which a job works that was found, and that another disk's driver may have made.

        Returns:
            None: the site does not tell.

        Raises:
            SiteUnreachable: it does not answer.
        """
        return job.folder

    async def sees(self, job: PlacedJob) -> bool:
        """Whether the job's folder, without which it cannot be followed, is to be seen here."""
        return True

    async def held_for(self, job: PlacedJob) -> Mapping[str, str]:
        """What a job that was found holds, which `release` ends: as `Holding.held` and `.what`."""
        return {}

    async def release(self, held: str) -> None:
        """Ends what is held for a run and costs by the clock; nothing if it has ended.

        Raises:
            SiteUnreachable: the site does not answer.
        """

    @property
    def looks_first(self) -> bool:
        """Whether a job is looked for before it is submitted, though nobody can have submitted it:
        where a question is nothing beside what a second job costs."""
        return False

    async def fetch(
        self, job: PlacedJob, trouble: Callable[[str], None], *, anew: bool = False
    ) -> None:
        """Brings the results of a job that ended well to its folder, where they are not made there.

        Asked for as often as somebody wants to read them, from any disk.

        Args:
            trouble: told once of a site that does not give them at once.
            anew: what is in the folder could not be read.

        Raises:
            SiteUnreachable: it does not give them; the job has ended well all the same.
        """

    @property
    def patience_seconds(self) -> float:
        """How long a site that does not answer is asked again before the step fails."""
        return 0.0

    @property
    def not_now_seconds(self) -> float:
        """How long a job that the site does not take yet is offered again."""
        return 0.0

    @property
    def fences(self) -> bool:
        """Whether `forbid` does what it promises."""
        return False

    def forbid(self, key: JobKey, folder: Path) -> str | None:
        """Makes sure that no job of this key begins from now on; the id of one that has."""
        return None

    async def measure(self, jobs: Sequence[PlacedJob]) -> Mapping[str, JobMetrics]:
        """What the site's accounting adds some time after the jobs' ends, by job id."""
        return {}


class AnotherJobRuns(Exception):
    """Two jobs of one key were accepted, and this is not the one that works.

    Attributes:
        job_id: the one that does.
    """

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        super().__init__(job_id)


def site_from(settings: Json) -> JobSite:
    """A site as a ledger keeps it.

    Raises:
        JobError: no installed distribution knows it.
    """
    try:
        return JobSite.model_validate(settings)
    except ValidationError as error:
        kind, problem = settings.get("type"), error.errors(include_url=False)[0]
        why = problem["msg"].removeprefix("Value error, ")
        raise JobError(
            f"a job went to a site of type {kind!r}, which this installation does not know; "
            "install the distribution that it came from, or the version that started the run "
            f"({why})"
        ) from error


def outlives_driver(settings: Json) -> bool:
    """Whether a job at such a site goes on when its driver is gone."""
    try:
        return site_from(settings).remote
    except JobError:  # of a distribution that is not here: it was no child of this driver
        return True

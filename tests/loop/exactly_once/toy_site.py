"""A service that runs jobs in this process: it outlives drivers, and misbehaves where it is told to.

A job doubles the number in its folder. Drivers die, by `DriverDied`, at any of the instants before,
in the middle of and after whatever they do that lasts: a line in a log, a call of the service.
"""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from weakref import WeakValueDictionary

import anyio
import anyio.lowlevel
import pytest

from qcsc_loop.errors import JobNotTaken, JobRejected, SiteUnreachable, SubmissionUnclear
from qcsc_loop.events import Event
from qcsc_loop.exactly_once.request import JobRequest, JobResult
from qcsc_loop.exactly_once.run_once import run_once
from qcsc_loop.jobs.entries import JobRecord
from qcsc_loop.jobs.key import JobKey
from qcsc_loop.jobs.ledger import Ledger, job_records
from qcsc_loop.jobs.outcome import JobMetrics, JobOutcome, JobState
from qcsc_loop.jobs.site import AnotherJobRuns, JobSite, PlacedJob, Waiting
from qcsc_loop.steps.step import Step, stepping
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.values.document import Document

RUN = "job-run"
UID = "2031-01-01T00:00:00+00:00"
NAME = "double"

_numbers = itertools.count(1)

Submission = Literal[
    "taken", "taken in silence", "taken late", "not taken", "not now", "rejected", "hangs"
]
Call = Literal["submit", "find", "outcome", "cancel", "measure", "fetch", "release"]


class DriverDied(BaseException):
    """What a driver does not live to see the end of."""


@dataclass
class Fate:
    """When a driver dies, in instants that it has lived through; 0 is never."""

    dies_at: int = 0
    lived: int = 0

    def strikes(self) -> bool:
        """Counts an instant; whether it is the last. The dead stay dead."""
        self.lived += 1
        return 0 < self.dies_at <= self.lived

    def instant(self) -> None:
        """Counts an instant, and dies if it is the last."""
        if self.strikes():
            raise DriverDied

    @property
    def struck(self) -> bool:
        return 0 < self.dies_at <= self.lived


class MortalStore(DirectoryStore):
    """A store whose driver dies before a log's line, in it, just before its end, or after it."""

    def __init__(self, root: Path, fate: Fate) -> None:
        super().__init__(root)
        self.fate = fate

    def write(self, name: str, document: Document) -> None:
        """The dead write no end, though a hook that raises this, like any exit, has failed."""
        if self.fate.struck:
            raise DriverDied
        super().write(name, document)

    def append(self, name: str, lines: Iterable[bytes]) -> None:
        written, path = list(lines), self.root / name
        self.fate.instant()
        super().append(name, written)
        for cut in (len(written[-1]) // 2, 1):
            if self.fate.strikes():
                os.truncate(path, path.stat().st_size - cut)
                raise DriverDied
        self.fate.instant()


@dataclass
class ToyJob:
    """A job that the service took.

    Attributes:
        unseen: looks that will not find it yet.
        outcome: once it is over.
    """

    job_id: str
    key: JobKey
    folder: Path
    unseen: int = 0
    outcome: JobOutcome | None = None
    result: str = ""


@dataclass(eq=False)
class Service:
    """What a batch system or a quantum service is to us.

    Attributes:
        submissions: what becomes of the next ones; after them all are taken.
        endings: how the next jobs end; after them all are COMPLETED.
        hangs: jobs do not end by themselves.
        cancels_hang: nor when they are cancelled.
        keeps_results: they are fetched from it, from any disk.
        tells_places: where its jobs work.
        looks_first: as of a site.
        held: what it holds for each job that was found; `release` takes it away.
        accounted: its accounting knows the jobs.
        fault: what cancelling and measuring raise.
        silent: calls that are not answered.
        late_looks: for how many looks a job taken late stays unseen.
        calls: what was called so far.
        worked: the jobs that did the work, in their order.
    """

    settle_seconds: float = 0.0
    not_now_seconds: float = 0.0
    accounts: bool = False
    fate: Fate = field(default_factory=Fate)
    submissions: list[Submission] = field(default_factory=list[Submission])
    endings: list[JobOutcome] = field(default_factory=list[JobOutcome])
    hangs: bool = False
    cancels_hang: bool = False
    measuring_hangs: bool = False
    keeps_results: bool = False
    tells_places: bool = True
    looks_first: bool = False
    held: dict[str, str] = field(default_factory=dict[str, str])
    accounted: bool = True
    silent: set[Call] = field(default_factory=set[Call])
    late_looks: int = 3
    metrics: JobMetrics = field(default_factory=lambda: JobMetrics(nodes=2))
    fault: Exception | None = None
    jobs: dict[str, ToyJob] = field(default_factory=dict[str, ToyJob])
    fences: dict[JobKey, str] = field(default_factory=dict[JobKey, str])
    calls: list[Call] = field(default_factory=list[Call])
    worked: list[str] = field(default_factory=list[str])
    name: str = field(default_factory=lambda: f"service-{next(_numbers)}")

    def __post_init__(self) -> None:
        _services[self.name] = self

    @property
    def site(self) -> ToySite:
        """The settings that lead here."""
        return ToySite(service=self.name)

    @property
    def accepted(self) -> list[JobKey]:
        """The keys of the jobs that were taken."""
        return [job.key for job in self.jobs.values()]

    @property
    def alive(self) -> list[str]:
        """The jobs that are not over."""
        return [job.job_id for job in self.jobs.values() if job.outcome is None]

    def take(self, key: JobKey, folder: Path, *, unseen: int = 0) -> ToyJob:
        """Accepts a job."""
        # two services' ids never agree
        job = ToyJob(f"{self.name}.{len(self.jobs) + 1}", key, folder, unseen)
        if self.keeps_results:  # it has all that it needs
            job.result = _doubled(folder)
        self.jobs[job.job_id] = job
        return job

    def work(self, job: ToyJob) -> JobOutcome:
        """Does the job, if it is not over; at most one of each key gets past the fence.

        Raises:
            AnotherJobRuns: another one of its key did.
        """
        holder = self.fences.setdefault(job.key, job.job_id)
        if holder != job.job_id:
            raise AnotherJobRuns(holder)
        if job.outcome is None:
            self.worked.append(job.job_id)
            if not self.keeps_results:
                (job.folder / "result").write_text(_doubled(job.folder))
            job.outcome = self.endings.pop(0) if self.endings else COMPLETED
        return job.outcome

    def end(self, job: ToyJob) -> JobOutcome:
        """Cancels the job; how it ended."""
        job.outcome = job.outcome or JobOutcome(state=JobState.CANCELLED)
        return job.outcome

    def show_after(self, looks: int) -> None:
        """Lets every job be found after so many further looks."""
        for job in self.jobs.values():
            job.unseen = looks

    def answer(self, call: Call) -> None:
        """Counts a call, and fails it if that is due."""
        self.fate.instant()
        self.calls.append(call)
        if call in self.silent:
            raise SiteUnreachable(self.name, f"{call} timed out")


class Ticking:
    """A clock that goes on by a second whenever it is read: whoever looks often has waited long."""

    def __init__(self) -> None:
        self._seconds = itertools.count()

    def monotonic(self) -> float:
        return float(next(self._seconds))


def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Takes the waiting out of the protocol, but not what it waits for."""
    clock = Ticking()
    for module in (
        "exactly_once.submission",
        "exactly_once.following",
        "exactly_once.ending",
        "exactly_once.patience",
        "jobs.ledger",
    ):
        monkeypatch.setattr(f"qcsc_loop.{module}.time", clock)
    monkeypatch.setattr("qcsc_loop.exactly_once.ending.LOOK_SECONDS", 0.0)
    monkeypatch.setattr("qcsc_loop.exactly_once.patience.PAUSE_SECONDS", 0.0)
    monkeypatch.setattr("qcsc_loop.exactly_once.run_once.READ_PAUSES", (0.0, 0.0))


COMPLETED = JobOutcome(state=JobState.COMPLETED, exit_code=0)


_services: WeakValueDictionary[str, Service] = WeakValueDictionary()


class ToySite(JobSite):
    """A service of this process, by its name."""

    type: Literal["toy"] = "toy"
    service: str

    @property
    def title(self) -> str:
        return self.service

    @property
    def accounts(self) -> bool:
        return self.here.accounts

    @property
    def settle_seconds(self) -> float:
        return self.here.settle_seconds

    @property
    def not_now_seconds(self) -> float:
        return self.here.not_now_seconds

    @property
    def here(self) -> Service:
        return _services[self.service]

    async def submit(self, key: JobKey, folder: Path) -> str:
        """Takes the job, or does what was planned for it."""
        here = self.here
        here.answer("submit")
        plan = here.submissions.pop(0) if here.submissions else "taken"
        if plan == "rejected":
            raise JobRejected(self.title, "there is no such queue")
        if plan == "not now":
            raise JobNotTaken(self.title, "too many jobs")
        if plan == "not taken":
            raise SubmissionUnclear(self.title, "the connection was reset")
        job = here.take(key, folder, unseen=here.late_looks if plan == "taken late" else 0)
        here.fate.instant()
        if plan == "hangs":
            await anyio.sleep_forever()
        if plan != "taken":
            raise SubmissionUnclear(self.title, "the connection was reset")
        return job.job_id

    async def find(self, key: JobKey, folder: Path) -> str | None:
        here = self.here
        here.answer("find")
        await anyio.lowlevel.checkpoint()
        for job in here.jobs.values():
            if job.key == key:
                job.unseen -= 1
                if job.unseen < 0:
                    return job.job_id
        return None

    async def outcome(self, job: PlacedJob, waiting: Waiting) -> JobOutcome:
        here = self.here
        here.answer("outcome")
        waiting.tell(JobState.RUNNING, "")
        if here.hangs:
            await anyio.sleep_forever()
        known = here.jobs.get(job.job_id)
        outcome = here.work(known) if known else JobOutcome(state=JobState.LOST)
        here.fate.instant()
        return outcome

    async def place_of(self, job: PlacedJob) -> Path | None:
        here = self.here
        if here.keeps_results:
            return job.folder
        return here.jobs[job.job_id].folder if here.tells_places else None

    async def sees(self, job: PlacedJob) -> bool:
        return self.here.keeps_results or job.folder.is_dir()

    @property
    def looks_first(self) -> bool:
        return self.here.looks_first

    async def held_for(self, job: PlacedJob) -> Mapping[str, str]:
        return dict(self.here.held)

    async def release(self, held: str) -> None:
        self.here.answer("release")
        self.here.held.pop(held, None)

    async def fetch(
        self, job: PlacedJob, trouble: Callable[[str], None], *, anew: bool = False
    ) -> None:
        here = self.here
        if here.keeps_results and (anew or not (job.folder / "result").exists()):
            here.answer("fetch")
            job.folder.mkdir(parents=True, exist_ok=True)
            (job.folder / "result").write_text(here.jobs[job.job_id].result)

    async def cancel(self, job: PlacedJob) -> JobOutcome:
        here = self.here
        here.answer("cancel")
        if here.fault is not None:
            raise here.fault
        if here.cancels_hang:
            await anyio.sleep_forever()
        known = here.jobs.get(job.job_id)
        outcome = here.end(known) if known else JobOutcome(state=JobState.CANCELLED)
        here.fate.instant()
        await anyio.lowlevel.checkpoint()
        works = here.fences.setdefault(job.key, job.job_id)
        if works in here.alive:
            raise AnotherJobRuns(works)
        return outcome

    async def measure(self, jobs: Sequence[PlacedJob]) -> Mapping[str, JobMetrics]:
        here = self.here
        here.answer("measure")
        if here.fault is not None:
            raise here.fault
        if here.measuring_hangs:
            await anyio.sleep_forever()
        return {job.job_id: here.metrics for job in jobs if here.accounted}


def doubling(
    service: Service,
    number: int = 21,
    *,
    name: str = NAME,
    resubmit: Mapping[JobState, int] | None = None,
    collect: Callable[[Path], int] | None = None,
) -> JobRequest[int]:
    """A job that doubles a number."""
    return JobRequest(
        name=name,
        site=service.site,
        input_sha256=hashlib.sha256(str(number).encode()).hexdigest(),
        prepare=lambda _key, folder: write_number(folder, number),
        submit=service.site.submit,
        collect=collect or read_number,
        resubmit=resubmit or {},
    )


def _doubled(folder: Path) -> str:
    return str(2 * int((folder / "input").read_text()))


def write_number(folder: Path, number: int) -> None:
    """What a job works on."""
    (folder / "input").write_text(str(number))


def read_number(folder: Path) -> int:
    """What a job made of it."""
    return int((folder / "result").read_text())


@dataclass
class Drivers:
    """One run's drivers, one after the other, over one store.

    Attributes:
        epoch: of the latest.
        events: what they told.
    """

    root: Path
    epoch: int = 0
    events: list[Event] = field(default_factory=list[Event])

    def next(
        self,
        fate: Fate | None = None,
        *,
        check: Callable[[], None] = lambda: None,
        leave_jobs: bool = False,
    ) -> Ledger:
        """The ledger as the next driver reads it."""
        self.epoch += 1
        ledger = Ledger(
            run_id=RUN,
            run_uid=UID,
            store=MortalStore(self.root, fate or Fate()),
            epoch=self.epoch,
            check=check,
            observe=self.events.append,
            leave_jobs=lambda: leave_jobs,
        )
        ledger.load()
        return ledger

    def step(self, ledger: Ledger, *, iteration: int = 1) -> Step:
        """The step that every one of them comes to."""
        return Step(
            run_id=RUN,
            iteration=iteration,
            name="evaluate",
            ledger=ledger,
            make_folder=lambda: self._folder(iteration),
        )

    def ask(
        self, request: JobRequest[int], ledger: Ledger | None = None, *, iteration: int = 1
    ) -> JobResult[int]:
        """The job's result, as a driver gets it; by default the next one."""
        return anyio.run(self.asking, request, ledger or self.next(), iteration)

    async def asking(
        self, request: JobRequest[int], ledger: Ledger, iteration: int = 1
    ) -> JobResult[int]:
        with stepping(self.step(ledger, iteration=iteration)):
            return await run_once(request)

    @property
    def records(self) -> list[JobRecord]:
        """The jobs as anybody reads them from the store."""
        return job_records(DirectoryStore(self.root), RUN)

    def _folder(self, iteration: int) -> Path:
        path = self.root / RUN / "work" / str(iteration)
        path.mkdir(parents=True, exist_ok=True)
        return path

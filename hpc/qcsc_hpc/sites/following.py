"""Following jobs: one question to the scheduler for all of them, and a look at their folders.

A job that comes to its own end is seen by its exit record, at the price of a `stat`; the scheduler
is then asked at once. What it does not come to by itself - a time limit, a dead node - is seen by
asking, seldom: the longer a job has stood as it stands, the rarer.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace

import anyio
from anyio import to_thread

from qcsc_hpc.schedulers.scheduler import Scheduler, Status
from qcsc_hpc.script.job_folder import ExitRecord, JobFolder
from qcsc_hpc.sites.asking import Asking, Known
from qcsc_hpc.sites.commands import Commands
from qcsc_hpc.sites.verdict import Sighting
from qcsc_loop.errors import InputError, SiteUnreachable
from qcsc_loop.jobs.outcome import JobState
from qcsc_loop.jobs.site import PlacedJob

FIRST_ASK_SECONDS = 1.0  # after submission; then a quarter of the time the job has stood so
AGAIN_SECONDS = 0.25  # after an answer that comes too early: the script has ended
GAP_SECONDS = 0.5  # between questions where many jobs end at their own times
MANY = 4
# jobs, more than one question is for: only those are asked for that are due, and all pauses grow
VERY_MANY = 200
LOOKING_SHARE = 50  # of as many seconds, looks at all of their folders take one
CLEARING_SECONDS = 0.05  # from a script's end until the scheduler has heard of it
LOOK_SECONDS = 0.02  # between looks at a young job's folder; later a fiftieth of its age
LONGEST_LOOK_SECONDS = 1.0
GLANCE_SECONDS = 0.5  # between looks at the clock, for limits and graces
LOG_BYTES = 64 * 1024  # shown of a log at one look
SAY_AGAIN_SECONDS = 600.0  # until the same trouble is worth the same words


@dataclass(frozen=True)
class Silence:
    """A scheduler that says nothing of a job.

    Attributes:
        why: what became of its last command.
        since: by the monotonic clock.
        patience: seconds for which it is asked again.
        record_after: seconds after which the job's own record counts: sooner where the scheduler
            answers, and nothing of it can be read.
    """

    title: str
    why: str
    since: float
    patience: float
    record_after: float

    @property
    def seconds(self) -> float:
        """How long it has lasted."""
        return time.monotonic() - self.since

    def error(self, job_id: str) -> SiteUnreachable:
        """What to raise then."""
        why = (
            f"it has said nothing of job {job_id} for {self.patience:g} s (patience_seconds), and "
            f"the job has not said that it is over; the last question: {self.why}; if its commands "
            "are only slow, give the profile a longer command_timeout; a resume follows the job again"
        )
        return SiteUnreachable(self.title, why)


@dataclass
class Followed:
    """A job, and what has been seen of it."""

    job: PlacedJob
    folder: JobFolder
    output: Callable[[str], None]
    trouble: Callable[[str], None]
    status: Status | None = None
    record: ExitRecord | None = None
    answered: bool = False  # the scheduler has said something, if only that it knows nothing
    doubtful: bool = False  # it does not know it, but not all of its commands have answered
    silence: Silence | None = None  # since it has said nothing
    unknown_since: float | None = None
    final_since: float | None = None
    changed: float = field(default_factory=time.monotonic)
    ask_at: float = field(default_factory=lambda: time.monotonic() + FIRST_ASK_SECONDS)
    look_at: float = field(default_factory=time.monotonic)
    log_position: int = 0
    news: anyio.Event = field(default_factory=anyio.Event)
    refused: InputError | None = None

    def sighting(self) -> Sighting | None:
        """What is known; None before the scheduler has answered.

        Raises:
            SiteUnreachable: it has not for too long, and the job has left no word of its own.
        """
        now = time.monotonic()
        record = self._record_of_this_start()
        if self.silence is not None:
            if record is not None and self.silence.seconds >= self.silence.record_after:
                return Sighting(record=record, unknown_seconds=math.inf)
            if record is None and self.silence.seconds >= self.silence.patience:
                raise self.silence.error(self.job.job_id)
        if not self.answered:
            return None
        return Sighting(
            status=self.status,
            record=record,
            unknown_seconds=0.0 if self.unknown_since is None else now - self.unknown_since,
            final_seconds=0.0 if self.final_since is None else now - self.final_since,
            doubtful=self.doubtful,
        )

    async def look(self, seconds: float | None) -> Sighting | None:
        """What is known after the next news, or after so many seconds; None: only while time counts."""
        counts = self.silence or self.unknown_since or self.final_since
        with anyio.move_on_after(GLANCE_SECONDS if seconds is None and counts else seconds):
            await self.news.wait()
        self.news = anyio.Event()
        if self.refused is not None:
            raise self.refused
        return self.sighting()

    def _record_of_this_start(self) -> ExitRecord | None:
        """Not the one that a start left which was killed to be made again."""
        told = self.status.restarts if self.status else None
        noted = self.record.restarts if self.record else None
        return None if None not in (told, noted) and told != noted else self.record

    # for the watch

    def note_silence(self, silence: Silence, longest: float) -> None:
        """No answer changes nothing but the time of the next question."""
        if self.silence is None:
            self.news.set()  # from now on time counts
        self.silence = replace(silence, since=self.silence.since) if self.silence else silence
        self.ask_at = time.monotonic() + min(1.0, longest)

    def note_status(self, status: Status | None, longest: float, *, doubtful: bool = False) -> None:
        now = time.monotonic()
        self.silence, self.doubtful = None, doubtful
        before = self.status.state if self.status else None
        if not self.answered or _is_news(self.status, status):
            self.news.set()
        if status is None:
            self.unknown_since = self.unknown_since or now
        else:
            self.unknown_since = None
            if status.state is not before:
                self.changed = now
            if status.state.final:
                self.final_since = self.final_since or now
            else:
                self.final_since = None
        self.status, self.answered = status, True
        self.ask_at = now + self._pause(now, longest)

    def _pause(self, now: float, longest: float) -> float:
        state = self.status.state if self.status else None
        # a waiting job's record is of an earlier start, and the next may be long in coming
        ends = self._record_of_this_start() is not None and state is not JobState.PENDING
        if ends or state is JobState.ENDING:
            return AGAIN_SECONDS
        since = self.unknown_since or self.final_since or self.changed
        return min(max(FIRST_ASK_SECONDS, (now - since) / 4), longest)

    def note_folder(
        self, record: ExitRecord | None, text: str, position: int, least: float = 0.0
    ) -> None:
        now = time.monotonic()
        if text:
            self.output(text)
        self.log_position = position
        if record is not None and record != self.record:
            self.changed, self.ask_at = now, now + CLEARING_SECONDS
        self.record = record  # None again when a requeued job has begun anew
        age = now - self.changed
        # a program may have filled the folder with files, which are listed at each look
        self.look_at = now + max(min(max(LOOK_SECONDS, age / 50), LONGEST_LOOK_SECONDS), least)


class Watch:
    """Follows all jobs of one site in one event loop, for as long as there are any."""

    def __init__(self, scheduler: Scheduler, commands: Commands) -> None:
        self._scheduler, self._asking = scheduler, Asking(scheduler, commands)
        self._followed: list[Followed] = []
        self._task: asyncio.Task[None] | None = None
        self._more = anyio.Event()
        self._asked = 0.0
        self._silent = False
        self._said: dict[str, float] = {}

    @asynccontextmanager
    async def following(
        self, job: PlacedJob, output: Callable[[str], None], trouble: Callable[[str], None]
    ) -> AsyncIterator[Followed]:
        """The job, followed while the block lasts."""
        folder = JobFolder(job.folder)
        followed = Followed(job, folder, output, trouble)
        self._followed.append(followed)
        self._more.set()
        if self._task is None:
            self._task = asyncio.ensure_future(self._follow())
        try:
            yield followed
        finally:
            self._followed.remove(followed)
            if not self._followed and self._task is not None:
                task, self._task = self._task, None
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    async def _follow(self) -> None:
        while True:
            now = time.monotonic()
            first = self._ask_from
            due = min(min(f.look_at, max(f.ask_at, first)) for f in self._followed)
            with anyio.move_on_after(max(0.0, due - now)):
                await self._more.wait()
            self._more = anyio.Event()
            if self.pace > 1:
                await anyio.sleep(LOOK_SECONDS)  # in which more may come
            await self._look()
            now = time.monotonic()
            if now >= self._ask_from and any(f.ask_at <= now for f in self._followed):
                await self._ask()
                self._asked = time.monotonic()

    @property
    def pace(self) -> float:
        """By how much everything is slower, for the number of jobs."""
        return max(1.0, len(self._followed) / VERY_MANY)

    @property
    def _ask_from(self) -> float:
        return self._asked + GAP_SECONDS * self.pace if len(self._followed) > MANY else 0.0

    async def _look(self) -> None:
        now = time.monotonic()
        # those that are nearly due, too: many jobs must not be many looks
        soon = now + (LOOK_SECONDS if self.pace == 1 else GLANCE_SECONDS)
        due = [f for f in self._followed if f.look_at <= soon]
        if due:
            await self._look_at(due)

    async def _look_at(self, some: list[Followed]) -> None:
        began = time.monotonic()
        seen = await to_thread.run_sync(_looked_at, [(f.folder, f.log_position) for f in some])
        took = (time.monotonic() - began) / len(some)
        least = took * (20 if self.pace == 1 else LOOKING_SHARE * len(self._followed))
        for followed, (record, text, position) in zip(some, seen, strict=True):
            own = record if record is not None and record.job == followed.job.job_id else None
            followed.note_folder(own, text, position, least)

    async def _ask(self) -> None:
        asked, soon = self._followed[:], time.monotonic() + GAP_SECONDS
        if self.pace > 1:
            asked = [followed for followed in asked if followed.ask_at <= soon]
        ids = list(dict.fromkeys(f.job.job_id for f in asked))
        try:
            known = await self._asking.ask_for(ids)
        except InputError as error:  # no patience helps: there is no such command here
            for followed in asked:
                followed.refused, followed.ask_at = error, math.inf
                followed.news.set()
            return
        except Exception as error:  # an answer that nobody foresaw is no answer either
            self._note(asked, Known(open=dict.fromkeys(ids, str(error))), answered=False)
            return
        # what was seen before the answer may be of an earlier start, and out of date
        over = [f for f in asked if _is_over(known.jobs.get(f.job.job_id))]
        if over:
            await self._look_at(over)
        self._note(asked, known, answered=True)

    def _note(self, asked: list[Followed], known: Known, *, answered: bool) -> None:
        where, now = self._scheduler.where, time.monotonic()
        why = next(iter(known.open.values()), "")
        if why:
            self._say(f"{self._scheduler.name} said nothing that can be understood: {why}")
        elif known.doubtful:
            self._say(f"{self._scheduler.title}'s accounting says nothing: {known.accounting}")
        else:
            self._silent = False
        patience = where.patience_seconds
        record_after = min(where.lost_seconds, patience) if answered else patience
        for followed in asked:
            job_id = followed.job.job_id
            if job_id in known.jobs:
                doubtful = job_id in known.doubtful
                followed.note_status(known.jobs[job_id], where.poll_seconds, doubtful=doubtful)
            elif job_id in known.open:
                title, reason = self._scheduler.title, known.open[job_id]
                silence = Silence(title, reason, now, patience, record_after)
                followed.note_silence(silence, where.poll_seconds)
            else:  # its turn comes
                followed.ask_at = now

    def _say(self, why: str) -> None:
        """Once per outage, to one, for the others wait for the same; the same words seldom."""
        now = time.monotonic()
        new = now - self._said.get(why, -math.inf) >= SAY_AGAIN_SECONDS
        if not self._silent and new and self._followed:
            self._said[why] = now
            self._followed[0].trouble(f"{why}; its jobs go on, and it is asked again")
        self._silent = True


def _is_news(before: Status | None, now: Status | None) -> bool:
    """Whether anything follows from it: of many jobs that wait or run, nothing does."""
    if before is None or now is None or _is_over(now):
        return True
    return (before.state, before.reason) != (now.state, now.reason)


def _is_over(status: Status | None) -> bool:
    return status is not None and (status.state.final or status.state is JobState.ENDING)


def _looked_at(
    places: list[tuple[JobFolder, int]],
) -> list[tuple[ExitRecord | None, str, int]]:
    seen: list[tuple[ExitRecord | None, str, int]] = []
    for folder, position in places:
        record = folder.exit()  # first: what was written before it is in the log
        text, after = folder.written_since(position, LOG_BYTES)
        seen.append((record, text, after))
    return seen

"""Jobs that go to a scheduler together: many of one shape as one array.

An element is a job like any other: how it is found, followed and ended is a site's. Here is only how it
comes there. Before the submission the list of an array's elements is in its folder; a driver that
finds an intent without an id reads from that in which array it may be.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from anyio import to_thread

from qcsc_hpc.profiles import ExecutionProfile
from qcsc_hpc.schedulers.scheduler import Argv, NotUnderstood, Scheduler
from qcsc_hpc.script.array_folder import (
    ArrayFolder,
    array_key,
    arrays_in,
    make_array_folder,
    step_folder,
)
from qcsc_hpc.script.array_script import head_of, render_array
from qcsc_hpc.sites.commands import Commands
from qcsc_hpc.sites.together import Together
from qcsc_loop.errors import (
    JobElsewhere,
    JobNotTaken,
    JobRejected,
    QcscLoopError,
    SiteUnreachable,
    SubmissionUnclear,
)
from qcsc_loop.jobs.key import JobKey
from qcsc_loop.steps.step import Step, current_step

QUIET_SECONDS = 0.3  # in which no other job of the shape has come
LONGEST_SECONDS = 10.0  # that the first one waits for others
ALONE = "alone"  # in the folder of a job that was also submitted by itself
MISSES = 3  # numbers without an array, after which a step has no more

Alone = Callable[[JobKey, Path], Awaitable[str]]
Look = Callable[[Argv, str], Awaitable[list[str]]]


@dataclass(frozen=True)
class _Member:
    key: JobKey
    folder: Path
    answer: asyncio.Future[str]


@dataclass
class _Group:
    """Jobs that will go together."""

    how: ExecutionProfile
    step: Step
    members: list[_Member] = field(default_factory=list[_Member])
    task: asyncio.Task[None] | None = None
    came: float = 0.0  # the last one

    def leave(self, member: _Member) -> None:
        """Whoever wants none any more takes the submission with him, if he is the last."""
        if all(one.answer.done() for one in self.members if one is not member) and self.task:
            self.task.cancel()


class Arrays:
    """Of one site, in one event loop.

    Args:
        alone: submits a job by itself.
        look: ids that a question finds for a name.
    """

    def __init__(
        self, title: str, scheduler: Scheduler, commands: Commands, alone: Alone, look: Look
    ) -> None:
        self._title, self._scheduler, self._commands = title, scheduler, commands
        self._alone, self._look = alone, look
        self._groups: dict[object, _Group] = {}
        self._size = scheduler.where.array_size
        self._ids: dict[str, str] = {}  # of arrays, by name
        self._lists: Together[Path, list[ArrayFolder]] = Together(_read_lists)
        self._found: Together[str, str] = Together(self._find_names)
        self._ending: Together[str, None] = Together(self._end)

    # submitting

    async def submit(self, key: JobKey, folder: Path, how: ExecutionProfile) -> str:
        """The id of the job, which goes with others of its step that come now.

        Raises:
            JobRejected, JobNotTaken, SubmissionUnclear, LeaseLost: as `BatchSite.submit`.
            SiteUnreachable: the scheduler did not answer before it was this job's turn.
        """
        step = current_step()
        shape = (key.run_uid, key.iteration, key.step, *head_of(self._scheduler, how, "", ""))
        group = self._groups.get(shape)
        if group is None:
            group = self._groups[shape] = _Group(how, step)
            group.task = asyncio.ensure_future(self._go(shape, group))
        member = _Member(key, folder, asyncio.get_running_loop().create_future())
        group.members.append(member)
        group.came = time.monotonic()
        if len(group.members) >= self._size:
            del self._groups[shape]
        try:
            return await member.answer
        except asyncio.CancelledError:
            group.leave(member)
            raise

    async def _go(self, shape: object, group: _Group) -> None:
        began = time.monotonic()
        while self._groups.get(shape) is group:
            quiet = group.came + QUIET_SECONDS
            wait = min(quiet, began + LONGEST_SECONDS) - time.monotonic()
            if wait <= 0:
                del self._groups[shape]
            else:
                await asyncio.sleep(min(wait, QUIET_SECONDS / 3))
        left = [member for member in group.members if not member.answer.done()]
        try:
            await self._deal(group, left)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # another driver has the run, or nobody foresaw it
            for member in left:
                if not member.answer.done():
                    member.answer.set_exception(error)

    async def _deal(self, group: _Group, left: list[_Member]) -> None:
        """Submits them in as many arrays as it takes."""
        size = self._size
        while left := [member for member in left if not member.answer.done()]:
            some = left[:size]
            try:
                ids = await self._submit(group, some)
            except _Refusal as refusal:
                if refusal.fewer and len(some) > 1:
                    size = max(1, len(some) // 2)
                    if refusal.for_good:
                        self._size = size
                    continue
                # it says the same of all, but where it may have taken these
                told = some if refusal.rest is not None else left
                _tell(told, refusal.error)
                if refusal.rest is not None:
                    _tell(left[len(some) :], refusal.rest)
                return
            for member, job_id in zip(some, ids, strict=True):
                if not member.answer.done():
                    member.answer.set_result(job_id)
            left = left[len(some) :]

    async def _submit(self, group: _Group, some: list[_Member]) -> list[str]:
        if len(some) == 1:
            return [await self._submit_alone(some[0])]
        array = await to_thread.run_sync(self._prepare, group.how, some)
        argv = self._scheduler.submit_array(str(array.script), len(some))
        ask = self._commands.ask
        try:
            answer = await ask(
                argv, folder=array.path, kind="submit", before=group.step.ledger.check
            )
            array_id = self._scheduler.submitted(answer)
        except SiteUnreachable as error:
            raise self._unclear(str(error)) from error
        except NotUnderstood as error:
            if not (error.permanent or error.not_now):
                raise self._unclear(str(error)) from error
            await to_thread.run_sync(array.take_back)
            raise self._refused(error) from error
        self._ids[array.key(some[0].key).job_name] = array_id
        return [self._scheduler.element(array_id, number) for number in range(len(some))]

    async def _submit_alone(self, member: _Member) -> str:
        await to_thread.run_sync(_note_alone, member)
        try:
            return await self._alone(member.key, member.folder)
        except (JobNotTaken, JobRejected) as error:
            kind = JobNotTaken if isinstance(error, JobNotTaken) else JobRejected
            raise _Refusal(partial(kind, self._title, error.reason)) from error
        except (SubmissionUnclear, SiteUnreachable) as error:
            raise self._unclear(str(error)) from error

    def _prepare(self, how: ExecutionProfile, some: Sequence[_Member]) -> ArrayFolder:
        first = some[0]
        array = make_array_folder(step_folder(first.key, first.folder))
        script = render_array(self._scheduler, how, array.key(first.key), array.path, len(some))
        folders = [member.folder for member in some]
        array.fill(script, folders, forward=self._scheduler.writes_output)
        return array

    def _unclear(self, why: str) -> _Refusal:
        return _Refusal(
            lambda: SubmissionUnclear(self._title, why),
            rest=lambda: SiteUnreachable(self._title, why),
        )

    def _refused(self, error: NotUnderstood) -> _Refusal:
        kind, why = JobRejected if error.permanent else JobNotTaken, str(error)
        made = partial(kind, self._title, why)
        return _Refusal(made, fewer=error.fewer, for_good=error.permanent)

    # finding

    async def find(self, key: JobKey, folder: Path) -> tuple[str | None, bool]:
        """The id of the element that this job is, and whether it may be a job by itself, too.

        Raises:
            JobElsewhere: the step has an array whose list is not here, but on another driver's disk.
            SiteUnreachable: the scheduler could not be asked for all.
        """
        step = step_folder(key, folder)
        known = await self._lists.ask(step)
        listed = [array for array in known if array.number_of(folder) is not None]
        for array in listed:
            if array_id := await self._found.ask(array.key(key).job_name):
                number = array.number_of(folder)
                assert number is not None
                return self._scheduler.element(array_id, number), False
        if not current_step().ledger.complete:
            await self._require_here(key, {array.number for array in known})
        return None, not listed or await to_thread.run_sync((folder / ALONE).exists)

    async def _require_here(self, key: JobKey, here: set[int]) -> None:
        number = missed = 0
        while missed < MISSES:
            if number not in here:
                array = array_key(key, number)
                if array_id := await self._found.ask(array.job_name):
                    where = "a folder of another disk, which holds the list of its elements"
                    raise JobElsewhere(str(key), array_id, self._title, where, key.run_id)
                missed += 1
            number += 1

    async def _find_names(self, names: Sequence[str]) -> Mapping[str, str]:
        for name in names:
            if name not in self._ids:
                for question in self._scheduler.find(name):
                    if ids := await self._look(question, name):
                        self._ids[name] = ids[0]
                        break
        return {name: self._ids.get(name, "") for name in names}

    # ending

    async def end(self, job_id: str) -> None:
        """Tells the scheduler to end a job, with others that are to end now.

        Raises:
            SiteUnreachable: it did not say that it has heard.
        """
        await self._ending.ask(job_id)

    async def _end(self, job_ids: Sequence[str]) -> Mapping[str, None]:
        answer = await self._commands.ask(self._scheduler.cancel_all(job_ids))
        try:
            self._scheduler.cancelled(answer)
        except NotUnderstood as error:
            raise SiteUnreachable(self._title, str(error)) from error
        return dict.fromkeys(job_ids)


class _Refusal(Exception):
    """Jobs were not taken, or may not have been.

    Attributes:
        error: makes what to raise for each.
        rest: for those whose turn it was not yet; None: the same.
        fewer: fewer at once may be taken.
        for_good: it will always be so.
    """

    def __init__(
        self,
        error: Callable[[], QcscLoopError],
        *,
        rest: Callable[[], QcscLoopError] | None = None,
        fewer: bool = False,
        for_good: bool = False,
    ) -> None:
        self.error, self.rest = error, rest
        self.fewer, self.for_good = fewer, for_good
        super().__init__()


def _tell(members: Sequence[_Member], error: Callable[[], Exception]) -> None:
    for member in members:
        if not member.answer.done():
            member.answer.set_exception(error())


def _note_alone(member: _Member) -> None:
    """Only of one that a list has, which is else not looked for by its own name."""
    step = step_folder(member.key, member.folder)
    if any(array.number_of(member.folder) is not None for array in arrays_in(step)):
        (member.folder / ALONE).touch()


async def _read_lists(steps: Sequence[Path]) -> Mapping[Path, list[ArrayFolder]]:
    return await to_thread.run_sync(lambda: {step: _lists_in(step) for step in steps})


def _lists_in(step: Path) -> list[ArrayFolder]:
    return [array for array in arrays_in(step) if array.elements]

"""Asking a scheduler how jobs stand: an answer decides only what it clearly says.

One question is for many jobs. Those that its answer leaves open, for it shows some of them only
(openpbs#2672), or something in it cannot be read (openpbs#1255), are asked for singly, and what is
open then by another command.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from qcsc_hpc.schedulers.scheduler import Argv, NotUnderstood, Scheduler, Status
from qcsc_hpc.sites.commands import Commands
from qcsc_loop.errors import JobRefused, SiteUnreachable

SINGLY = 8  # jobs in one round: the others have their turn in the next


@dataclass
class Known:
    """What is known after a round.

    Attributes:
        jobs: None of one that the scheduler does not know.
        doubtful: of these, those that its accounting may know, which does not answer.
        open: of which nothing that was said can be read, each with the reason. Jobs that are in
            neither have not had their turn.
        accounting: why it does not answer; empty if it does.
    """

    jobs: dict[str, Status | None] = field(default_factory=dict[str, Status | None])
    doubtful: set[str] = field(default_factory=set[str])
    open: dict[str, str] = field(default_factory=dict[str, str])
    accounting: str = ""


class Asking:
    """Asks one site's scheduler."""

    def __init__(self, scheduler: Scheduler, commands: Commands) -> None:
        self._scheduler, self._commands = scheduler, commands
        self._turn = 0

    async def ask_for(self, ids: Sequence[str]) -> Known:
        """How these jobs stand.

        Raises:
            SiteUnreachable, NotUnderstood: the scheduler says nothing of any.
        """
        try:
            return await self._ask_for(ids)
        except NotUnderstood as error:
            if not error.question or self._scheduler.plain is None:
                raise
        self._scheduler = self._scheduler.plain  # from now on
        return await self._ask_for(ids)

    async def _ask_for(self, ids: Sequence[str]) -> Known:
        known = Known()
        most = self._scheduler.ids_a_question
        for start in range(0, len(ids), most):
            await self._ask_together(ids[start : start + most], known)
        left = [job_id for job_id in ids if job_id not in known.jobs]
        await self._ask_for_arrays(left, known)
        left = [job_id for job_id in left if job_id not in known.jobs]
        for job_id in self._whose_turn(left):
            if most > 1 and len(ids) > 1 and not self._scheduler.array_of(job_id):
                await self._ask_together([job_id], known)
            for question in self._scheduler.again(job_id):
                if job_id not in known.jobs:
                    await self._ask_otherwise(question, job_id, known)
        return known

    async def _ask_for_arrays(self, left: list[str], known: Known) -> None:
        """An array is asked for alone, for all of its elements that are left."""
        arrays: dict[str, list[str]] = {}
        for job_id in left:
            if array_id := self._scheduler.array_of(job_id):
                arrays.setdefault(array_id, []).append(job_id)
        for array_id, elements in [*arrays.items()][:SINGLY]:
            found, why = await self._said_of([array_id], elements, known)
            for job_id in elements:
                self._note(job_id, found, why, known)

    def _whose_turn(self, left: list[str]) -> list[str]:
        first = self._turn % len(left) if left else 0
        self._turn += SINGLY
        return [*left[first:], *left[:first]][:SINGLY]

    async def _ask_together(self, ids: Sequence[str], known: Known) -> None:
        """Notes what is said of them; that one is unknown only if it is asked for alone."""
        found, why = await self._said_of(ids, ids, known)
        for job_id in ids:
            if job_id in found or (len(ids) == 1 and not self._scheduler.array_of(job_id)):
                self._note(job_id, found, why, known)

    async def _said_of(
        self, ids: Sequence[str], elements: Sequence[str], known: Known
    ) -> tuple[dict[str, Status], str]:
        """What is said of jobs, or of elements whose array is asked for, or why that cannot be read."""
        try:
            found, why = await self._answered(self._scheduler.status(ids))
        except (NotUnderstood, SiteUnreachable) as error:
            if not known.jobs or _is_question(error):
                raise
            found, why = {}, str(error)
        rest = [job_id for job_id in elements if job_id not in found]
        if rest and not why:
            asked = ids if ids != elements else rest
            if (question := self._scheduler.history(asked)) is not None:
                earlier, why = await self._past(question, known)
                found |= {job_id: one for job_id, one in earlier.items() if job_id not in found}
        return found, why

    def _note(self, job_id: str, found: dict[str, Status], why: str, known: Known) -> None:
        if job_id in found:
            known.open.pop(job_id, None)
            known.jobs[job_id] = found[job_id]
        else:
            self._note_absent(job_id, why, known)

    def _note_absent(self, job_id: str, why: str, known: Known) -> None:
        if why:
            known.open[job_id] = why
            return
        known.open.pop(job_id, None)
        known.jobs[job_id] = None
        if known.accounting:
            known.doubtful.add(job_id)

    async def _ask_otherwise(self, question: Argv, job_id: str, known: Known) -> None:
        found, _ = await self._past(question, known)
        if job_id in found:
            known.open.pop(job_id, None)
            known.jobs[job_id] = found[job_id]

    async def _answered(self, question: Argv) -> tuple[dict[str, Status], str]:
        """What it says, or why it cannot be read."""
        answer = await self._commands.ask(question)
        try:
            return self._scheduler.statuses(answer), ""
        except NotUnderstood as error:
            if error.question or not answer.out.strip():  # it does not answer: nobody need ask more
                raise
            return {}, str(error)

    async def _past(self, question: Argv, known: Known) -> tuple[dict[str, Status], str]:
        """As above, of a second question: that it fails does not undo what the first one said."""
        accounting = self._scheduler.is_accounting(question)
        if accounting and known.accounting:
            return {}, ""
        try:
            return self._scheduler.histories(await self._commands.ask(question)), ""
        except JobRefused:  # there is no such command here
            if not accounting:
                raise
            return {}, ""
        except (NotUnderstood, SiteUnreachable) as error:
            if _is_question(error):
                raise
            if accounting:
                known.accounting = str(error)
                return {}, ""
            return {}, str(error)


def _is_question(error: Exception) -> bool:
    """Whether it can be put otherwise."""
    return isinstance(error, NotUnderstood) and error.question

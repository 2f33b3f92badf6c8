"""A request is done: by waiting ranks or by a program of its own, and its outcome committed."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from qcsc_hpc.script.outputs import missing
from qcsc_hpc.warm.lasting_pool import LastingPool
from qcsc_hpc.warm.mailbox import BROKE, Ended, Mailbox, Request, Try, times_broken
from qcsc_hpc.warm.pool import PoolBroken
from qcsc_hpc.warm.rank import LOG
from qcsc_loop.concurrency.child import tie_to_this_process

TERM_SECONDS = 0.5  # in which all of a job hears that it is ended
AGAIN_SECONDS = 1.0  # before an outcome that the disk did not take is written again


@dataclass(frozen=True)
class Claimed:
    """A request, and the right to commit its outcome.

    Attributes:
        name: in the mailbox.
        own: the try in whose folder it is done.
        ranks: which of the waiting ones do it, or make room for it.
    """

    name: str
    own: Try
    request: Request
    ranks: tuple[int, ...]


@dataclass(frozen=True)
class Execution:
    """Of requests in one warm job.

    Attributes:
        job: its id.
        tries: how often ranks may die in one request.
        is_terminated: whether the scheduler is ending the job, and what runs in it.
    """

    mailbox: Mailbox
    pool: LastingPool
    job: str
    tries: int
    is_terminated: Callable[[], bool]
    say: Callable[[str], None]

    async def do(self, claimed: Claimed) -> None:
        """Does it and commits its outcome, or leaves it in the mailbox to be begun again."""
        began = time.time()
        ended = await self._try(claimed)
        if ended is None:
            return
        if ended.state == "COMPLETED" and (
            fault := missing(claimed.own.path, claimed.request.outputs)
        ):
            ended = Ended("FAILED", reason=f"it ended well, but {fault}")
        ended = replace(ended, job=self.job, began=began, ended=time.time())
        if ended.state == "FAILED":
            # schedulers send SIGTERM to all of a job at its end, and whoever is quick dies first
            await asyncio.sleep(TERM_SECONDS)
            if self.is_terminated():
                return  # it stays in the mailbox
        await self._commit(claimed, ended)

    async def _try(self, claimed: Claimed) -> Ended | None:
        """Its outcome; None if it stays in the mailbox."""
        request = claimed.request
        try:
            async with asyncio.timeout(request.seconds):
                if request.step:
                    return await _run_step(request, claimed.own.path)
                return await self._run_on_ranks(claimed)
        except TimeoutError:
            await self.kill(request)
            why = f"it ran longer than {request.seconds:g} s and was killed"
            return Ended("TIMEOUT", reason=why)
        except PoolBroken as error:
            return self._judge(claimed, error)
        except OSError as error:
            return Ended("FAILED", reason=f"{type(error).__name__}: {error}")

    async def _run_on_ranks(self, claimed: Claimed) -> Ended:
        answer = await self.pool.run(claimed.ranks, claimed.request, claimed.own.path)
        if answer.exit_code:
            return Ended("FAILED", exit_code=answer.exit_code, reason=answer.error)
        return Ended("COMPLETED", exit_code=0)

    def _judge(self, claimed: Claimed, error: PoolBroken) -> Ended | None:
        """Whether ranks that died in it are its own fault; None if it is worth another try."""
        own = claimed.own
        if not error.deliberate and error.rank in (None, *claimed.ranks):
            (own.path / BROKE).touch()
        broken = times_broken(own.folder)
        if broken < self.tries:
            self.say(f"{claimed.request.key} begins again: {error}")
            return None
        return Ended("FAILED", reason=f"{error}, {broken} times in the middle of it")

    async def kill(self, request: Request) -> None:
        """Ends the ranks that do it, which cannot be interrupted; a step ends with its task."""
        if not request.step:
            await self.pool.stop()

    async def _commit(self, claimed: Claimed, ended: Ended) -> None:
        name, own = claimed.name, claimed.own
        while True:
            try:
                if not self.mailbox.commit(name, own, ended):
                    self.say(f"{own.path.name} of {name} came too late")
                return
            except OSError as error:  # its room is there, but the folder's entry may not be
                self.say(f"the outcome of {name} cannot be written: {error}")
                await asyncio.sleep(AGAIN_SECONDS)


async def _run_step(request: Request, folder: Path) -> Ended:
    """A program that begins MPI itself: ranks of its own, in place of waiting ones."""
    with (folder / LOG).open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *tie_to_this_process([*request.step, str(folder / "rank.sh")]),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        code = await process.wait()
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    if code < 0:
        return Ended("FAILED", reason=f"it was killed by {signal.Signals(-code).name}")
    return Ended("FAILED" if code else "COMPLETED", exit_code=code)

"""Which of a run's QPU jobs are not over: one question for all of them, rarer as time goes by."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import anyio

from qcsc_loop.errors import CredentialsRefused, QcscLoopError
from qcsc_loop.sampling.ibm.client import Service

FIRST_SECONDS = 1.0
GROWTH = 1.5


class Pending:
    """Asks for as long as somebody waits.

    Args:
        tag: what all the jobs have.
        longest: seconds between two questions at most.
    """

    def __init__(self, service: Service, tag: str, longest: float) -> None:
        self._service, self._tag, self._longest = service, tag, longest
        self._waiting: dict[str, anyio.Event] = {}
        self._pause = min(FIRST_SECONDS, longest)
        self._task: asyncio.Task[None] | None = None
        self._silent = False
        self._refused: CredentialsRefused | None = None

    @asynccontextmanager
    async def following(
        self, job_id: str, trouble: Callable[[str], None]
    ) -> AsyncIterator[Callable[[float], object]]:
        """Gives a function that waits until the job may be over, or for so many seconds."""
        self._waiting[job_id] = anyio.Event()
        self._pause = min(FIRST_SECONDS, self._longest)
        if self._task is None or self._task.done():
            self._refused = None
            self._task = asyncio.ensure_future(self._ask(trouble))

        async def wait(seconds: float) -> bool:
            with anyio.move_on_after(seconds):
                await self._waiting[job_id].wait()
            if self._refused is not None:
                raise self._refused
            over = self._waiting[job_id].is_set()
            self._waiting[job_id] = anyio.Event()
            return over

        try:
            yield wait
        finally:
            del self._waiting[job_id]
            if not self._waiting and self._task is not None:
                task, self._task = self._task, None
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    async def _ask(self, trouble: Callable[[str], None]) -> None:
        while True:
            await anyio.sleep(self._pause * random.uniform(0.8, 1.0))  # not all drivers at once
            self._pause = min(GROWTH * self._pause, self._longest)
            try:
                rows = await self._service.tagged(self._tag, pending=True)
            except CredentialsRefused as error:
                self._refused = error
                for event in self._waiting.values():
                    event.set()
                return
            except QcscLoopError as error:
                if not self._silent:
                    trouble(f"{error}; its jobs go on, and it is asked again")
                self._silent = True
                continue
            self._silent = False
            alive = {row.job_id() for row in rows}
            for job_id, event in self._waiting.items():
                if job_id not in alive:
                    event.set()

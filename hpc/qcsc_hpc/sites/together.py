"""One question for all who ask at the same time.

Who asks while it is being asked has the next one: no answer is older than its question.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")

MOMENT_SECONDS = 0.02  # in which who asks at the same time has asked


class Together(Generic[K, V]):
    """Asks for many things at once.

    Args:
        answer: what is said of each; what it raises, all who have asked get.
    """

    def __init__(self, answer: Callable[[Sequence[K]], Awaitable[Mapping[K, V]]]) -> None:
        self._answer = answer
        self._items: dict[K, None] = {}  # of the next question
        self._asking: asyncio.Task[Mapping[K, V]] | None = None  # it, and the one before it

    async def ask(self, item: K) -> V:
        """What is said of one."""
        if not self._items or self._asking is None:
            self._asking = asyncio.ensure_future(self._ask(self._asking))
            self._asking.add_done_callback(_heard)
        self._items[item] = None
        return (await asyncio.shield(self._asking))[item]

    async def _ask(self, before: asyncio.Task[Mapping[K, V]] | None) -> Mapping[K, V]:
        if before is not None:
            await asyncio.wait([before])
        await asyncio.sleep(MOMENT_SECONDS)
        items, self._items = [*self._items], {}
        return await self._answer(items)


def _heard(task: asyncio.Task[Mapping[K, V]]) -> None:
    """Those who have asked may all be gone: an error is then nobody's."""
    if not task.cancelled():
        task.exception()

"""Calls of blocking functions, each with a deadline that holds.

A client may wait without a limit, and a worker thread of a pool would keep the interpreter from
exiting: each call has a daemon thread of its own.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")


async def call_with_deadline(function: Callable[[], T], seconds: float) -> T:
    """What a blocking function returns, off the event loop.

    Raises:
        TimeoutError: it took longer; its thread is left to itself.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[T] = loop.create_future()

    def settle(set_it: Callable[[], None]) -> None:
        if not answer.done():  # nobody waits any more
            set_it()

    def work() -> None:
        try:
            result = function()
        except BaseException as error:
            # a future takes no StopIteration, and would never be settled; and the name in
            # `except` does not live long enough
            raised = RuntimeError("StopIteration") if isinstance(error, StopIteration) else error
            told: Callable[[], None] = lambda: answer.set_exception(raised)  # noqa: E731
        else:
            told = lambda: answer.set_result(result)  # noqa: E731
        with suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(settle, told)

    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=[work], daemon=True, name="qcsc-loop-call").start()
    async with asyncio.timeout(seconds):
        return await answer

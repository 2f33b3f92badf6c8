"""SIGTERM for a flow run: it ends in order, whatever it is doing."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import anyio
from prefect.exceptions import TerminationSignal


@asynccontextmanager
async def ended_by_sigterm() -> AsyncIterator[None]:
    """Cancels the block at SIGTERM, and then raises what Prefect expects.

    Prefect's own handler raises wherever Python happens to be. In a callback of asyncio that is
    swallowed, and the process goes on until it is killed.

    Raises:
        TerminationSignal: the signal came.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only that one handles signals
        return
    before, scope = signal.getsignal(signal.SIGTERM), anyio.CancelScope()

    async def wait() -> None:
        with anyio.open_signal_receiver(signal.SIGTERM) as signals:
            async for _ in signals:
                scope.cancel()

    waiting = asyncio.create_task(wait())  # a task group would wrap what the block raises
    try:
        with scope:
            yield
    finally:
        waiting.cancel()
        with suppress(asyncio.CancelledError):
            await waiting
        signal.signal(signal.SIGTERM, before)  # the receiver leaves none
    if scope.cancelled_caught:
        raise TerminationSignal(signal=signal.SIGTERM)

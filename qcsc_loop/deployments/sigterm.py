"""SIGTERM for a flow run: it ends in order, whatever it is doing."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from anyio import CancelScope
from prefect.exceptions import TerminationSignal


@asynccontextmanager
async def ended_by_sigterm() -> AsyncIterator[threading.Event]:
    """Cancels the block at SIGTERM, and then raises what Prefect expects.

    Prefect's own handler raises wherever Python happens to be. In a callback of asyncio that is
    swallowed, and the process goes on until it is killed.

    Yields:
        Whether it came.

    Raises:
        TerminationSignal: it came.
    """
    came = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield came  # only that one handles signals
        return
    loop, before, scope = (
        asyncio.get_running_loop(),
        signal.getsignal(signal.SIGTERM),
        CancelScope(),
    )

    def end() -> None:
        came.set()
        scope.cancel()

    loop.add_signal_handler(signal.SIGTERM, end)
    try:
        with scope:
            yield came
    finally:
        loop.remove_signal_handler(signal.SIGTERM)
        signal.signal(signal.SIGTERM, before)
    if scope.cancelled_caught:
        raise TerminationSignal(signal=signal.SIGTERM)

"""Ctrl-C, SIGTERM and a terminal that closes end a run in order, and within a bound whatever the
rest is doing.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Coroutine
from contextlib import suppress
from types import FrameType
from typing import Any, Self, TypeVar

T = TypeVar("T")

PATIENCE_SECONDS = 4.0  # after a signal
LAST_WORDS_SECONDS = 15.0  # at the end, for what Prefect still has to send


_WORDS = {signal.SIGINT: "Ctrl-C", signal.SIGHUP: "the terminal closed"}


class Interrupted(Exception):
    """The run was ended by a signal; it is marked and can be resumed."""

    def __init__(self, number: int) -> None:
        self.signal = signal.Signals(number)
        super().__init__(f"interrupted by {self.signal.name}")

    @property
    def exit_code(self) -> int:
        """As shells report a signal."""
        return 128 + self.signal


class Signals:
    """Turns the first signal into a cancellation, and the second into an end at once.

    `with signals:` around `asyncio.run(signals.supervise(main))` turns what a signal ended into
    `Interrupted`.

    The handlers are plain ones that `hold` can put back: Prefect installs its own for SIGTERM
    when a flow starts, which raises wherever the event loop happens to be.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[Any] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: object
    ) -> None:
        """What a signal has ended is `Interrupted`."""
        ended = isinstance(error, asyncio.CancelledError | KeyboardInterrupt)
        if ended and self.received is not None:
            raise Interrupted(self.received) from None

    async def supervise(self, main: Coroutine[Any, Any, T]) -> T:
        """What `main` returns; the first signal cancels it."""
        task = asyncio.ensure_future(main)
        self._loop, self._task = asyncio.get_running_loop(), task
        self.hold()
        return await task

    def leaves_jobs(self) -> bool:
        """Whether remote jobs are left to the driver that resumes the run.

        SIGTERM comes from a machine that is going down, or from who restarts the driver, SIGHUP
        from a connection that is lost: a job that has waited for hours is not to be lost by it.
        Ctrl-C is a person who wants it to stop.
        """
        return self.received in (signal.SIGTERM, signal.SIGHUP)

    def words(self) -> str:
        """What was received, as people call it; empty: nothing."""
        if self.received is None:
            return ""
        number = signal.Signals(self.received)
        return _WORDS.get(number, number.name)

    def hold(self) -> None:
        """Installs the handlers, again if someone else replaced them."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN:
                continue  # nohup: it is to outlive its terminal
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if self.received is not None:
            leave(128 + number)
        self.received = number
        # whatever hangs from here on (a simulation, a server that is gone): the run is marked by
        # then, and children die with this process
        leave_within(PATIENCE_SECONDS, 128 + number)
        if self._loop is not None and self._task is not None:
            self._loop.call_soon_threadsafe(self._task.cancel)


def leave_within(seconds: float, code: int) -> None:
    """Lets the process end by itself for so long, and then ends it."""
    timer = threading.Timer(seconds, leave, [code])
    timer.daemon = True
    timer.start()


def leave(code: int) -> None:
    """Ends the process at once: no thread is joined, no server is asked."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # nobody reads it, or it is being closed
            stream.flush()
    os._exit(code)

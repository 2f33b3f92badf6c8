"""Pauses that grow, for as long as a site that does not answer is worth waiting for."""

from __future__ import annotations

import time

import anyio

PAUSE_SECONDS = 1.0  # after a site did not answer; doubles
LONGEST_PAUSE_SECONDS = 30.0


class Patience:
    """So many seconds of it."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds
        self._next = PAUSE_SECONDS
        self.paused = False

    @property
    def left(self) -> bool:
        """Whether it is worth another try."""
        return time.monotonic() < self._end

    async def pause(self) -> None:
        """Waits before the next try."""
        self.paused = True
        await anyio.sleep(self._next)
        self._next = min(2 * self._next, LONGEST_PAUSE_SECONDS)

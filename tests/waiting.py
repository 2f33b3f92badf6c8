"""Waiting for what another process or thread does: polls until it is so, never for a fixed time."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import anyio
import psutil

DEADLINE_SECONDS = 240.0  # of which a quiet machine needs a few; only what fails waits so long
POLL_SECONDS = 0.002
# for each second that it takes to look, so many without: what is waited for needs the processor
PAUSE_PER_LOOK = 4
LONGEST_PAUSE = 0.25


def until(condition: Callable[[], object], what: str, seconds: float = DEADLINE_SECONDS) -> None:
    """Returns once the condition holds; an AssertionError that says `what` if it never does."""
    end = (look := time.monotonic()) + seconds
    while not condition():
        now = time.monotonic()
        assert now < end, f"waited {seconds:g} s in vain until {what}"
        time.sleep(min(max(POLL_SECONDS, PAUSE_PER_LOOK * (now - look)), LONGEST_PAUSE))
        look = time.monotonic()


async def until_async(condition: Callable[[], object], what: str) -> None:
    """Like `until`, with the event loop running on."""
    end = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < end, f"waited {DEADLINE_SECONDS:g} s in vain until {what}"
        await anyio.sleep(POLL_SECONDS)


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def line_count(path: Path) -> int:
    """Whole lines in a file; 0 if there is none."""
    return path.read_bytes().count(b"\n") if path.exists() else 0

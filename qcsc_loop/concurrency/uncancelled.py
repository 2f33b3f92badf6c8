"""Blocking work that a cancellation waits for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from anyio import to_thread

from qcsc_loop.errors import WrongEventLoop

T = TypeVar("T")


def require_asyncio() -> None:
    """Refuses another event loop, as trio's.

    Raises:
        WrongEventLoop: it is not asyncio's.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        raise WrongEventLoop from None


async def run_uncancelled(
    function: Callable[..., T], *arguments: Any, undo: Callable[[T], None] = lambda _: None
) -> T:
    """A blocking call in a thread, to its end: a cancellation is raised after it, not within.

    What a hook returned may have cost QPU time; a Ctrl-C must not come between it and the disk.
    anyio shields only from its own scopes, not from a task that is cancelled by asyncio.

    Args:
        undo: called with the result if the caller will never get it.
    """
    require_asyncio()
    work = asyncio.ensure_future(to_thread.run_sync(partial(function, *arguments)))
    cancelled: BaseException | None = None
    while not work.done():
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError as error:
            cancelled = error
        except BaseException:
            break
    if cancelled is not None:
        if work.exception() is None:
            undo(work.result())
        raise cancelled
    return work.result()

"""What belongs to an event loop: connections and children that die with it."""

from __future__ import annotations

from typing import TypeVar

from anyio.lowlevel import RunVar

K = TypeVar("K")
V = TypeVar("V")


def of_this_loop(variable: RunVar[dict[K, V]]) -> dict[K, V]:
    """The variable's dictionary in the running event loop, made on first use."""
    try:
        return variable.get()
    except LookupError:
        variable.set({})
        return variable.get()

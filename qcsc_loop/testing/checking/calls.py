"""The hooks' calls of a life: which one it is in, for whoever is told how that life ended."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from qcsc_loop.loop.hooks import HOOKS
from qcsc_loop.loop.options import Call

T = TypeVar("T")

Begun = Callable[[str, int], None]


class HookCalls:
    """Put around each call of a hook.

    Args:
        begun: told which hook is called, and in which iteration, before it is.

    Attributes:
        hook, iteration: of the last call that was begun; empty: none was.
        inside: whether that call has not returned.
    """

    def __init__(self, begun: Begun = lambda _hook, _iteration: None) -> None:
        self.hook, self.iteration, self.inside = "", 0, False
        self._begun = begun

    async def __call__(self, step: str, iteration: int, call: Call[T]) -> T:
        """As of a run's `around`, which is put around whole iterations, too."""
        if step not in HOOKS:
            return await call()
        self.hook, self.iteration, self.inside = step, iteration, True
        self._begun(step, iteration)
        result = await call()
        self.inside = False
        return result

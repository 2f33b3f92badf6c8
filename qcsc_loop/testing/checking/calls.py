"""The hooks' calls of a life: which one it is in, and what a call has left that no call may leave."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import TypeVar

import numpy as np

from qcsc_loop.algorithm import AnyAlgorithm
from qcsc_loop.errors import ImpureHook
from qcsc_loop.loop.hooks import HOOKS, place_of
from qcsc_loop.loop.options import Call
from qcsc_loop.loop.purity import own_attributes
from qcsc_loop.testing.checking.orders import RUN_ID, Asked

T = TypeVar("T")

Begun = Callable[[str, int], None]


class HookCalls:
    """Put around each call of a hook.

    Args:
        begun: told which hook is called, and in which iteration, before it is.

    Attributes:
        hook, iteration: of the last call that was begun; empty: none was.
        inside: whether that call has not returned.
        drawn: the hooks that have drawn from numpy's global generator, which no profiler sees.
    """

    def __init__(
        self, algorithm: AnyAlgorithm, begun: Begun = lambda _hook, _iteration: None
    ) -> None:
        self.hook, self.iteration, self.inside = "", 0, False
        self.drawn: dict[str, Asked] = {}
        self._algorithm, self._begun = algorithm, begun

    async def __call__(self, step: str, iteration: int, call: Call[T]) -> T:
        """As of a run's `around`, which is put around whole iterations, too.

        Raises:
            ImpureHook: what the algorithm keeps for itself has another value than before.
        """
        if step not in HOOKS:
            return await call()
        self.hook, self.iteration, self.inside = step, iteration, True
        self._begun(step, iteration)
        own, drawn = self._own(), _pickled(np.random.get_state())
        result = await call()
        self.inside = False
        where = place_of(type(self._algorithm), step)
        if drawn != _pickled(np.random.get_state()):
            asked = Asked("global randomness", "numpy.random", step, iteration, where)
            self.drawn.setdefault(step, asked)
        for name, value in self._own().items():
            if own.get(name, value) != value:
                kind = type(self._algorithm).__name__
                raise ImpureHook(kind, step, iteration, f"self.{name}", where, run_id=RUN_ID)
        return result

    def _own(self) -> dict[str, bytes]:
        """What the algorithm has besides parameters, as far as it can be pickled."""
        found = {n: _pickled(value) for n, value in own_attributes(self._algorithm).items()}
        return {name: value for name, value in found.items() if value}


def _pickled(value: object) -> bytes:
    try:
        return pickle.dumps(value)
    except Exception:  # whatever its __reduce__ raises: a lock, a client, a file
        return b""

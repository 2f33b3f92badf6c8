"""What a researcher writes: `sample -> evaluate -> update`, as one subclass."""

from __future__ import annotations

from typing import Any, Generic, Unpack, final

from qcsc_loop.loop.displays import notebook_displays
from qcsc_loop.loop.driver import run_loop
from qcsc_loop.loop.hooks import E, Hooks, M, S
from qcsc_loop.loop.options import RunOptions
from qcsc_loop.loop.outcome import Outcome


class IterativeAlgorithm(Hooks[S, M, E], Generic[S, M, E]):
    """Base of all algorithms: a frozen pydantic model whose fields are the run's parameters.

    A subclass names its types and writes the hooks; the loop does the rest:

    >>> from qcsc_loop import IterativeAlgorithm, MemoryStore, State, current_step
    >>> class Walk(State):
    ...     position: float
    >>> class Descent(IterativeAlgorithm[Walk, float, float]):
    ...     rate: float = 0.5
    ...     async def initialize(self) -> Walk:
    ...         return Walk(position=1.0)
    ...     async def sample(self, state: Walk) -> float:
    ...         return state.position + 1e-3 * current_step().rng.standard_normal()
    ...     async def evaluate(self, state: Walk, samples: float) -> float:
    ...         return 2 * samples
    ...     async def update(self, state: Walk, evaluation: float) -> Walk:
    ...         return Walk(position=state.position - self.rate * evaluation)
    ...     async def converged(self, previous: Walk, current: Walk) -> bool:
    ...         return abs(current.position) < 1e-2
    >>> import anyio
    >>> outcome = anyio.run(lambda: Descent().run(store=MemoryStore()))
    >>> outcome.message
    'converged after 1 iteration'

    What a hook has to keep to: see `Hooks`.
    """

    @final
    async def run(self, **options: Unpack[RunOptions]) -> Outcome[S]:
        """Runs to a stop rule, or resumes the run of that id; see `run_loop` for the options.

        In a notebook it shows a card of the run, which goes on with it.
        """
        shown = notebook_displays(options.get("store"))
        options["observers"] = [*options.get("observers", ()), *shown]
        return await run_loop(self, **options)


AnyAlgorithm = IterativeAlgorithm[Any, Any, Any]

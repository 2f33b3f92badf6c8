"""How a run is driven."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol, TypedDict, TypeVar

from qcsc_loop.events import Event, Observer
from qcsc_loop.rules.retry import Retry
from qcsc_loop.rules.stop import StopRule
from qcsc_loop.store.store import Store

T = TypeVar("T")
Call = Callable[[], Awaitable[T]]


class Around(Protocol):
    """What is put around each hook's call, and around each iteration (as the step "iteration")."""

    def __call__(self, step: str, iteration: int, call: Call[T]) -> Awaitable[T]:
        """Calls `call`, once, and gives what it gives."""
        ...


class RunOptions(TypedDict, total=False):
    """How a run is driven. On a run that exists, what is not given is as it was.

    Attributes:
        stop: when to stop; by default after 100 iterations or when the algorithm has converged.
        seed: what all randomness derives from, 0 by default: two runs with the same parameters
            and seed are the same run.
        run_id: lower-case letters, digits and dashes; by default made from name and time. The id
            of an existing run resumes it.
        store: where the run is kept; by default the folder QCSC_LOOP_STORE or ~/.qcsc-loop.
        keep: how many of the last iterations keep their state, steps and files (at least 2);
            None keeps all. Scalars are kept for ever.
        retry: what happens when a hook raises; by default the run stops, resumable.
        around: what is put around hooks' calls; Prefect tasks in a flow; by default nothing.
        observers: told what happens; what they raise is not caught.
        told_before: what observers were already told of this run, for its log.
        leave_jobs: asked when the driver is cancelled: True leaves running remote jobs to the
            driver that resumes the run; by default they are cancelled.
        ended_by: asked when the driver is cancelled: what did it, in words, such as "Ctrl-C".
        lease_seconds: how long the run stays locked after this driver's last sign of life.
        check_hooks: whether it is looked at after each hook that it changed nothing it was given;
            by default QCSC_LOOP_CHECK_HOOKS, or yes.
        take_over: from a driver that holds the run, even if it lives; that one then stops.
        hand_over_at: the iteration after which another driver goes on.
        facts: more that provenance is to keep, as plain JSON.
    """

    stop: StopRule
    seed: int
    run_id: str
    store: Store
    keep: int | None
    retry: Retry
    around: Around
    observers: Sequence[Observer]
    told_before: Sequence[Event]
    leave_jobs: Callable[[], bool]
    ended_by: Callable[[], str]
    lease_seconds: float
    check_hooks: bool
    take_over: bool
    hand_over_at: int
    facts: Mapping[str, Any]

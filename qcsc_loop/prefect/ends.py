"""How a flow run ends on the server: under a name that says what came of its run."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

from prefect.client.schemas import State
from prefect.states import Cancelled, Completed, Crashed, Failed

from qcsc_loop.errors import InputError, LeaseLost, RunCancelled, RunLocked
from qcsc_loop.loop.outcome import Outcome
from qcsc_loop.rules.reason import Reason
from qcsc_loop.store.records import EndRecord

P = ParamSpec("P")
T = TypeVar("T")

_NAMES = {
    Reason.CONVERGED: "Converged",
    Reason.MAX_ITERATIONS: "LimitReached",
    Reason.PLATEAU: "Plateau",
    Reason.WALL_TIME: "OutOfTime",
    Reason.BUDGET: "OutOfBudget",
    Reason.CUSTOM: "Stopped",
    Reason.HANDED_OVER: "HandedOver",
}


def completed(outcome: Outcome[Any], data: Any = None) -> State[Any]:
    """The state of a flow run whose run came to an end, with what the flow returns.

    Args:
        data: whatever the caller of the flow is to get.
    """
    name = _NAMES.get(outcome.reason, "Completed")
    return Completed(name=name, message=outcome.message, data=data)


def state_after(end: EndRecord | None, message: str) -> State[Any]:
    """The state of a flow run whose driver could not tell the server of its end.

    Args:
        end: how it ended; None: it is gone and did not say.
    """
    reason = Reason.INTERRUPTED if end is None else end.reason
    match reason:
        case Reason.INTERRUPTED:
            return Crashed(message=message)
        case Reason.FAILED:
            return Failed(message=message)
        case Reason.CANCELLED:
            return Cancelled(message=message)
        case _:
            return Completed(name=_NAMES[reason], message=message)


def kept_away(error: RunLocked | LeaseLost | RunCancelled) -> State[Any]:
    """How a flow run ends that another driver, or a person, has kept from its run: it has not failed.

    Of a run that was cancelled nobody is to try again.
    """
    if isinstance(error, RunCancelled):
        return Cancelled(message=str(error))
    return Completed(name="Superseded", message=f"another driver has the run: {error}")


def ends_superseded(
    body: Callable[P, Coroutine[Any, Any, T]],
) -> Callable[P, Coroutine[Any, Any, T | State[Any]]]:
    """A flow's body whose flow run ends as Superseded, not Failed, where another driver has the run;
    and as Cancelled where the run was.

    Example::

        @flow
        @ends_superseded
        async def scan(algorithm: BitCount) -> ...:
            outcome = await run_in_flow(algorithm)

    Prefect makes of any error a failure, with its retries and automations; only what a flow returns
    can say otherwise.
    """
    if not inspect.iscoroutinefunction(body):
        name = getattr(body, "__name__", body)
        raise InputError(
            f"@ends_superseded stands between @flow and an async function; {name} is none"
        )

    @functools.wraps(body)
    async def ending(*args: P.args, **kwargs: P.kwargs) -> T | State[Any]:
        try:
            return await body(*args, **kwargs)
        except (RunLocked, LeaseLost, RunCancelled) as error:
            return kept_away(error)

    return ending

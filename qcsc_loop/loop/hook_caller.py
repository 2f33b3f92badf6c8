"""Calling a hook: its step's context, its retries, and the check of what it returns."""

from __future__ import annotations

import inspect
import itertools
import sys
import time
import traceback
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

import anyio
from pydantic import TypeAdapter, ValidationError

from qcsc_loop.concurrency.own_exits import exits_as_errors, raised_by_code
from qcsc_loop.errors import (
    HookFailed,
    ImpureHook,
    InputError,
    LeaseLost,
    WrongHookType,
    leaves,
)
from qcsc_loop.events import Event
from qcsc_loop.jobs.ledger import Ledger
from qcsc_loop.loop.events import StepRetried, StepStarted
from qcsc_loop.loop.hooks import AnyHooks, not_async, place_of
from qcsc_loop.loop.options import Around
from qcsc_loop.loop.provenance import source_file
from qcsc_loop.loop.purity import Purity
from qcsc_loop.rules.retry import Retry
from qcsc_loop.steps.run_cache import CompiledCircuits
from qcsc_loop.steps.step import Step, stepping
from qcsc_loop.store.journal import Journal
from qcsc_loop.values.codec import Codec
from qcsc_loop.values.kept import Kept
from qcsc_loop.values.record import State

T = TypeVar("T")
Hook = Callable[..., Awaitable[T]]

_WRITES_NOTHING = (
    "A hook writes nothing to self, which a resumed run would not have: what lasts goes into the "
    "state that update returns"
)
_BUILDS_ANEW = "A state or record is never changed: build a new one and return that"

_SCALARS = TypeAdapter(dict[str, float])


@dataclass(frozen=True)
class Returned(Generic[T]):
    """What a hook gave.

    Attributes:
        seconds: its last attempt took; None where an earlier driver's record was read.
        usage: all its attempts cost, by name.
    """

    value: T
    seconds: float | None
    usage: Counter[str]


@dataclass(frozen=True)
class HookCaller:
    """Calls the hooks of one algorithm in one run."""

    algorithm: type[AnyHooks]
    journal: Journal
    ledger: Ledger
    compiled: CompiledCircuits
    run_seed: int
    retry: Retry
    purity: Purity
    around: Around | None
    tell: Callable[[Event], None]

    async def call(
        self, hook: str, iteration: int, codec: Codec[T], method: Hook[T], **arguments: Kept[Any]
    ) -> Returned[T]:
        """What the hook returns, checked, and what it took. Each attempt gets objects of its own.

        Raises:
            HookFailed: it raised, and is not retried.
            ImpureHook: it changed an argument or a parameter.
            LeaseLost: another driver has the run.
            WrongHookType: it returned something else than its class declares.
        """
        usage: Counter[str] = Counter()
        for attempt in itertools.count():
            try:
                given = await self.purity.given(arguments)
                call: Callable[[], Awaitable[T]] = partial(method, *given.values())
                if not inspect.iscoroutinefunction(method):
                    call = partial(self._await, hook, call)
                self.tell(StepStarted(iteration, hook, attempt))
                began = time.perf_counter()
                with stepping(self._step(hook, iteration, attempt, usage)), exits_as_errors():
                    value = await (
                        call() if self.around is None else self.around(hook, iteration, call)
                    )
                seconds = time.perf_counter() - began
                checked = self._checked(hook, codec, value)
                await self.purity.refuse_changes(hook, iteration, arguments, given)
                return Returned(checked, seconds, usage)
            except ImpureHook:  # no further attempt would change it
                raise
            except Exception as raised:
                error = _alone(raised)
                if isinstance(error, LeaseLost):  # nothing that the hook did
                    raise error from raised.__cause__
                wait = self.retry.wait(hook, error, attempt)
                if wait is None:
                    raise self._failure(hook, iteration, error) from error
                self.ledger.check()  # not on behalf of a run that another driver has by now
                self.tell(StepRetried(iteration, hook, f"{type(error).__name__}: {error}", wait))
                await anyio.sleep(wait)
        raise AssertionError("count() has no end")

    async def _await(self, hook: str, call: Callable[[], Any]) -> Any:
        result = call()
        if not inspect.isawaitable(result):
            raise not_async(self.algorithm, hook)
        return await result

    def scalars(self, state: State, iteration: int) -> dict[str, float]:
        """`State.scalars()`, which is the algorithm's code too.

        Raises:
            HookFailed, WrongHookType: as of a hook.
        """
        kind = type(state)
        try:
            with exits_as_errors():
                found = state.scalars()
        except Exception as raised:
            error = raised_by_code(raised)
            where, run_id = _where(error, kind), self.journal.run_id
            raise HookFailed(kind.__name__, "scalars", iteration, run_id, where, error) from error
        try:
            return _SCALARS.validate_python(found)
        except ValidationError as error:
            got = type(found).__name__
            raise WrongHookType(
                kind.__name__,
                "scalars",
                "dict[str, float]",
                got,
                _detail(error),
                run_id=self.journal.run_id,
            ) from error

    def _step(self, hook: str, iteration: int, attempt: int, usage: Counter[str]) -> Step:
        return Step(
            run_id=self.journal.run_id,
            run_seed=self.run_seed,
            iteration=iteration,
            name=hook,
            attempt=attempt,
            ledger=self.ledger,
            usage=usage,
            compiled=self.compiled,
            make_folder=partial(self.journal.work_folder, iteration, hook),
        )

    def _checked(self, hook: str, codec: Codec[T], value: object) -> T:
        try:
            return codec.check(value)
        except (ValidationError, TypeError) as error:
            returned, name = type(value).__name__, self.algorithm.__name__
            where = place_of(self.algorithm, hook)
            run_id = self.journal.run_id
            raise WrongHookType(
                name, hook, codec.name, returned, _detail(error), where, run_id=run_id
            ) from error

    def _failure(self, hook: str, iteration: int, error: BaseException) -> Exception:
        if isinstance(error, WrongHookType | InputError):  # each says itself what to do
            return error
        where, run_id = _where(error, self.algorithm), self.journal.run_id
        rule = _rule_for(error, self.algorithm.__name__)
        return HookFailed(self.algorithm.__name__, hook, iteration, run_id, where, error, rule)


def _alone(raised: Exception) -> BaseException:
    """What was raised; of a task group with one error, or that of a lost lease, that error."""
    found = leaves(raised_by_code(raised))
    lost = [each for each in found if isinstance(each, LeaseLost)]
    first = (lost or found)[0]
    if not lost and len(found) > 1:
        return raised
    return raised_by_code(first) if isinstance(first, Exception) else first


def _rule_for(error: BaseException, algorithm: str) -> str:
    """The rule that a hook has broken, where pydantic says no more than that it is frozen."""
    frozen = isinstance(error, ValidationError) and any(
        problem["type"] == "frozen_instance" for problem in error.errors(include_url=False)
    )
    if not frozen:
        return ""
    title = error.title if isinstance(error, ValidationError) else ""
    return _WRITES_NOTHING if title == algorithm else _BUILDS_ANEW


def _detail(error: ValidationError | TypeError) -> str:
    if not isinstance(error, ValidationError):
        return ""
    problem = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in problem["loc"])
    return f"{place}: {problem['msg']}" if place else ""


def _is_theirs(kind: type) -> bool:
    """Not ours, nor what every model is made of: pydantic raises where a hook gave it a wrong value."""
    room = kind.__module__.partition(".")[0]
    return room not in ("qcsc_loop", "pydantic") and room not in sys.stdlib_module_names


def _where(error: BaseException, algorithm: type) -> str:
    """The line of the algorithm's own files that raised, or called what raised."""
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [kind for kind in algorithm.__mro__ if _is_theirs(kind)]
    files = {str(source_file(kind)) for kind in theirs}
    frame = next((f for f in reversed(frames) if f.filename in files), None)
    return f"{Path(frame.filename).name}:{frame.lineno}" if frame else ""

"""The loop: sample, evaluate, update, commit; from the start or from the last good checkpoint."""

from __future__ import annotations

import asyncio
import time
import traceback
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, Unpack

import anyio
from anyio import to_thread
from pydantic import ValidationError

from qcsc_loop.algorithm import E, HookTypes, IterativeAlgorithm, M, S, hook_types
from qcsc_loop.codec import Codec, Document
from qcsc_loop.errors import (
    DamagedDocument,
    HookFailed,
    LeaseLost,
    NoGoodCheckpoint,
    StoreError,
    WrongHookType,
)
from qcsc_loop.events import (
    Event,
    IterationCommitted,
    RunStarted,
    RunStopped,
    StepRetried,
    StepReused,
    StepStarted,
    Trouble,
)
from qcsc_loop.opening import Opened, RunOptions, open_run
from qcsc_loop.outcome import Outcome, Reason
from qcsc_loop.provenance import source_file
from qcsc_loop.resolving import resolved
from qcsc_loop.step import Step, loop_running, stepping
from qcsc_loop.stop import Committed, Progress, Stop, with_convergence
from qcsc_loop.store.records import Commit, EndRecord, StepNote

T = TypeVar("T")
Call = Callable[[], Awaitable[T]]


class Around(Protocol):
    """What is put around each hook's call, and around each iteration (as the step "iteration")."""

    async def __call__(self, step: str, iteration: int, call: Call[T]) -> T:
        """Calls `call`, once, and returns what it returns."""
        ...


async def directly(step: str, iteration: int, call: Call[T]) -> T:
    """Nothing around the call."""
    return await call()


async def run_loop(
    algorithm: IterativeAlgorithm[S, M, E], **options: Unpack[RunOptions]
) -> Outcome[S]:
    """Drives a run to a stop rule: a new one, or an existing one from its last good checkpoint.

    Raises:
        InputError: the run cannot be as asked for; nothing was started.
        RunLocked: another driver holds the run.
        LeaseLost: another driver took the run over meanwhile.
        HookError: a hook raised or returned a wrong type. Finished steps are kept.
        StoreError: the store failed; what was committed before is safe.
    """
    types = hook_types(type(algorithm))
    ready = await resolved(algorithm)
    opened = await _whole(partial(open_run, ready, algorithm, options), undo=Opened.give_back)
    with loop_running():
        return await _Drive(ready, types, opened, options).to_the_end()


@dataclass(frozen=True)
class _At(Generic[S]):
    """A committed point of a run."""

    state: S
    commit: Commit


@dataclass(frozen=True)
class _Recorded(Generic[T]):
    """A step's value from its record; None may be one."""

    value: T


class _Drive(Generic[S, M, E]):
    """One driver on its way through one run."""

    def __init__(
        self,
        algorithm: IterativeAlgorithm[S, M, E],
        types: HookTypes[S, M, E],
        opened: Opened,
        options: RunOptions,
    ) -> None:
        self._algorithm, self._types, self._opened = algorithm, types, opened
        self._journal, self._lease = opened.journal, opened.lease
        self._around: Around = options.get("around", directly)
        self._observers = tuple(options.get("observers", ()))
        self._rule = with_convergence(opened.settings.stop)
        self._recent: deque[Committed] = deque(maxlen=max(1, self._rule.lookback))
        self._seconds: dict[str, float] = {}
        self._started = time.monotonic()
        self._iteration = 0

    # the whole run

    async def to_the_end(self) -> Outcome[S]:
        """Runs until a rule says stop; whatever else happens is recorded and raised."""
        end: EndRecord | None = None
        try:
            resumed_from, at = await self._begin()
            while (stop := self._rule.check(self._progress())) is None:
                at = await self._around(
                    "iteration", at.commit.iteration + 1, partial(self._iterate, at)
                )
            end = self._end(stop.reason, stop.because)
            return self._outcome(at, stop, resumed_from)
        except BaseException as error:
            end = None if isinstance(error, LeaseLost) else self._end_after(error)
            raise
        finally:
            # no await: a second Ctrl-C must not leave the run looking alive
            try:
                self._lease.release(end)
            except StoreError as error:  # must not take the place of what ended the run
                self._tell(Trouble(f"how the run ended could not be written: {error}"))
            if end is not None:
                self._tell(RunStopped(self._journal.run_id, end))

    async def _begin(self) -> tuple[int | None, _At[S]]:
        found, lost = await to_thread.run_sync(self._last_good)
        self._tell(
            RunStarted(
                self._opened.record,
                self._lease.record,
                None if found is None else found.commit.iteration,
            )
        )
        if self._opened.source_changed:
            self._tell(Trouble("the algorithm's file has changed since this run was started"))
        if lost:
            self._tell(Trouble(lost))
        if found is not None:
            self._iteration = found.commit.iteration
            await self._prune()
            return found.commit.iteration, found
        first = await self._call("initialize", 0, self._types.state, self._algorithm.initialize)
        at = await self._commit(0, first, converged=False)
        return None, at

    def _outcome(self, at: _At[S], stop: Stop, resumed_from: int | None) -> Outcome[S]:
        return Outcome(
            run_id=self._journal.run_id,
            state=at.state,
            iteration=at.commit.iteration,
            reason=stop.reason,
            because=stop.because,
            resumed_from=resumed_from,
            state_sha256=at.commit.state_sha256,
            scalars=at.commit.scalars,
            seconds=time.monotonic() - self._started,
        )

    def _progress(self) -> Progress:
        return Progress(tuple(self._recent), time.monotonic() - self._started)

    def _end(self, reason: Reason, because: str, error: str = "", trace: str = "") -> EndRecord:
        return EndRecord(
            epoch=self._lease.epoch,
            reason=reason,
            because=because,
            iteration=self._iteration,
            error=error,
            traceback=trace,
        )

    def _end_after(self, error: BaseException) -> EndRecord:
        if not isinstance(error, Exception):  # cancelled, Ctrl-C, exit
            return self._end(Reason.INTERRUPTED, type(error).__name__)
        trace = "".join(traceback.format_exception(error))
        return self._end(Reason.FAILED, type(error).__name__, str(error), trace)

    # resuming

    def _last_good(self) -> tuple[_At[S] | None, str]:
        """The newest checkpoint that verifies, and what had to be stepped past."""
        history = self._journal.history()
        passed: list[str] = []
        for name in self._journal.checkpoints():
            try:
                at = self._read(name)
            except (DamagedDocument, KeyError) as error:
                passed.append(f"checkpoint {name}: {getattr(error, 'why', 'gone')}")
                continue
            self._remember([*(c for c in history if c.iteration < at.commit.iteration), at.commit])
            if at.commit.iteration not in {commit.iteration for commit in history}:
                self._journal.add_history([at.commit])  # killed between checkpoint and line
            return at, _loss(at.commit, history, passed)
        if passed or history:
            raise NoGoodCheckpoint(self._journal.run_id, passed)
        return None, ""

    def _read(self, name: str) -> _At[S]:
        commit, document = self._journal.checkpoint(name)
        return _At(self._types.state.decode(document), commit)

    def _remember(self, commits: list[Commit]) -> None:
        self._recent.extend(commit.seen_by_rules() for commit in commits)

    # one iteration

    async def _iterate(self, before: _At[S]) -> _At[S]:
        k, state = before.commit.iteration + 1, before.state
        algorithm, types = self._algorithm, self._types
        origin = before.commit.state_sha256
        samples = await self._step(
            "sample", k, types.samples, origin, lambda: algorithm.sample(state)
        )
        evaluation = await self._step(
            "evaluate", k, types.evaluation, origin, lambda: algorithm.evaluate(state, samples)
        )
        new = await self._call(
            "update", k, types.state, lambda: algorithm.update(state, evaluation)
        )
        converged = await self._call("converged", k, _BOOL, lambda: algorithm.converged(state, new))
        return await self._commit(k, new, converged=converged)

    async def _step(
        self, step: str, iteration: int, codec: Codec[T], origin: str, call: Call[T]
    ) -> T:
        """A hook's result: from the record of an earlier driver, or called and recorded."""
        try:
            known = await to_thread.run_sync(self._recorded, step, iteration, codec, origin)
        except DamagedDocument as error:
            known = None
            self._tell(Trouble(f"the record of {step} in iteration {iteration} is lost: {error}"))
        if known is not None:
            self._tell(StepReused(iteration, step))
            return known.value
        value = await self._call(step, iteration, codec, call)
        note = StepNote(
            iteration=iteration,
            step=step,
            epoch=self._lease.epoch,
            state_sha256=origin,
            seconds=self._seconds[step],
        )
        # the loop goes on with what was written: a resumed run sees the same values
        return await _whole(self._keep, codec, value, partial(self._lease.save_step, note))

    def _recorded(
        self, step: str, iteration: int, codec: Codec[T], origin: str
    ) -> _Recorded[T] | None:
        found = self._journal.step(iteration, step)
        if found is None or found[0].state_sha256 != origin:
            return None
        return _Recorded(codec.decode(found[1]))

    @staticmethod
    def _keep(codec: Codec[T], value: T, write: Callable[[Document], None]) -> T:
        document, read = codec.keep(value)
        write(document)
        return read

    async def _commit(self, iteration: int, state: S, *, converged: bool) -> _At[S]:
        document, read = await to_thread.run_sync(self._types.state.keep, state)
        commit = Commit(
            iteration=iteration,
            epoch=self._lease.epoch,
            converged=converged,
            scalars=state.scalars(),
            seconds=self._seconds,
            state_sha256=document.sha256,
        )
        await _whole(self._write, commit, document)
        self._seconds = {}
        self._remember([commit])
        self._tell(IterationCommitted(commit, document))
        await self._prune()
        return _At(read, commit)

    def _write(self, commit: Commit, state: Document) -> None:
        self._lease.commit(commit, state)
        self._iteration = commit.iteration  # here: a cancellation may come right after it

    async def _prune(self) -> None:
        keep = self._opened.settings.keep
        if keep is not None and self._iteration >= keep:
            await to_thread.run_sync(self._lease.prune, self._iteration - keep)

    # one call of a hook

    async def _call(self, hook: str, iteration: int, codec: Codec[T], call: Call[T]) -> T:
        """What the hook returns, checked; retried as the settings say."""
        attempt, retry = 0, self._opened.settings.retry
        while True:
            try:
                value = await self._attempt(hook, iteration, attempt, call)
                return self._checked(hook, codec, value)
            except Exception as error:
                wait = retry.wait(hook, error, attempt)
                if wait is None:
                    raise self._failure(hook, iteration, error) from error
                self._tell(StepRetried(iteration, hook, f"{type(error).__name__}: {error}", wait))
                await anyio.sleep(wait)
                attempt += 1

    async def _attempt(self, hook: str, iteration: int, attempt: int, call: Call[T]) -> T:
        step = Step(
            run_id=self._journal.run_id,
            run_seed=self._opened.record.seed,
            iteration=iteration,
            name=hook,
            attempt=attempt,
            make_folder=partial(self._journal.work_folder, iteration, hook),
        )
        self._tell(StepStarted(iteration, hook, attempt))
        started = time.perf_counter()
        with stepping(step):
            value = await self._around(hook, iteration, call)
        self._seconds[hook] = time.perf_counter() - started
        return value

    def _checked(self, hook: str, codec: Codec[T], value: object) -> T:
        try:
            return codec.check(value)
        except (ValidationError, TypeError) as error:
            detail = ""
            if isinstance(error, ValidationError):
                problem = error.errors(include_url=False)[0]
                place = ".".join(str(part) for part in problem["loc"])
                detail = f"{place}: {problem['msg']}" if place else ""
            name = type(self._algorithm).__name__
            raise WrongHookType(name, hook, codec.name, type(value).__name__, detail) from error

    def _failure(self, hook: str, iteration: int, error: Exception) -> Exception:
        if isinstance(error, WrongHookType):
            return error
        name, where = type(self._algorithm).__name__, _where(error, type(self._algorithm))
        return HookFailed(name, hook, iteration, self._journal.run_id, where, error)

    def _tell(self, event: Event) -> None:
        for observer in self._observers:
            observer(event)


_BOOL: Codec[bool] = Codec(bool)


def _loss(commit: Commit, history: list[Commit], passed: list[str]) -> str:
    last = max((known.iteration for known in history), default=0)
    if not passed and last > commit.iteration:
        passed = [f"the checkpoint of iteration {last} is missing"]
    return f"{'; '.join(passed)}. Going on from iteration {commit.iteration}" if passed else ""


def _where(error: Exception, algorithm: type) -> str:
    """The line of the algorithm's own files that raised, or called what raised."""
    frames = traceback.extract_tb(error.__traceback__)
    files = {str(source_file(kind)) for kind in algorithm.__mro__ if kind is not IterativeAlgorithm}
    frame = next((f for f in reversed(frames) if f.filename in files), None)
    return f"{Path(frame.filename).name}:{frame.lineno}" if frame else ""


async def _whole(
    function: Callable[..., T], *arguments: Any, undo: Callable[[T], None] = lambda _: None
) -> T:
    """A blocking call in a thread, to its end: a cancellation is raised after it, not within.

    What a hook returned may have cost QPU time; a Ctrl-C must not come between it and the disk.
    anyio shields only from its own scopes, not from a task that is cancelled by asyncio.

    Args:
        undo: called with the result if the caller will never get it.
    """
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

"""The loop: sample, evaluate, update, commit; from the start or from the last good checkpoint."""

from __future__ import annotations

import time
import traceback
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar, Unpack

from anyio import to_thread

from qcsc_loop.concurrency.uncancelled import run_uncancelled
from qcsc_loop.errors import DamagedDocument, HookError, LeaseLost, QcscLoopError, StoreError
from qcsc_loop.events import Event, Trouble, tell
from qcsc_loop.exactly_once.measuring import measuring
from qcsc_loop.jobs.ledger import Ledger
from qcsc_loop.loop.events import IterationCommitted, RunStarted, RunStopped, StepReused
from qcsc_loop.loop.hook_caller import HookCaller
from qcsc_loop.loop.hooks import E, Hooks, HookTypes, M, S, hook_types
from qcsc_loop.loop.opening import Opened, open_run
from qcsc_loop.loop.options import Around, Call, RunOptions, directly
from qcsc_loop.loop.outcome import Outcome
from qcsc_loop.loop.spending import Spending
from qcsc_loop.parameters.saved_blocks import resolve_blocks
from qcsc_loop.rules.reason import Reason
from qcsc_loop.rules.stop import Committed, Progress, Stop, with_convergence
from qcsc_loop.steps.run_cache import CompiledCircuits
from qcsc_loop.steps.step import loop_running
from qcsc_loop.store.records import Commit, EndRecord, StepNote
from qcsc_loop.store.recovery import last_good
from qcsc_loop.values.codec import Codec
from qcsc_loop.values.document import Document

T = TypeVar("T")


async def run_loop(algorithm: Hooks[S, M, E], **options: Unpack[RunOptions]) -> Outcome[S]:
    """Drives a run to a stop rule: a new one, or an existing one from its last good checkpoint.

    Raises:
        InputError: the run cannot be as asked for; nothing was started.
        RunLocked: another driver holds the run.
        LeaseLost: another driver took the run over meanwhile.
        HookError: a hook raised or returned a wrong type. Finished steps are kept.
        StoreError: the store failed; what was committed before is safe.
    """
    types = hook_types(type(algorithm))
    ready = await resolve_blocks(algorithm)
    opened = await run_uncancelled(
        partial(open_run, ready, algorithm, options), undo=Opened.give_back
    )
    with loop_running():
        return await _Drive(ready, types, opened, options).to_the_end()


@dataclass(frozen=True)
class _At(Generic[S]):
    """A committed point of a run."""

    state: S
    commit: Commit


@dataclass(frozen=True)
class _Recorded(Generic[T]):
    """A step's value from its record, and what it cost then; None may be a value."""

    value: T
    usage: dict[str, float]


class _Drive(Generic[S, M, E]):
    """One driver on its way through one run."""

    def __init__(
        self,
        algorithm: Hooks[S, M, E],
        types: HookTypes[S, M, E],
        opened: Opened,
        options: RunOptions,
    ) -> None:
        self._algorithm, self._types, self._opened = algorithm, types, opened
        self._journal, self._lease = opened.journal, opened.lease
        self._around: Around = options.get("around", directly)
        self._hand_over_at = options.get("hand_over_at")
        self._observers = tuple(options.get("observers", ()))
        self._ledger = Ledger(
            run_id=opened.record.run_id,
            run_uid=opened.record.created.isoformat(),
            store=opened.journal.store,
            epoch=opened.lease.epoch,
            check=opened.lease.check,
            observe=self._tell,
            leave_jobs=options.get("leave_jobs", _cancel_them),
        )
        self._call_hook = HookCaller(
            algorithm=type(algorithm),
            journal=opened.journal,
            ledger=self._ledger,
            compiled=CompiledCircuits(),
            run_seed=opened.record.seed,
            retry=opened.settings.retry,
            around=self._around,
            tell=self._tell,
        )
        self._rule = with_convergence(opened.rule)
        self._recent: deque[Committed] = deque(maxlen=max(1, self._rule.lookback))
        self._seconds: dict[str, float] = {}
        self._usage: Counter[str] = Counter()
        self._spending = Spending(self._ledger)
        self._started = time.monotonic()
        self._iteration = self._recorded_through = 0

    # the whole run

    async def to_the_end(self) -> Outcome[S]:
        """Runs until a rule says stop; whatever else happens is recorded and raised."""
        end: EndRecord | None = None
        try:
            async with measuring(self._ledger):
                resumed_from, at = await self._begin()
                while (stop := self._stop()) is None:
                    k = at.commit.iteration + 1
                    at = await self._around("iteration", k, partial(self._iterate, at))
                if stop.reason is Reason.HANDED_OVER:
                    self._ledger.leave_jobs = _leave_them
            end = self._end(stop.reason, stop.because)
            return self._outcome(at, stop, resumed_from)
        except BaseException as error:
            end = None if isinstance(error, LeaseLost) else self._end_after(error)
            raise
        finally:
            self._give_back(end)

    async def _begin(self) -> tuple[int | None, _At[S]]:
        found = await to_thread.run_sync(last_good, self._journal, self._types.state)
        resumed_from = None if found is None else found.commit.iteration
        await to_thread.run_sync(self._ledger.load)
        self._recorded_through = await to_thread.run_sync(self._journal.newest_step)
        self._tell(RunStarted(self._opened.record, self._lease.record, resumed_from))
        if self._opened.source_changed:
            self._tell(Trouble("the algorithm's file has changed since this run was started"))
        if found is None:
            return None, await self._initialize()
        if found.loss:
            self._tell(Trouble(found.loss))
        self._iteration = found.commit.iteration
        self._recent.extend(commit.seen_by_rules() for commit in found.history)
        self._spending.add(found.history)
        await self._prune()
        return resumed_from, _At(found.state, found.commit)

    def _stop(self) -> Stop | None:
        stop = self._rule.check(self._progress())
        if (
            stop is None
            and self._hand_over_at is not None
            and self._iteration >= self._hand_over_at
        ):
            return Stop(Reason.HANDED_OVER, "another driver goes on")
        return stop

    def _progress(self) -> Progress:
        spent = self._spending
        seconds = time.monotonic() - self._started
        return Progress(tuple(self._recent), seconds, used=spent.total, next_use=spent.next)

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
            usage=self._spending.total,
            seconds=time.monotonic() - self._started,
        )

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
        # our own refusals explain themselves; a traceback is for the user's code
        own = isinstance(error, QcscLoopError) and not isinstance(error, HookError)
        trace = "" if own else "".join(traceback.format_exception(error))
        return self._end(Reason.FAILED, type(error).__name__, str(error), trace)

    def _give_back(self, end: EndRecord | None) -> None:
        """Frees the run; without an await, so that a second Ctrl-C cannot come between."""
        try:
            self._lease.release(end)
        except StoreError as error:  # must not take the place of what ended the run
            self._tell(Trouble(f"how the run ended could not be written: {error}"))
        if end is not None:
            self._tell(RunStopped(self._journal.run_id, end))

    # one iteration

    async def _initialize(self) -> _At[S]:
        first = await self._call("initialize", 0, self._types.state, self._algorithm.initialize)
        document, state = await to_thread.run_sync(self._types.state.keep, first)
        return await self._commit(0, document, state, converged=False)

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
        document, after = await to_thread.run_sync(types.state.keep, new)
        converged = await self._call(
            "converged", k, _BOOL, lambda: algorithm.converged(state, after)
        )
        return await self._commit(k, document, after, converged=converged)

    async def _step(
        self, step: str, iteration: int, codec: Codec[T], origin: str, call: Call[T]
    ) -> T:
        """A hook's result: from the record of an earlier driver, or called and recorded."""
        known = await self._recorded(step, iteration, codec, origin)
        if known is not None:
            self._tell(StepReused(iteration, step))
            self._usage.update(known.usage)
            return known.value
        before = Counter(self._usage)
        value = await self._call(step, iteration, codec, call)
        note = StepNote(
            iteration=iteration,
            step=step,
            epoch=self._lease.epoch,
            state_sha256=origin,
            seconds=self._seconds[step],
            usage=dict(self._usage - before),
        )
        # the loop goes on with what was written: a resumed run sees the same values
        return await run_uncancelled(self._keep, codec, value, partial(self._lease.save_step, note))

    async def _recorded(
        self, step: str, iteration: int, codec: Codec[T], origin: str
    ) -> _Recorded[T] | None:
        if iteration > self._recorded_through:
            return None  # no earlier driver came this far
        try:
            return await to_thread.run_sync(self._read, step, iteration, codec, origin)
        except DamagedDocument as error:
            self._tell(Trouble(f"the record of {step} in iteration {iteration} is lost: {error}"))
            return None

    def _read(self, step: str, iteration: int, codec: Codec[T], origin: str) -> _Recorded[T] | None:
        found = self._journal.step(iteration, step)
        if found is None or found[0].state_sha256 != origin:
            return None
        return _Recorded(codec.decode(found[1]), found[0].usage)

    @staticmethod
    def _keep(codec: Codec[T], value: T, write: Callable[[Document], None]) -> T:
        document, read = codec.keep(value)
        write(document)
        return read

    async def _call(self, hook: str, iteration: int, codec: Codec[T], call: Call[T]) -> T:
        returned = await self._call_hook(hook, iteration, codec, call)
        self._seconds[hook] = returned.seconds
        self._usage.update(returned.usage)
        return returned.value

    async def _commit(
        self, iteration: int, document: Document, state: S, *, converged: bool
    ) -> _At[S]:
        commit = Commit(
            iteration=iteration,
            epoch=self._lease.epoch,
            converged=converged,
            scalars=state.scalars(),
            seconds=self._seconds,
            usage=dict(self._usage),
            state_sha256=document.sha256,
        )
        await run_uncancelled(self._write, commit, document)
        self._seconds, self._usage = {}, Counter()
        self._spending.add([commit])
        self._recent.append(commit.seen_by_rules())
        self._tell(IterationCommitted(commit, document))
        await self._prune()
        return _At(state, commit)

    def _write(self, commit: Commit, state: Document) -> None:
        self._lease.commit(commit, state)
        self._iteration = commit.iteration  # here: a cancellation may come right after it

    async def _prune(self) -> None:
        keep = self._opened.settings.keep
        if keep is not None and self._iteration >= keep:
            await to_thread.run_sync(self._lease.prune, self._iteration - keep)

    def _tell(self, event: Event) -> None:
        tell(self._observers, event)


def _cancel_them() -> bool:
    return False


def _leave_them() -> bool:
    return True


_BOOL: Codec[bool] = Codec(bool)

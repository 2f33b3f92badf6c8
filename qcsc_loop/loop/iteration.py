"""One iteration: its steps from their records or called and recorded, and its commit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, TypeVar

from anyio import to_thread

from qcsc_loop.concurrency.uncancelled import run_uncancelled
from qcsc_loop.errors import DamagedDocument
from qcsc_loop.events import Observer, Trouble
from qcsc_loop.loop.charts import Charts, best_so_far
from qcsc_loop.loop.events import IterationCommitted, PhaseStarted, StepReused
from qcsc_loop.loop.hook_caller import Hook, HookCaller, Returned
from qcsc_loop.loop.hooks import E, Hooks, HookTypes, M, S
from qcsc_loop.store.journal import Lease
from qcsc_loop.store.landmarks import Landmarks, is_large
from qcsc_loop.store.live import COMMITTING
from qcsc_loop.store.records import Commit, StepNote
from qcsc_loop.values.codec import Codec
from qcsc_loop.values.document import Document
from qcsc_loop.values.kept import Kept

T = TypeVar("T")

SMALL_BYTES = 1 << 16  # of a state that is written and read again sooner than by another thread
_BOOL: Codec[bool] = Codec(bool)


@dataclass(frozen=True)
class Point(Generic[S]):
    """A committed point of a run."""

    state: Kept[S]
    commit: Commit


@dataclass
class Iteration(Generic[S, M, E]):
    """One iteration of a run by one driver.

    Attributes:
        number: 0 is `initialize`.
        recorded: whether an earlier driver may have left records of its steps.
        count: called with the commit as soon as it is durable, from the thread that wrote it.
    """

    number: int
    algorithm: Hooks[S, M, E]
    types: HookTypes[S, M, E]
    hooks: HookCaller
    charts: Charts
    lease: Lease
    recorded: bool
    tell: Observer
    count: Callable[[Iterable[Commit]], None]
    _seconds: dict[str, float] = field(default_factory=dict[str, float])
    _usage: Counter[str] = field(default_factory=Counter[str])

    async def initialize(self) -> Point[S]:
        """The state before the first iteration, committed."""
        types, initialize = self.types.state, self.algorithm.initialize
        returned = await self.hooks.call("initialize", self.number, types, initialize)
        state = await to_thread.run_sync(Kept[S].of, types, self._noted("initialize", returned))
        return await self._commit(state, None, converged=False)

    async def go_on(self, before: Point[S]) -> Point[S]:
        """The next state, committed.

        The hooks are called through this method and `_step` alone: whoever reads a traceback is to
        see few lines between the run's call and the user's own.
        """
        algorithm, types = self.algorithm, self.types
        state, origin = before.state, before.commit.state_sha256
        samples = await self._step("sample", types.samples, origin, algorithm.sample, state=state)
        evaluation = await self._step(
            "evaluate", types.evaluation, origin, algorithm.evaluate, state=state, samples=samples
        )
        new = await self.hooks.call(
            "update",
            self.number,
            types.state,
            algorithm.update,
            state=state,
            evaluation=evaluation,
        )
        # the loop goes on with what was written: a resumed run sees the same values
        read = partial(Kept[S].of, types.state, self._noted("update", new))
        small = state.document.nbytes <= SMALL_BYTES  # as the next one will be
        after = read() if small else await to_thread.run_sync(read)
        converged = await self.hooks.call(
            "converged", self.number, _BOOL, algorithm.converged, previous=state, current=after
        )
        said = self._noted("converged", converged)
        return await self._commit(after, before.commit, converged=said)

    async def _step(
        self, step: str, codec: Codec[T], origin: str, method: Hook[T], **arguments: Kept[Any]
    ) -> Kept[T]:
        """A hook's result: from the record of an earlier driver, or called and recorded."""
        if self.recorded and (known := await self._recorded(step, codec, origin)) is not None:
            self.tell(StepReused(self.number, step))
            return self._noted(step, known)
        returned = await self.hooks.call(step, self.number, codec, method, **arguments)
        note = StepNote(
            iteration=self.number,
            step=step,
            epoch=self.lease.epoch,
            state_sha256=origin,
            seconds=returned.seconds or 0.0,
            usage=dict(+returned.usage),
        )
        value = self._noted(step, returned)
        return await run_uncancelled(_keep, codec, value, partial(self.lease.save_step, note))

    async def _recorded(self, step: str, codec: Codec[T], origin: str) -> Returned[Kept[T]] | None:
        try:
            return await to_thread.run_sync(self._read, step, codec, origin)
        except DamagedDocument as error:
            lost = f"the record of {step} in iteration {self.number} is lost: {error}"
            self.tell(Trouble(lost))
            return None

    def _read(self, step: str, codec: Codec[T], origin: str) -> Returned[Kept[T]] | None:
        found = self.lease.journal.step(self.number, step)
        if found is None or not (found[0].replayed or found[0].state_sha256 == origin):
            return None
        value = Kept.of(codec, codec.decode(found[1]))
        return Returned(value, None, Counter(found[0].usage))

    def _noted(self, hook: str, returned: Returned[T]) -> T:
        """The value; what it took goes into the commit."""
        if returned.seconds is not None:
            self._seconds[hook] = returned.seconds
        self._usage.update(returned.usage)
        return returned.value

    async def _commit(self, state: Kept[S], before: Commit | None, *, converged: bool) -> Point[S]:
        document = state.document
        total = Counter(before.spent if before is not None else None)
        total.update(self._usage)
        self.tell(PhaseStarted(self.number, COMMITTING))
        fresh = state.fresh()
        scalars = self.hooks.scalars(fresh, self.number)
        commit = Commit(
            iteration=self.number,
            epoch=self.lease.epoch,
            converged=converged,
            scalars=scalars,
            seconds=self._seconds,
            usage=dict(self._usage),
            spent=dict(total),
            best=best_so_far(fresh.chart, self.number, scalars, before.best if before else None),
            state_sha256=document.sha256,
        )
        await run_uncancelled(self._write, commit, document)
        self.tell(IterationCommitted(commit, document, self.charts.read(fresh, scalars)))
        return Point(state, commit)

    def _write(self, commit: Commit, state: Document) -> None:
        self.lease.commit(commit, state)
        self.count([commit])  # here: a cancellation may come right after it
        prune(self.lease, commit, state)


def prune(lease: Lease, newest: Commit, state: Document) -> None:
    """Removes what the run's settings do not keep, once an iteration is committed. Blocks."""
    keep = lease.record.settings.keep
    if keep is not None and newest.iteration >= keep:
        best = None if newest.best is None else newest.best[0]
        landmarks = Landmarks(best, large=is_large(state))
        lease.prune(newest.iteration - keep, landmarks)


def _keep(codec: Codec[T], value: T, write: Callable[[Document], None]) -> Kept[T]:
    kept = Kept.of(codec, value)
    write(kept.document)
    return kept

"""Concurrent parts of one step: walkers, batches. What one of them returned is not done again."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Generic, TypeVar

import anyio
from anyio import to_thread

from qcsc_loop.concurrency.own_exits import exits_as_errors
from qcsc_loop.concurrency.uncancelled import run_uncancelled
from qcsc_loop.errors import DamagedDocument, JobFailed, SamplingFailed, WorkerDied
from qcsc_loop.steps.events import PartsMoved
from qcsc_loop.steps.step import STANDALONE, Step, check_label, current_step, labelled, stepping
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.values.codec import Codec
from qcsc_loop.values.document import Document

T = TypeVar("T")
C = TypeVar("C")
RESULT = "part"  # the name of a part's record in its folder

FORGIVEN: tuple[type[Exception], ...] = (JobFailed, SamplingFailed, WorkerDied)


async def run_parts(
    parts: Mapping[str, Callable[[], Awaitable[T]]],
    kind: type[T],
    *,
    limit: int,
    retries: int = 0,
    quorum: int | None = None,
    forgiven: tuple[type[Exception], ...] = FORGIVEN,
) -> dict[str, T | None]:
    """Runs the parts of a step side by side, each with its own label, randomness, folder and jobs.

    Each result is written to the run as soon as it is there: a driver that comes to the step
    again, after a crash or the failure of another part, reads it and does not do the work, or pay
    for it, a second time. A part that fails never stops the others.

    Args:
        parts: by label; labels name folders.
        kind: the type of a result, which is stored as a hook's is.
        limit: how many run at the same time.
        retries: how often a part that failed is done again at once.
        quorum: the fewest that must succeed; None: all.
        forgiven: errors that count as a part's failure. Any other ends the step when all parts
            are done.

    Returns:
        Results by label, in the order given; None for a part that failed.

    Raises:
        ValueError: a label cannot name a folder; nothing was done.
        Exception: the first part's error, if too few succeeded; what succeeded is kept.
    """
    for label in parts:
        check_label(label)
    codec, turns = Codec[T](kind), anyio.CapacityLimiter(limit)
    results: dict[str, T | None] = dict.fromkeys(parts)
    errors: dict[str, Exception] = {}
    whole, over = current_step(), set[str]()

    def tell() -> None:
        moved = PartsMoved(whole.iteration, whole.name, whole.label, len(over), len(parts))
        whole.ledger.observe(moved)

    async def run(label: str, call: Callable[[], Awaitable[T]]) -> None:
        async with turns:
            with labelled(label) as step:
                try:
                    value: T = await _once(step, codec, call, retries, forgiven)
                    results[label] = value
                except Exception as error:  # raised below, in the order of the parts
                    errors[label] = error
        over.add(label)
        tell()

    tell()
    async with anyio.create_task_group() as group:
        for label, call in in_turn(parts):
            group.start_soon(run, label, call)
    needed = len(parts) if quorum is None else quorum
    for label in parts:
        error = errors.get(label)
        if error is None:
            continue
        if len(parts) - len(errors) < needed or not isinstance(error, forgiven):
            raise error
        current_step().logger.warning("%s failed and is left out: %s", label, error)
    return results


def in_turn(parts: Mapping[str, C]) -> Iterable[tuple[str, C]]:
    """The order in which parts are begun; nothing may depend on it, and a check takes another one."""
    return parts.items()


async def _once(
    step: Step,
    codec: Codec[T],
    call: Callable[[], Awaitable[T]],
    retries: int,
    forgiven: tuple[type[Exception], ...],
) -> T:
    """A part's result: its record's, or that of a call, which is then recorded."""
    kept = _Kept(step, codec)
    found = await to_thread.run_sync(kept.read)
    if found is not None:
        value, usage = found
        step.usage.update(usage)
        return value
    own = replace(step, usage=Counter())
    try:
        value = await _tried(own, call, retries, forgiven)
    finally:
        step.usage.update(own.usage)
    document, value = codec.keep(value)
    await run_uncancelled(
        kept.write, document, own.usage
    )  # it was paid for: no cancellation in between
    return value


async def _tried(
    step: Step,
    call: Callable[[], Awaitable[T]],
    retries: int,
    forgiven: tuple[type[Exception], ...],
) -> T:
    for left in range(retries, -1, -1):
        try:
            # each attempt draws the same random numbers and asks for the same jobs
            with stepping(replace(step, calls=Counter())), exits_as_errors():
                return await call()
        except forgiven as error:
            if not left:
                raise
            step.logger.warning("%s failed and is done again: %s", step.label, error)
    raise AssertionError("range() of at least one")


class _Kept(Generic[T]):
    """A part's record in its folder. Stand-alone steps have none: nothing tells two calls apart."""

    def __init__(self, step: Step, codec: Codec[T]) -> None:
        self._step, self._codec = step, codec

    @property
    def _name(self) -> str:
        return f"{self._step.iteration} {self._step.name} {self._step.label}"

    def read(self) -> tuple[T, Counter[str]] | None:
        """The result, and what it has cost that this driver has not counted yet."""
        if self._step.run_id == STANDALONE:
            return None
        with suppress(KeyError, DamagedDocument):  # without a good record it is done again
            document = DirectoryStore(self._step.work_dir).read(RESULT)
            document.verify()
            value, note = self._codec.decode(document), json.loads(document.meta)
            if (
                note.get("part", self._name) != self._name
            ):  # of another folder; older ones are silent
                return None
            if note["epoch"] == self._step.ledger.epoch:
                return value, Counter()
            self.write(document, note["usage"])  # counted by this driver from now on
            return value, Counter(note["usage"])
        return None

    def write(self, document: Document, usage: Mapping[str, float]) -> None:
        """Keeps a result."""
        if self._step.run_id == STANDALONE:
            return
        epoch = self._step.ledger.epoch
        note = {"epoch": epoch, "usage": dict(usage), "part": self._name}
        kept = replace(document, meta=json.dumps(note).encode())
        DirectoryStore(self._step.work_dir).write(RESULT, kept)

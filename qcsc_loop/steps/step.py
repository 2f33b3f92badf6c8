"""Where a hook learns which step of which run it is: `current_step()`."""

from __future__ import annotations

import atexit
import hashlib
import logging
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from qcsc_loop.jobs.ledger import Ledger
from qcsc_loop.printing import clean_record
from qcsc_loop.steps.run_cache import CompiledCircuits

STANDALONE = "_standalone"  # no run can be called so
LABEL_BYTES = 200  # a folder's name has at most 255, and on an encrypted disk fewer
JOB_SUFFIX = ".job"  # of a job's folder in a step's


def _temporary_folder() -> Path:
    """For as long as this process lasts."""
    path = Path(tempfile.mkdtemp(prefix="qcsc-loop-"))
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path


@dataclass(frozen=True)
class Step:
    """One step of one iteration of one run, as its hook sees it.

    Attributes:
        run_id: the run.
        run_seed: the run's seed, from which all its randomness derives.
        iteration: the iteration this step belongs to; 0 is `initialize`.
        name: the hook's name.
        label: which of several concurrent parts of the step this is; empty for the step itself.
        attempt: 0, or how often the step was retried; randomness does not depend on it.
        ledger: the run's remote jobs.
        usage: what the step has cost so far.
        calls: how many jobs of each name this attempt has asked for.
        compiled: circuits that were compiled in this run.
    """

    run_id: str = STANDALONE
    run_seed: int = 0
    iteration: int = 0
    name: str = "step"
    label: str = ""
    attempt: int = 0
    make_folder: Callable[[], Path] = _temporary_folder
    ledger: Ledger = field(default_factory=Ledger.standalone)
    usage: Counter[str] = field(default_factory=Counter[str])
    calls: Counter[str] = field(default_factory=Counter[str])
    compiled: CompiledCircuits = field(default_factory=CompiledCircuits)

    @cached_property
    def rng(self) -> np.random.Generator:
        """The step's own random numbers.

        Derived from run seed, iteration, step and label alone: a resumed step draws what the
        interrupted one drew, and no generator's state needs saving. The bit generator is named, so
        that a new default in numpy does not change a run.
        """
        return np.random.Generator(np.random.PCG64DXSM(self._entropy))

    @cached_property
    def seed(self) -> int:
        """A 32-bit seed for a simulator or transpiler; independent of what `rng` has drawn."""
        return int(self._entropy.spawn(1)[0].generate_state(1)[0])

    @property
    def _entropy(self) -> np.random.SeedSequence:
        tag = hashlib.sha256(f"{self.name}\0{self.label}".encode()).digest()[:16]
        return np.random.SeedSequence([self.run_seed, self.iteration, int.from_bytes(tag, "big")])

    @cached_property
    def work_dir(self) -> Path:
        """A folder of this step's own below the run's, made on first use.

        A step that is executed again after a crash finds what the first execution left there.
        """
        return self.make_folder()

    def spend(self, **amounts: float) -> None:
        """Counts what something cost, such as `shots=1000`: for budgets and the outcome."""
        self.usage.update(amounts)

    @cached_property
    def logger(self) -> logging.LoggerAdapter[Any]:
        """A logger whose messages carry run, iteration and step."""
        facts = {"run_id": self.run_id, "iteration": self.iteration, "step": self.name}
        logger = logging.getLogger("qcsc_loop.hooks")
        logger.addFilter(clean_record)  # jobs' output and errors of others go through it
        return logging.LoggerAdapter(logger, facts)


_current: ContextVar[Step | None] = ContextVar("qcsc_loop_step", default=None)
_alone: ContextVar[Step | None] = ContextVar("qcsc_loop_standalone_step", default=None)


class _Loops:
    """How many loops run in this process: what tells a lost context from a stand-alone call."""

    def __init__(self) -> None:
        self._lock, self.running = Lock(), 0

    def add(self, number: int) -> None:
        with self._lock:
            self.running += number


_loops = _Loops()


def current_step() -> Step:
    """The step that is being executed.

    Seen in hooks, in tasks they start, in anyio's and asyncio's threads. Outside a loop it is a
    stand-alone step, so that a hook can be called alone in a test or a notebook.

    Raises:
        RuntimeError: in a thread that does not carry the context while a loop runs (a bare
            `ThreadPoolExecutor`, `loop.run_in_executor`): a stand-alone step there would silently
            give other random numbers. Use `anyio.to_thread.run_sync`, or submit
            `contextvars.copy_context().run`.
    """
    step = _current.get()
    if step is not None:
        return step
    if _loops.running:
        raise RuntimeError(
            "current_step() does not know its step here: this thread does not carry the hook's "
            "context. Use anyio.to_thread.run_sync(f), or "
            "executor.submit(contextvars.copy_context().run, f)"
        )
    alone = _alone.get() or Step()
    _alone.set(alone)
    return alone


@contextmanager
def stepping(step: Step) -> Iterator[Step]:
    """Makes `step` the current one; for the loop and for tests of hooks."""
    token = _current.set(step)
    try:
        yield step
    finally:
        _current.reset(token)


def check_label(label: str) -> None:
    """Refuses what cannot name a part of a step.

    Raises:
        ValueError: it cannot.
    """
    if not label or label in (".", "..") or "/" in label or "\0" in label:
        raise ValueError(f"a label names a folder: {label!r} is empty, or leads out of the step's")
    if label.endswith(JOB_SUFFIX):
        raise ValueError(f"a label cannot end in {JOB_SUFFIX!r}, as folders of jobs do: {label!r}")
    try:
        length = len(label.encode())
    except UnicodeEncodeError:
        raise ValueError(f"a label names a folder, in UTF-8: {label!r} cannot be written") from None
    if length > LABEL_BYTES:
        raise ValueError(
            f"a label names a folder, in at most {LABEL_BYTES} bytes: {label[:20]!r}... has {length}"
        )


@contextmanager
def labelled(label: str) -> Iterator[Step]:
    """A part of the current step with random numbers and a work folder of its own.

    For parts that run concurrently (walkers, batches): drawing from one shared generator would
    make the numbers depend on who came first.
    """
    check_label(label)
    whole = current_step()
    part = label if not whole.label else f"{whole.label}/{label}"
    folder = whole.make_folder

    def make_part() -> Path:
        path = folder() / label
        path.mkdir(parents=True, exist_ok=True)
        return path

    with stepping(replace(whole, label=part, make_folder=make_part, calls=Counter())) as step:
        yield step


@contextmanager
def loop_running() -> Iterator[None]:
    """Counts a loop for as long as it runs."""
    _loops.add(1)
    try:
        yield
    finally:
        _loops.add(-1)

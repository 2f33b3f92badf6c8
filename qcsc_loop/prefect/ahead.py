"""A run that begins while its server starts: its flow run joins it once there is one.

Decision 21 says what may begin so. The disk is the truth, and the mirror publishes behind the loop
in any case; what is done before the flow run is there has no task runs.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import types
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Generic, Unpack

from prefect.client.orchestration import get_client
from prefect.logging import get_run_logger

from qcsc_loop.algorithm import AnyAlgorithm, IterativeAlgorithm
from qcsc_loop.events import Event, Trouble, tell
from qcsc_loop.loop.driver import run_loop
from qcsc_loop.loop.events import IterationCommitted, RunStarted
from qcsc_loop.loop.hooks import E, M, S
from qcsc_loop.loop.options import RunOptions
from qcsc_loop.loop.outcome import Outcome
from qcsc_loop.loop.warnings import log_warnings, warning_of
from qcsc_loop.parameters.saved_blocks import named_blocks
from qcsc_loop.prefect.artifacts import RunArtifacts
from qcsc_loop.prefect.driver_facts import Granularity
from qcsc_loop.prefect.emitting import Emitter, closing
from qcsc_loop.prefect.flow import Around, current_flow_run, show_tables
from qcsc_loop.prefect.mirror import Mirror, followed
from qcsc_loop.prefect.run_log import RunLog
from qcsc_loop.prefect.signing import NOT_SIGNED
from qcsc_loop.store.journal import Journal

REMEMBERED = 100  # events for the flow run's log
DRAIN_SECONDS = 10.0
_LIBRARIES = {"builtins", "abc", "typing", "pydantic"}
_ADAPTERS = "qcsc_loop.prefect."  # they import Prefect's things where they use them


def needs_its_flow(algorithm: AnyAlgorithm) -> bool:
    """Whether an algorithm's hooks may ask Prefect for something: then no hook comes before the flow.

    Saved blocks are the server's. Code that imports Prefect may want its flow run's context.
    """
    if named_blocks(algorithm):
        return True
    kinds = [type(algorithm), *(type(value) for _, value in algorithm)]
    return any(_knows_prefect(kind) for kind in kinds)


def _knows_prefect(kind: type) -> bool:
    """Whether the module of a class, or of a base of it, knows something of Prefect's by name."""
    theirs = [each for each in kind.__mro__ if each.__module__.partition(".")[0] not in _LIBRARIES]
    if any(each.__module__.startswith(_ADAPTERS) for each in theirs):
        return True
    functions = (f for each in theirs for f in vars(each).values() if inspect.isfunction(f))
    modules = {id(f.__globals__): f.__globals__ for f in functions}
    return any(_is_prefects(value) for names in modules.values() for value in names.values())


def _is_prefects(value: object) -> bool:
    name = value.__name__ if isinstance(value, types.ModuleType) else ""
    owner = name or str(getattr(value, "__module__", ""))
    return owner.partition(".")[0] in ("prefect", "prefect_qiskit")


class RunAhead(Generic[S, M, E]):
    """Of one run of this process: `begin` it, and `join` it from the flow run, if there comes one.

    Attributes:
        is_begun: it has a driver; until then it may be refused.
    """

    def __init__(
        self,
        algorithm: IterativeAlgorithm[S, M, E],
        journal: Journal,
        *,
        tasks: Granularity,
        **options: Unpack[RunOptions],
    ) -> None:
        self._algorithm = algorithm
        self._client = get_client()
        self._artifacts = RunArtifacts(self._client, journal.run_id)
        signs = self._artifacts.signer.signs
        self._mirror = Mirror(self._artifacts, self._client, journal, self._note)
        self._emitter = Emitter(journal, held=True)
        self._around = Around(self._mirror, tasks, joins=True)
        self._before: deque[Event] = deque(maxlen=REMEMBERED)
        self._log: RunLog | None = None
        self.is_begun, self._iterations = False, 0
        self._tell_all: Sequence[Any] = tuple(options.get("observers", ()))
        options |= {
            "observers": (
                self._note,
                *self._tell_all,
                self._mirror.observe,
                self._emitter.observe,
            ),
            "around": self._around,
        }
        if not signs:
            options["told_before"] = [unsigned := Trouble(NOT_SIGNED)]
            tell((log_warnings(journal.run_id), *self._tell_all), unsigned)
        self._options = options
        self._driven: asyncio.Task[Outcome[S]] | None = None

    def begin(self) -> asyncio.Task[Outcome[S]]:
        """The run on its way; whoever cancels it, ends it."""
        self._driven = asyncio.create_task(run_loop(self._algorithm, **self._options))
        return self._driven

    async def join(self) -> Outcome[S]:
        """In the flow run: from the next iteration on hooks are its tasks.

        Returns when the run has ended, and is published as far as that can be.

        Raises:
            Exception: what the run raised.
        """
        assert self._driven is not None
        flow_run, _ = current_flow_run()
        self._artifacts.flow_run_id = flow_run.id
        self._say_what_was_before()
        self._around.join(contextvars.copy_context())
        self._emitter.release()
        async with self._client, followed(self._mirror):
            await asyncio.wait([self._driven])
            outcome = self._driven.result()
            if await self._mirror.drain(DRAIN_SECONDS):
                await show_tables(self._artifacts, self._algorithm, outcome, self._note_trouble)
                await self._mirror.shown()
        return outcome

    async def close(self, *, joined: bool) -> None:
        """Once nothing comes any more."""
        self._emitter.release(wanted=joined)
        async with closing(self._emitter):
            pass

    def _say_what_was_before(self) -> None:
        self._log = RunLog()
        for event in self._before:
            self._log.observe(event)
        self._before.clear()
        if self._iterations:
            count = f"{self._iterations} iteration{'' if self._iterations == 1 else 's'}"
            get_run_logger().info(
                f"{count} had been done when the server was there; their steps have no task runs"
            )

    def _note(self, event: Event) -> None:
        self.is_begun = self.is_begun or isinstance(event, RunStarted)
        if self._log is not None:
            self._log.observe(event)
        elif isinstance(event, IterationCommitted):
            self._iterations += event.commit.iteration > 0
        elif isinstance(event, RunStarted) or warning_of(event):
            self._before.append(event)

    def _note_trouble(self, event: Event) -> None:
        with suppress(Exception):
            for observer in (self._note, *self._tell_all):
                observer(event)

"""A budget in any interleaving of parts, jobs, deaths and resumes: spent as if nobody had died."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import anyio
import anyio.lowlevel
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from loop.exactly_once.toy_site import Service, ToySite, doubling, hurry
from models.stores import Killed, MortalStore, QuietStore
from qcsc_loop.algorithm import IterativeAlgorithm
from qcsc_loop.exactly_once.run_once import run_once
from qcsc_loop.jobs.outcome import JobMetrics, JobOutcome, JobState
from qcsc_loop.loop.outcome import Outcome
from qcsc_loop.loop.spending import LAST
from qcsc_loop.parameters.operational import OPERATIONAL
from qcsc_loop.rules.stop import MaxIterations, QpuSeconds, Shots
from qcsc_loop.steps.parts import run_parts
from qcsc_loop.steps.step import current_step
from qcsc_loop.values.record import State

RUN, LIMIT = "spends", 6


class Length(State):
    length: int = 0


@dataclass
class Life:
    """When a driver dies: at which part that has spent, at which write; 0: not there."""

    parts: int = 0
    writes: int = 0
    dead: bool = field(default=False, init=False)

    def part_is_paid(self) -> None:
        self.parts -= 1
        if self.dead or self.parts == 0:
            self.dead = True
            raise Killed


lives: list[Life] = [Life()]  # the last one is the driver's


class Spender(IterativeAlgorithm[Length, int, int]):
    """Spends shots in parts and seconds of a QPU in a job; an iteration that is not there is the last.

    Attributes:
        shots: of each part, by iteration.
    """

    shots: Annotated[list[list[int]], OPERATIONAL]
    site: ToySite

    async def initialize(self) -> Length:
        return Length()

    async def sample(self, state: Length) -> int:
        parts = self.shots[min(current_step().iteration, len(self.shots)) - 1]
        calls = {f"part-{n}": partial(self._spend, shots) for n, shots in enumerate(parts)}
        found = await run_parts(calls, int, limit=2)
        return sum(shots for shots in found.values() if shots is not None)

    async def _spend(self, shots: int) -> int:
        current_step().spend(shots=shots)
        await anyio.lowlevel.checkpoint()
        lives[-1].part_is_paid()
        return shots

    async def evaluate(self, state: Length, samples: int) -> int:
        return (await run_once(doubling(self.site.here, samples))).value

    async def update(self, state: Length, evaluation: int) -> Length:
        return Length(length=state.length + 1)


costs = st.lists(st.lists(st.integers(0, 50), min_size=1, max_size=3), min_size=1, max_size=LIMIT)
deaths = st.lists(st.builds(Life, st.integers(0, 9), st.integers(1, 60)), max_size=4)


@pytest.mark.guarantee("G8")
@given(costs, st.integers(1, 200), st.floats(0.5, 10), deaths)
@example([[0]], 1, 7.0, [Life(0, 29), Life(0, 12)])  # a job that is paid, and not yet used
def test_a_budget_is_spent_as_if_nobody_had_died(
    shots: list[list[int]], most: int, seconds: float, dying: list[Life]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        hurry(patch)
        whole, _ = driven(shots, most, seconds, [])
        outcome, service = driven(shots, most, seconds, dying)
    assert (outcome.iteration, outcome.reason, outcome.because, outcome.usage) == (
        whole.iteration,
        whole.reason,
        whole.because,
        whole.usage,
    )
    assert len(service.worked) == outcome.iteration  # nothing is paid twice
    assert_within(shots, most, outcome)


def assert_within(shots: list[list[int]], most: int, outcome: Outcome[Length]) -> None:
    """It is exceeded by an iteration that is dearer than the last ones were, and by no other."""
    spent = [sum(shots[min(k, len(shots)) - 1]) for k in range(1, outcome.iteration + 1)]
    assert sum(spent) == outcome.usage.get("shots", 0)
    foretold = max(spent[-1 - LAST : -1], default=0)
    if spent and spent[-1] <= foretold:
        assert sum(spent) <= most


def driven(
    shots: list[list[int]], most: int, seconds: float, dying: Sequence[Life]
) -> tuple[Outcome[Length], Service]:
    """A run, whose drivers die one after the other, and the last one does not."""
    ended = JobOutcome(state=JobState.COMPLETED, metrics=JobMetrics(qpu_seconds=seconds))
    service = Service(settle_seconds=30, endings=[ended] * 100)
    rule = MaxIterations(LIMIT) | Shots(most) | QpuSeconds(20)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, "store")
        options: dict[str, Any] = {"run_id": RUN, "stop": rule}
        run = Spender(shots=shots, site=service.site).run
        for life in dying:
            lives.append(Life(life.parts, life.writes))
            store = MortalStore(root, life.writes, is_dead=lambda: lives[-1].dead)
            with suppress(Killed, BaseExceptionGroup):
                anyio.run(partial(run, store=store, **options))
        lives.append(Life())
        return anyio.run(partial(run, store=QuietStore(root), **options)), service

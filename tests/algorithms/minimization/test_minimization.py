"""A script around scipy's `minimize`, and the loop that it becomes."""

from __future__ import annotations

import difflib
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest
from pydantic import ValidationError

from qcsc_algorithms.minimization import Minimization, Minimum
from qcsc_loop import DirectoryStore, MaxIterations, MemoryStore, Outcome, Run, current_step
from qcsc_loop.errors import SamplingFailed
from qcsc_loop.optimizers import CMAES, SPSA, DifferentialEvolution
from qcsc_loop.values.arrays import NDArray

EXAMPLES = Path(__file__).parents[3] / "examples" / "optimisers"
LOWEST = -1.4142  # of the example's circuit, which holds the chain's ground state
asked: Counter[str] = Counter()


class Bowl(Minimization):
    """Noisy, with points that fail, and that count how often they were asked."""

    noise: float = 0.0
    fails_above: float = np.inf

    async def value(self, parameters: NDArray) -> float:
        step = current_step()
        asked[f"{step.iteration} {step.label}"] += 1
        if parameters[0] > self.fails_above:
            raise SamplingFailed("the bowl", "it was asked for too much")
        return float(((parameters - 1) ** 2).sum() + self.noise * step.rng.standard_normal())


def ran(bowl: Bowl, store: DirectoryStore | MemoryStore, last: int) -> Outcome[Minimum]:
    return anyio.run(lambda: bowl.run(store=store, run_id="bowl", seed=1, stop=MaxIterations(last)))


def test_it_ends_where_the_optimiser_has_nothing_more_to_look_for() -> None:
    outcome = ran(Bowl(start=(0.0, 0.0), tolerance=1e-3), MemoryStore(), 500)
    assert outcome.message.startswith("converged")
    assert outcome.state.optimizer.best == pytest.approx(np.ones(2), abs=1e-2)
    rows = Bowl(start=(0.0,)).tables(outcome.state)["minimum"]
    assert [row["parameter"] for row in rows] == [0, 1]


def test_values_of_a_batch_are_parts_each_asked_once(tmp_path: Path) -> None:
    asked.clear()
    bowl = Bowl(start=(0.0, 0.0), optimizer=CMAES(population=5), noise=0.1)
    store = DirectoryStore(tmp_path)
    for last in (1, 2, 3):
        ran(bowl, store, last)
    assert len(asked) == 15 and set(asked.values()) == {1}
    assert Run("bowl", store=store).state(3).evaluations == 15
    assert ran(bowl, MemoryStore(), 3).state == Run("bowl", store=store).state(3)


def test_a_point_that_failed_is_a_bad_one_as_long_as_another_is_there() -> None:
    population = DifferentialEvolution(population=8)
    bowl = Bowl(start=(0.0, 0.0), optimizer=population, fails_above=0.8)
    outcome = ran(bowl, MemoryStore(), 40)
    assert outcome.state.optimizer.best[0] == pytest.approx(0.8, abs=0.05)
    assert outcome.state.optimizer.best[1] == pytest.approx(1.0, abs=0.05)


def test_bounds_are_kept_and_checked() -> None:
    bowl = Bowl(start=(0.0, 0.0), bounds=((-1, 0.5), (-1, 2)), optimizer=SPSA(a=0.2))
    assert ran(bowl, MemoryStore(), 100).state.optimizer.center[0] == pytest.approx(0.5, abs=0.05)
    with pytest.raises(ValidationError):
        Bowl(start=())


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"start": (0.0,), "bounds": ((-1, 1), (-1, 1))}, r"an array of shape \(1, 2\), not"),
        ({"start": (0.0, 0.0), "bounds": ((-1, 1),)}, r"an array of shape \(2, 2\), not"),
        ({"start": (0.0,), "bounds": ((1, -1),)}, "every lower bound has to be below its upper"),
        ({"start": (np.inf,)}, "a start is a number for each parameter, finite ones"),
        ({"optimizer": CMAES(population=2)}, "CMA-ES needs 3 points at least"),
    ],
    ids=["more bounds", "fewer bounds", "order", "infinite", "population"],
)
def test_what_cannot_begin_is_refused_before_there_is_a_run(
    settings: dict[str, Any], why: str
) -> None:
    with pytest.raises(ValidationError, match=why):
        Bowl(**settings)


def changed_lines() -> list[str]:
    before, after = (
        (EXAMPLES / name).read_text().splitlines() for name in ("before.py", "after.py")
    )
    lines = difflib.ndiff(before, after)
    return [line for line in lines if line.startswith("+ ") and line[2:].strip()]


def test_the_script_becomes_a_loop_in_ten_changed_lines() -> None:
    assert 0 < len(changed_lines()) <= 10


def printed(name: str, folder: Path) -> float:
    environment = {**os.environ, "QCSC_LOOP_STORE": str(folder)}
    command = [sys.executable, str(EXAMPLES / name)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return float(done.stdout.splitlines()[-1])


def test_the_loop_comes_as_low_as_the_script_and_is_not_done_again(tmp_path: Path) -> None:
    script, loop = printed("before.py", tmp_path), printed("after.py", tmp_path)
    assert LOWEST - 1e-3 < loop < script + 1e-3
    store = DirectoryStore(tmp_path)
    evaluated = Run("chain", store=store).state().evaluations
    assert printed("after.py", tmp_path) == loop
    assert Run("chain", store=store).state().evaluations == evaluated

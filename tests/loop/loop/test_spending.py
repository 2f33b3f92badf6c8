"""Budgets: a run stops before the iteration that would spend more than there is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Unpack

import anyio
import pytest
from pydantic import SerializeAsAny, TypeAdapter, ValidationError

from loop.exactly_once.toy_site import NAME, Service, ToySite, doubling
from qcsc_loop.algorithm import IterativeAlgorithm
from qcsc_loop.errors import HookFailed
from qcsc_loop.exactly_once.run_once import run_once
from qcsc_loop.jobs.ledger import job_records
from qcsc_loop.jobs.outcome import JobMetrics, JobOutcome, JobState
from qcsc_loop.loop.options import RunOptions
from qcsc_loop.loop.outcome import Outcome
from qcsc_loop.parameters.compare import to_plain
from qcsc_loop.parameters.operational import OPERATIONAL
from qcsc_loop.rules.reason import Reason
from qcsc_loop.rules.retry import Retry
from qcsc_loop.rules.stop import (
    AllOf,
    AnyOf,
    Budget,
    Committed,
    Converged,
    MaxIterations,
    NodeHours,
    Progress,
    QpuSeconds,
    Shots,
    Stop,
    StopRule,
)
from qcsc_loop.steps.step import current_step
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.memory import MemoryStore
from qcsc_loop.store.records import Settings
from qcsc_loop.values.record import State

ANY_RULE: TypeAdapter[StopRule] = TypeAdapter(SerializeAsAny[StopRule])
BUDGETS: list[type[QpuSeconds | Shots | NodeHours]] = [QpuSeconds, Shots, NodeHours]
SCRIPT = Path(sys.prefix) / "bin" / "qcsc-loop"
FAILED = JobOutcome(state=JobState.FAILED, exit_code=1)


def spent(used: float, more: float = 0.0, amount: str = "shots", iteration: int = 1) -> Progress:
    return Progress(
        [Committed(iteration, False)], 0.0, used={amount: used}, next_use={amount: more}
    )


# the rule


@pytest.mark.parametrize("kind", BUDGETS)
def test_a_budget_looks_at_its_own_amount(kind: type[QpuSeconds | Shots | NodeHours]) -> None:
    budget: Budget = kind(10)

    assert budget.check(spent(9, 9, "other")) is None
    assert budget.check(spent(9, 9, budget.amount)) is not None


def test_each_budget_has_an_amount_of_its_own() -> None:
    assert [kind(1).amount for kind in BUDGETS] == ["qpu_seconds", "shots", "node_hours"]


@pytest.mark.parametrize(
    ("used", "more", "stops"),
    [
        (0, 0, False),
        (0, 10, False),
        (5, 5, False),
        (5, 5.001, True),
        (9.999, 0, False),
        (10, 0, True),
        (11, 0, True),
        (0, 11, True),
    ],
)
def test_a_budget_stops_where_the_next_iteration_would_go_beyond_it(
    used: float, more: float, stops: bool
) -> None:
    assert (Shots(10).check(spent(used, more)) is not None) is stops


def test_a_run_that_has_spent_nothing_is_free_to_begin() -> None:
    assert QpuSeconds(1e-9).check(Progress([Committed(0, False)], 0.0)) is None


def test_a_budget_says_what_was_spent_of_what() -> None:
    stop = QpuSeconds(600).check(spent(590.5, 10, "qpu_seconds"))

    assert stop == Stop(Reason.BUDGET, "590.5 of 600 qpu seconds spent")


@pytest.mark.parametrize("limit", [0, -1, float("nan"), "much"])
@pytest.mark.parametrize("kind", BUDGETS)
def test_what_is_no_budget_is_refused(kind: type[QpuSeconds | Shots], limit: float) -> None:
    with pytest.raises(ValidationError, match="limit"):
        kind(limit)


# composition and settings


def test_either_of_a_budget_and_a_limit_stops() -> None:
    rule = MaxIterations(5) | Shots(10)

    assert rule.check(spent(9, 9)) == Stop(Reason.BUDGET, "9 of 10 shots spent")
    assert rule.check(spent(1, 1)) is None
    assert rule.check(spent(1, 1, iteration=5)) == Stop(Reason.MAX_ITERATIONS, "limit of 5")


def test_both_of_two_budgets_have_to_be_spent() -> None:
    rule = Shots(10) & QpuSeconds(10)
    shots, both = {"shots": 10.0}, {"shots": 10.0, "qpu_seconds": 10.0}

    assert rule.check(Progress([Committed(1, False)], 0.0, used=shots)) is None
    assert rule.check(Progress([Committed(1, False)], 0.0, used=both)) is not None


def test_budgets_compose_flat() -> None:
    one, two, three = Shots(1), QpuSeconds(2), NodeHours(3)

    assert one | two | three == AnyOf(rules=(one, two, three))
    assert one & two & three == AllOf(rules=(one, two, three))


RULES = [Shots(1e6), QpuSeconds(0.5), NodeHours(3), MaxIterations(3) | (Shots(5) & QpuSeconds(1))]


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_a_budget_comes_back_from_json_and_from_a_runs_settings(rule: StopRule) -> None:
    settings = Settings(algorithm="module:Class", stop=to_plain(rule))

    assert ANY_RULE.validate_json(ANY_RULE.dump_json(rule)) == rule
    assert Settings.model_validate_json(settings.model_dump_json()).rule() == rule


def test_a_budget_is_made_by_position_or_by_name() -> None:
    assert Shots(5) == Shots(limit=5)


# in a run


class Spent(State):
    """How many iterations there were."""

    length: int = 0


class Spending(IterativeAlgorithm[Spent, int, int]):
    """Spends shots as it is told, by iteration; a number that is not there is the last one.

    Attributes:
        site: where each `evaluate` has a job; None: it has none.
        fails: attempts of `sample` that fail after they have spent, in iteration 1.
    """

    shots: Annotated[list[int], OPERATIONAL] = [10]
    site: ToySite | None = None
    fails: Annotated[int, OPERATIONAL] = 0

    async def initialize(self) -> Spent:
        return Spent()

    async def sample(self, state: Spent) -> int:
        step, shots = current_step(), [*self.shots, *[self.shots[-1]] * 100]
        step.spend(shots=shots[step.iteration - 1])
        if step.iteration == 1 and step.attempt < self.fails:
            raise OSError("told to fail")
        return step.iteration

    async def evaluate(self, state: Spent, samples: int) -> int:
        if self.site is None:
            return samples
        return (await run_once(doubling(self.site.here, samples))).value

    async def update(self, state: Spent, evaluation: int) -> Spent:
        return Spent(length=state.length + 1)


def ran(algorithm: Spending, **options: Unpack[RunOptions]) -> Outcome[Spent]:
    options.setdefault("store", MemoryStore())
    options.setdefault("stop", MaxIterations(20))
    return anyio.run(lambda: algorithm.run(**options))


def test_a_run_stops_before_the_iteration_that_would_not_fit() -> None:
    outcome = ran(Spending(shots=[10]), stop=MaxIterations(20) | Shots(35))

    assert (outcome.iteration, outcome.reason) == (3, Reason.BUDGET)
    assert outcome.usage == {"shots": 30}
    assert outcome.because == "30 of 35 shots spent"


def test_a_budget_that_fits_exactly_is_spent_to_its_end() -> None:
    assert ran(Spending(shots=[10]), stop=MaxIterations(20) | Shots(30)).iteration == 3


def test_the_first_iteration_is_free_to_try() -> None:
    outcome = ran(Spending(shots=[100]), stop=MaxIterations(20) | Shots(1))

    assert (outcome.iteration, outcome.usage) == (1, {"shots": 100})


@pytest.mark.parametrize(
    ("shots", "limit", "iterations"),
    [
        ([1, 1, 30, 1], 61, 3),  # 32 are spent, and 30 more would be 62
        ([1, 1, 30, 1], 63, 5),  # 34 are spent
        ([1, 1, 30, 1], 65, 36),  # 35 are spent, and the last three cost 1 each
        ([30, 1], 62, 33),
    ],
)
def test_what_the_next_one_costs_is_taken_from_the_dearest_of_the_last_three(
    shots: list[int], limit: int, iterations: int
) -> None:
    outcome = ran(Spending(shots=shots), stop=MaxIterations(90) | Shots(limit))

    assert outcome.iteration == iterations


def test_a_resumed_run_stops_where_one_that_went_through_does() -> None:
    algorithm, store = Spending(shots=[3, 7, 2, 9]), MemoryStore()
    rule = MaxIterations(90) | Shots(50)
    through = ran(algorithm, stop=rule)

    for limit in (1, 2, 4):
        ran(algorithm, store=store, run_id="again", stop=MaxIterations(limit))
    resumed = ran(algorithm, store=store, run_id="again", stop=rule)

    assert (resumed.iteration, resumed.usage) == (through.iteration, through.usage)
    assert resumed.reason is Reason.BUDGET


def test_a_resumed_run_with_a_larger_budget_goes_on() -> None:
    store = MemoryStore()
    first = ran(Spending(), store=store, run_id="more", stop=MaxIterations(9) | Shots(20))
    second = ran(Spending(), store=store, run_id="more", stop=MaxIterations(9) | Shots(40))

    assert (first.iteration, second.iteration) == (2, 4)


def test_a_resumed_run_whose_budget_is_spent_does_nothing() -> None:
    store, rule = MemoryStore(), MaxIterations(9) | Shots(20)
    ran(Spending(), store=store, run_id="spent", stop=rule)

    again = ran(Spending(), store=store, run_id="spent", stop=rule)

    assert (again.iteration, again.resumed_from, again.reason) == (2, 2, Reason.BUDGET)


def test_shots_of_attempts_that_failed_count() -> None:
    outcome = ran(
        Spending(fails=2), stop=MaxIterations(2), retry=Retry(times=2, on=("OSError",), delay=0)
    )

    assert outcome.usage == {"shots": 40}


def test_shots_count_when_their_step_has_returned() -> None:
    store = MemoryStore()
    with pytest.raises(HookFailed, match="told to fail"):
        ran(Spending(fails=9), store=store, run_id="failed")

    outcome = ran(Spending(), store=store, run_id="failed", stop=MaxIterations(1))

    assert outcome.usage == {"shots": 10}


def test_convergence_is_looked_at_before_a_budget() -> None:
    rule = Converged() | Shots(10)

    stop = rule.check(Progress([Committed(1, True)], 0.0, used={"shots": 10}))
    assert stop is not None
    assert stop.reason is Reason.CONVERGED


# what jobs cost


def service(**metrics: Any) -> Service:
    """One whose every job has cost the same."""
    ended = JobOutcome(state=JobState.COMPLETED, exit_code=0, metrics=JobMetrics(**metrics))
    return Service(endings=[ended] * 50)


HOUR: dict[str, Any] = {
    "nodes": 2,
    "started": "2031-01-01T00:00:00Z",
    "ended": "2031-01-01T00:30:00Z",
}


@pytest.mark.parametrize(
    ("metrics", "rule", "amount"),
    [
        ({"qpu_seconds": 2.0}, QpuSeconds(7), {"qpu_seconds": 6.0}),
        (HOUR, NodeHours(3.5), {"node_hours": 3.0}),
    ],
    ids=["qpu-seconds", "node-hours"],
)
def test_a_run_stops_before_its_jobs_would_cost_too_much(
    metrics: dict[str, Any], rule: StopRule, amount: dict[str, float]
) -> None:
    here = service(**metrics)

    outcome = ran(Spending(site=here.site), stop=MaxIterations(20) | rule)

    assert (outcome.iteration, outcome.reason) == (3, Reason.BUDGET)
    assert outcome.usage == {"shots": 30} | amount


def test_what_jobs_cost_is_the_sum_over_all_drivers() -> None:
    here, store = service(qpu_seconds=2.0), MemoryStore()
    for limit in (1, 2):
        ran(Spending(site=here.site), store=store, run_id="jobs", stop=MaxIterations(limit))

    resumed = ran(
        Spending(site=here.site), store=store, run_id="jobs", stop=MaxIterations(20) | QpuSeconds(7)
    )

    assert (resumed.iteration, resumed.usage["qpu_seconds"]) == (3, 6.0)


def test_jobs_of_iterations_long_past_still_count() -> None:
    here = service(qpu_seconds=1.0)

    outcome = ran(Spending(site=here.site), stop=MaxIterations(30) | QpuSeconds(12))

    assert (outcome.iteration, outcome.usage["qpu_seconds"]) == (12, 12.0)


def test_jobs_that_failed_count() -> None:
    here, store = service(qpu_seconds=2.0), MemoryStore()
    here.endings.insert(0, FAILED.model_copy(update={"metrics": JobMetrics(qpu_seconds=3.0)}))
    with pytest.raises(HookFailed, match=f"{NAME}.*ended FAILED"):
        ran(Spending(site=here.site), store=store, run_id="bad")

    outcome = ran(Spending(site=here.site), store=store, run_id="bad", stop=MaxIterations(1))

    assert outcome.usage["qpu_seconds"] == 5.0
    assert [str(job.state) for job in job_records(store, "bad")] == ["FAILED", "COMPLETED"]


def test_an_iteration_with_a_failed_job_is_as_dear_as_both_its_jobs() -> None:
    here, store = service(qpu_seconds=2.0), MemoryStore()
    here.endings.insert(0, FAILED.model_copy(update={"metrics": JobMetrics(qpu_seconds=3.0)}))
    with pytest.raises(HookFailed):
        ran(Spending(site=here.site), store=store, run_id="dear")

    outcome = ran(
        Spending(site=here.site), store=store, run_id="dear", stop=MaxIterations(9) | QpuSeconds(9)
    )

    assert outcome.iteration == 1  # 5 spent, and 5 more would be 10


def test_what_a_job_cost_counts_though_its_accounting_comes_later() -> None:
    here = Service(accounts=True, metrics=JobMetrics(qpu_seconds=4.0))

    outcome = ran(Spending(site=here.site), stop=MaxIterations(1))

    assert outcome.usage["qpu_seconds"] == 4.0


def test_a_job_whose_cost_nobody_knows_costs_nothing() -> None:
    here = service()

    outcome = ran(Spending(site=here.site), stop=MaxIterations(2) | QpuSeconds(1))

    assert (outcome.iteration, outcome.usage) == (2, {"shots": 20})


# the command line


@pytest.fixture
def line(tmp_path: Path) -> Callable[..., Any]:
    """Runs `qcsc-loop` without Prefect; gives the JSON in its last line."""

    def call(*words: str, code: int = 0) -> Any:
        environment = {**os.environ, "QCSC_LOOP_STORE": str(tmp_path / "store")}
        done = subprocess.run(
            [str(SCRIPT), *words, "--json"],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
        )
        assert done.returncode == code, done.stderr
        return json.loads(done.stdout.splitlines()[-1]) if code == 0 else done.stderr

    return call


SAMPLED = f"{Path(__file__).parents[1] / 'sampling' / 'sampling_toys.py'}:Sampling"
RANDOM = ("run", SAMPLED, "--no-prefect", "--set", "sampler.type=random", "--set", "shots=50")


def test_the_command_line_takes_budgets_and_tells_what_was_spent(
    line: Callable[..., Any], tmp_path: Path
) -> None:
    words = ("--max-shots", "120", "--max-qpu-seconds", "5", "--max-node-hours", "0.5")

    first = line(*RANDOM, "--run-id", "spent", *words)
    settings = Settings.model_validate(line("show", "spent")["settings"])
    second = line("resume", "spent", "--no-prefect", "--max-shots", "220")

    assert (first["reason"], first["iteration"], first["usage"]) == ("budget", 2, {"shots": 100})
    further = "--max-iterations 100 --max-qpu-seconds 5 --max-shots 240 --max-node-hours 0.5"
    assert first["message"].endswith(f"; to go on: qcsc-loop resume spent {further}")
    assert settings.rule() == AnyOf(
        rules=(MaxIterations(100), QpuSeconds(5), Shots(120), NodeHours(0.5))
    )
    assert (second["iteration"], second["usage"]) == (4, {"shots": 200})
    assert DirectoryStore(tmp_path / "store").names("spent")


@pytest.mark.parametrize(
    "option", ["--max-shots", "--max-qpu-seconds", "--max-node-hours", "--max-hours"]
)
@pytest.mark.parametrize("limit", ["0", "-1", "much"])
def test_the_command_line_refuses_what_is_no_budget(option: str, limit: str) -> None:
    done = subprocess.run(
        [str(SCRIPT), *RANDOM, option, limit], capture_output=True, text=True, check=False
    )

    assert done.returncode == 2
    assert f"Invalid value for '{option}'" in done.stderr

"""A driver in a process of its own, killed with SIGKILL wherever it happens to be."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import pytest

from loop.toys import executions
from ordeals.kills import Death, Mark, choose, deaths, kills
from ordeals.mortal_driver import Orders
from ordeals.ordeal import DEADLINE_SECONDS, Ordeal, assert_same_bits
from qcsc_loop.rules.reason import Reason

KILLS = kills(1 / 4)
SHORT_LIMIT = 20

MARKS = (
    Mark("after hook", 0.004, 9, from_outside=True),
    Mark("before hook", 0.004, 9),
    Mark("", 0.3, from_outside=True),  # while it starts
    Mark("after hook", 0.004, 9, from_outside=True),
)


@dataclass
class ToyOrdeal(Ordeal):
    """One of an algorithm that does nothing but count.

    Attributes:
        before: for each recorded step, how often it had been executed when its record was found.
    """

    algorithm = "loop.toys:Counting"
    longest_life = 200  # what the toy does in the time that a kill needs on a busy machine

    before: dict[tuple[str, int], int] = field(default_factory=dict[tuple[str, int], int])

    @classmethod
    def at(cls, folder: Path) -> Self:
        return cls(folder / "store", "killed-run", {"trace": str(folder / "trace")})

    @property
    def trace(self) -> Path:
        return self.store.parent / "trace"

    def orders(self, **more: Any) -> Orders:
        return super().orders(keep=None, **more)

    def after_the_kill(self, death: Death) -> None:
        counts = executions(self.trace)
        if not self.journal.exists():
            return
        names = self.journal.store.names(f"{self.run_id}/steps")
        recorded = [(name.split(".")[1], int(name.split(".")[0])) for name in names]
        committed = [("update", commit.iteration) for commit in self.journal.history()]
        for step in [*recorded, *committed]:
            self.before.setdefault(step, counts[step])


@pytest.fixture(scope="module")
def ordeal(tmp_path_factory: pytest.TempPathFactory) -> ToyOrdeal:
    ordeal = ToyOrdeal.at(tmp_path_factory.mktemp("ordeal"))
    return ordeal.goes_through(deaths(choose(MARKS, KILLS), seed=20), SHORT_LIMIT)


@pytest.mark.guarantee("G1")
def test_a_run_killed_again_and_again_ends_with_the_same_bits(
    ordeal: ToyOrdeal, tmp_path: Path
) -> None:
    assert len(ordeal.died) == KILLS
    undisturbed = ToyOrdeal.at(tmp_path)
    undisturbed.ends(ordeal.iterations - 1)
    assert_same_bits(ordeal, undisturbed.states())


@pytest.mark.guarantee("G2")
def test_no_recorded_step_of_a_killed_run_is_executed_again(ordeal: ToyOrdeal) -> None:
    after = executions(ordeal.trace)
    assert len(ordeal.before) >= KILLS
    assert {step: after[step] for step in ordeal.before} == ordeal.before


def test_a_killed_run_executes_each_step_once_and_repeats_at_most_two_per_kill(
    ordeal: ToyOrdeal,
) -> None:
    counts = executions(ordeal.trace)
    assert set(counts.values()) >= {1}
    assert sum(count - 1 for count in counts.values()) <= 2 * KILLS


def test_the_history_of_a_killed_run_has_each_iteration_once(ordeal: ToyOrdeal) -> None:
    history = ordeal.journal.history()
    assert [commit.iteration for commit in history] == list(range(ordeal.answer["iteration"] + 1))


def test_the_history_of_a_killed_run_has_the_scalars_of_each_iteration(ordeal: ToyOrdeal) -> None:
    squares = [commit.scalars["squares"] for commit in ordeal.journal.history()]
    assert squares == [sum(k * k for k in range(n + 1)) for n in range(ordeal.iterations)]


def test_killed_drivers_leave_no_end_record_and_the_last_one_does(ordeal: ToyOrdeal) -> None:
    epochs = [epoch.epoch for epoch in ordeal.journal.epochs()]
    ends = [ordeal.journal.end(epoch) for epoch in epochs]
    assert epochs == list(range(1, len(epochs) + 1))
    assert ends[:-1] == [None] * (len(ends) - 1)
    assert ends[-1] is not None
    assert ends[-1].reason is Reason.MAX_ITERATIONS


def test_the_driver_after_a_killed_one_does_not_wait_for_its_lease(tmp_path: Path) -> None:
    ordeal = ToyOrdeal.at(tmp_path)
    ordeal.lives(Death("after hook", 4))
    # the default lease of 30 s has not run out: a driver that minded it would be refused
    ordeal.ends(SHORT_LIMIT)


@pytest.mark.guarantee("G18")
def test_two_drivers_started_at_once_are_one_driver(tmp_path: Path) -> None:
    ordeal = ToyOrdeal.at(tmp_path)
    orders = ordeal.orders(limit=SHORT_LIMIT)
    with ordeal.driver(orders) as one, ordeal.driver(orders) as other:
        for process in (one, other):
            process.communicate(timeout=DEADLINE_SECONDS)
    assert 0 in (one.returncode, other.returncode)
    assert Counter(executions(ordeal.trace).values()) == {1: 1 + 4 * SHORT_LIMIT}

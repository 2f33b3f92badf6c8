"""A driver in a process of its own, killed with SIGKILL wherever it happens to be."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from loop.toys import Counting, command, environment, executions
from qcsc_loop.rules.reason import Reason
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.journal import Journal
from waiting import line_count, until

RUN = "killed-run"
LIMIT = 200  # more than the driver gets done between the kills
SHORT_LIMIT = 20
KILLS = 15


@contextmanager
def driver(store: Path, toy: Counting, limit: int = LIMIT) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        command(store, RUN, limit, toy), env=environment(), stdout=subprocess.PIPE, text=True
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def driven_to_the_end(store: Path, toy: Counting, limit: int = LIMIT) -> str:
    with driver(store, toy, limit) as process:
        printed, _ = process.communicate()
    assert process.returncode == 0
    return printed.strip()


@dataclass
class Ordeal:
    """A run whose driver was killed again and again, and what was on disk after each time.

    Attributes:
        before: for each recorded step, how often it had been executed when its record was found.
    """

    store: Path
    trace: Path
    state_sha256: str = ""
    kills: int = 0
    before: dict[tuple[str, int], int] = field(default_factory=dict[tuple[str, int], int])

    @property
    def journal(self) -> Journal:
        return Journal(DirectoryStore(self.store), RUN)

    def note_records(self) -> None:
        counts = executions(self.trace)
        names = self.journal.store.names(f"{RUN}/steps")
        recorded = [(name.split(".")[1], int(name.split(".")[0])) for name in names]
        committed = [("update", commit.iteration) for commit in self.journal.history()]
        for step in [*recorded, *committed]:
            self.before.setdefault(step, counts[step])


def reach(trace: Path, lines: int, process: subprocess.Popen[str]) -> None:
    until(
        lambda: line_count(trace) >= lines or process.poll() is not None, "the hooks are executed"
    )


@pytest.fixture(scope="module")
def ordeal(tmp_path_factory: pytest.TempPathFactory) -> Ordeal:
    folder = tmp_path_factory.mktemp("ordeal")
    ordeal = Ordeal(folder / "store", folder / "trace")
    toy = Counting(trace=str(ordeal.trace))
    chance = random.Random(20)
    for attempt in range(KILLS):
        with driver(ordeal.store, toy) as process:
            if attempt % 5 == 4:  # while it starts
                time.sleep(chance.uniform(0, 0.3))
            else:  # while it executes
                reach(ordeal.trace, line_count(ordeal.trace) + chance.randint(1, 9), process)
                time.sleep(chance.uniform(0, 0.004))
            # the sleeps wait for nothing: they make it die anywhere
            process.kill()
            ordeal.kills += process.wait() == -signal.SIGKILL
        ordeal.note_records()
    ordeal.state_sha256 = driven_to_the_end(ordeal.store, toy)
    return ordeal


def test_a_run_killed_again_and_again_ends_with_the_same_bits(
    ordeal: Ordeal, tmp_path: Path
) -> None:
    assert ordeal.kills == KILLS
    assert ordeal.state_sha256 == driven_to_the_end(tmp_path / "store", Counting())


def test_no_recorded_step_of_a_killed_run_is_executed_again(ordeal: Ordeal) -> None:
    after = executions(ordeal.trace)
    assert len(ordeal.before) > KILLS
    assert {step: after[step] for step in ordeal.before} == ordeal.before


def test_a_killed_run_executes_each_step_once_and_repeats_at_most_two_per_kill(
    ordeal: Ordeal,
) -> None:
    counts = executions(ordeal.trace)
    assert set(counts.values()) >= {1}
    assert sum(count - 1 for count in counts.values()) <= 2 * KILLS


def test_the_history_of_a_killed_run_has_each_iteration_once(ordeal: Ordeal) -> None:
    history = ordeal.journal.history()
    assert [commit.iteration for commit in history] == list(range(LIMIT + 1))


def test_the_history_of_a_killed_run_has_the_scalars_of_each_iteration(ordeal: Ordeal) -> None:
    squares = [commit.scalars["squares"] for commit in ordeal.journal.history()]
    assert squares == [sum(k * k for k in range(n + 1)) for n in range(LIMIT + 1)]


def test_killed_drivers_leave_no_end_record_and_the_last_one_does(ordeal: Ordeal) -> None:
    epochs = [epoch.epoch for epoch in ordeal.journal.epochs()]
    ends = [ordeal.journal.end(epoch) for epoch in epochs]
    assert epochs == list(range(1, len(epochs) + 1))
    assert ends[:-1] == [None] * (len(ends) - 1)
    assert ends[-1] is not None
    assert ends[-1].reason is Reason.MAX_ITERATIONS


def test_the_driver_after_a_killed_one_does_not_wait_for_its_lease(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    toy = Counting(trace=str(trace))
    with driver(tmp_path / "store", toy, SHORT_LIMIT) as process:
        until(lambda: line_count(trace) > 3, "the first driver is at work")
        process.kill()
        process.wait()
    # the default lease of 30 s has not run out: a driver that minded it would be refused
    assert driven_to_the_end(tmp_path / "store", toy, SHORT_LIMIT)


def test_two_drivers_started_at_once_are_one_driver(tmp_path: Path) -> None:
    toy = Counting(trace=str(tmp_path / "trace"))
    store = tmp_path / "store"
    with driver(store, toy, SHORT_LIMIT) as one, driver(store, toy, SHORT_LIMIT) as other:
        for process in (one, other):
            process.communicate()
    assert 0 in (one.returncode, other.returncode)
    assert Counter(executions(tmp_path / "trace").values()) == {1: 1 + 4 * SHORT_LIMIT}

"""Killed at any instant, a run resumes with the same bits and executes no recorded step again."""

from __future__ import annotations

import random
import re
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from ordeals.kills import kills
from system.command_line import (
    WANDER,
    Background,
    CommandLine,
    Executions,
    command_line,
    setting,
    until_gone,
)
from system.server import PrefectServer
from waiting import alive, line_count, until

PAUSE = 0.05  # what a hook of the toy takes
RANKS = "qcsc_hpc.mpi.bitcount"


@dataclass(frozen=True)
class Way:
    """How a run is driven and killed.

    Attributes:
        limit: more iterations than the driver gets done between the kills.
        server: what the driver talks to; a real one is killed and started again with it.
    """

    kills: int
    limit: int
    server: str

    @property
    def options(self) -> tuple[str, ...]:
        return ("--no-prefect",) if self.server == "none" else ()


WAYS = [
    Way(kills(1 / 5), 3 * kills(1 / 5) + 4, "none"),
    Way(kills(1 / 20), 3 * kills(1 / 20) + 1, "temporary"),
    Way(kills(1 / 20), 3 * kills(1 / 20) + 1, "restarted"),
]


@dataclass
class Ordeal:
    """A run whose driver was killed again and again, and then resumed to its end."""

    way: Way
    run_id: str
    executions: Executions
    answer: dict[str, Any] = field(default_factory=dict[str, Any])
    kills: int = 0
    orphans: list[psutil.Process] = field(default_factory=list[psutil.Process])


def killed_while_it_works(
    driver: Background, trace: Path, lines: int, chance: random.Random
) -> list[psutil.Process]:
    """Kills a driver anywhere after it has executed so many more hooks."""
    goal = line_count(trace) + lines
    until(lambda: line_count(trace) >= goal or driver.process.poll() is not None, "hooks run")
    time.sleep(chance.uniform(0, PAUSE))  # waits for nothing: it makes it die anywhere
    return driver.kill()


def go_through(line: CommandLine, ordeal: Ordeal, server: PrefectServer | None) -> None:
    way, trace, chance = ordeal.way, ordeal.executions.trace, random.Random(ordeal.way.kills)
    toy = setting(trace=str(trace), pause=PAUSE)
    run = ("run", WANDER, *toy, "--run-id", ordeal.run_id, "--max-iterations", str(way.limit))
    for number in range(way.kills):
        words = ("resume", ordeal.run_id) if number else run
        driver = line.start(*words, *way.options)
        ordeal.orphans += killed_while_it_works(driver, trace, chance.randint(1, 9), chance)
        ordeal.kills += driver.process.returncode == -signal.SIGKILL
        ordeal.executions.note_records(line.journal(ordeal.run_id))
        if server is not None:
            server.kill()
            server.start()
    ordeal.answer = line("resume", ordeal.run_id, *way.options, "--json").well().answer


class TestKilledAgainAndAgain:
    @pytest.fixture(scope="module", params=WAYS, ids=lambda way: f"{way.server} server")
    @classmethod
    def ordeal(
        cls,
        request: pytest.FixtureRequest,
        tmp_path_factory: pytest.TempPathFactory,
        prefect_home: Path,
        fragile_server: PrefectServer,
    ) -> Ordeal:
        way: Way = request.param
        folder = tmp_path_factory.mktemp("killed")
        ordeal = Ordeal(way, f"killed-{way.server}", Executions(folder / "trace"))
        server = fragile_server if way.server == "restarted" else None
        if server is not None:
            server.start()
        with command_line(folder, prefect_home, **(server.settings if server else {})) as line:
            go_through(line, ordeal, server)
        return ordeal

    def test_it_ends_where_a_run_that_was_never_killed_ends(
        self, ordeal: Ordeal, qcsc_loop: CommandLine
    ) -> None:
        limit = ("--max-iterations", str(ordeal.way.limit), "--json")
        whole = qcsc_loop("run", WANDER, "--no-prefect", *limit).well().answer
        assert ordeal.kills == ordeal.way.kills
        assert ordeal.answer["state_sha256"] == whole["state_sha256"]
        assert ordeal.answer["iteration"] == ordeal.way.limit

    def test_no_recorded_step_is_executed_again(self, ordeal: Ordeal) -> None:
        assert len(ordeal.executions.final) > ordeal.way.kills
        assert ordeal.executions.repeated() == {}

    def test_every_step_is_executed_and_at_most_two_are_repeated_per_kill(
        self, ordeal: Ordeal
    ) -> None:
        counts = ordeal.executions.counts()
        hooks = ("sample", "evaluate", "update", "converged")
        expected = {(hook, k) for hook in hooks for k in range(1, ordeal.way.limit + 1)}
        assert set(counts) == expected | {("initialize", 0)}
        assert counts.total() - len(counts) <= 2 * ordeal.kills

    def test_no_process_outlives_its_driver(self, ordeal: Ordeal) -> None:
        servers = ordeal.kills if ordeal.way.server == "temporary" else 0
        assert len(ordeal.orphans) >= servers
        until_gone(ordeal.orphans)

    def test_every_iteration_is_published_in_order(
        self, ordeal: Ordeal, fragile_server: PrefectServer
    ) -> None:
        if ordeal.way.server == "restarted":
            assert fragile_server.iterations(ordeal.run_id) == list(range(ordeal.way.limit + 1))


@pytest.mark.parametrize("moment", [0.05, 0.3, 0.6])
def test_a_driver_killed_while_it_starts_is_started_again(
    qcsc_loop: CommandLine, run_id: str, moment: float
) -> None:
    words = ("run", WANDER, "--no-prefect", "--run-id", run_id, "--max-iterations", "2", "--json")
    driver = qcsc_loop.start(*words)
    time.sleep(moment)  # waits for nothing: it makes it die anywhere
    driver.kill()
    assert qcsc_loop(*words).well().answer["iteration"] == 2


class TestBitCount:
    WORDS = (
        "run",
        "bitcount",
        "--no-prefect",
        "--max-iterations",
        "3",
        "--json",
        *setting(num_qubits=4, shots=3000, tolerance=0),
    )

    @pytest.fixture(scope="class")
    @classmethod
    def whole(cls, tmp_path_factory: pytest.TempPathFactory, prefect_home: Path) -> str:
        """The state of the run that was never killed."""
        with command_line(tmp_path_factory.mktemp("whole"), prefect_home) as line:
            return str(line(*cls.WORDS).well().answer["state_sha256"])

    @staticmethod
    def at_work(driver: Background) -> list[psutil.Process]:
        """Its ranks, as soon as there are any."""
        found: list[psutil.Process] = []

        def there() -> bool:
            found[:] = driver.child(RANKS)
            return len(found) >= 2 or driver.process.poll() is not None

        until(there, "the ranks are at work")
        assert found, driver.result()
        return found

    def test_a_driver_killed_while_its_ranks_work_leaves_none(
        self, qcsc_loop: CommandLine, run_id: str, whole: str
    ) -> None:
        driver = qcsc_loop.start(*self.WORDS, "--run-id", run_id)
        self.at_work(driver)
        until_gone(driver.kill())
        resumed = qcsc_loop("resume", run_id, "--no-prefect", "--json").well().answer
        assert (resumed["state_sha256"], resumed["iteration"]) == (whole, 3)

    def test_ranks_that_stand_still_do_not_outlive_their_driver(
        self, qcsc_loop: CommandLine, run_id: str
    ) -> None:
        driver = qcsc_loop.start(*self.WORDS, "--run-id", run_id)
        for rank in self.at_work(driver):
            if alive(rank.pid):
                rank.suspend()
        until_gone(driver.kill())

    def test_a_killed_rank_fails_the_step_and_a_resume_does_not_sample_again(
        self, qcsc_loop: CommandLine, run_id: str, whole: str
    ) -> None:
        driver = qcsc_loop.start(*self.WORDS, "--run-id", run_id)
        ranks = self.at_work(driver)
        ranks[-1].suspend()  # so that it cannot be done before it is killed
        ranks[-1].kill()
        assert re.search(r"bitcount \(this machine job \d+\) ended FAILED", driver.result().refusal)
        until_gone(ranks)
        steps = qcsc_loop.journal(run_id).store.names(f"{run_id}/steps")
        assert steps == ["00000001.sample.e0001"]
        before = (qcsc_loop.store / run_id / "steps" / f"{steps[0]}.json").stat()
        resumed = qcsc_loop("resume", run_id, "--no-prefect", "--json").well().answer
        assert resumed["state_sha256"] == whole
        after = (qcsc_loop.store / run_id / "steps" / f"{steps[0]}.json").stat()
        assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)

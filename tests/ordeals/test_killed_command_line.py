"""Killed at any instant, a run resumes with the same bits and executes no recorded step again."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import psutil
import pytest

from ordeals.kills import Death, Mark, choose, deaths, kills
from ordeals.mortal_driver import Orders
from ordeals.ordeal import Driver, Ordeal
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
HOOK = Mark("hook", PAUSE, 9, from_outside=True)  # anywhere after it has executed so many more
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
class CommandLineOrdeal(Ordeal):
    """A run whose drivers are the console script, as a person starts it.

    Attributes:
        server: killed and started again with each driver; None: it is nobody's, or the driver's own.
        orphans: what killed drivers left.
    """

    algorithm = WANDER

    line: CommandLine = field(kw_only=True)
    way: Way = field(kw_only=True)
    server: PrefectServer | None = field(kw_only=True)
    executions: Executions = field(kw_only=True)
    orphans: list[psutil.Process] = field(default_factory=list[psutil.Process])

    @classmethod
    def at(cls, line: CommandLine, way: Way, server: PrefectServer | None) -> Self:
        trace = line.folder / "trace"
        return cls(
            line.store,
            f"killed-{way.server}",
            {"trace": str(trace), "pause": PAUSE},
            line=line,
            way=way,
            server=server,
            executions=Executions(trace),
        )

    @contextmanager
    def driver(self, orders: Orders) -> Iterator[Driver]:
        limit = ("--run-id", self.run_id, "--max-iterations", str(self.way.limit))
        run = ("run", self.algorithm, *setting(**self.parameters), *limit)
        words = ("resume", self.run_id) if self.died else run
        driver = self.line.start(*words, *self.way.options)
        try:
            yield driver.process
        finally:
            driver.end()

    def comes_to(self, death: Death, process: Driver) -> None:
        trace = self.executions.trace
        goal = line_count(trace) + death.count
        until(lambda: line_count(trace) >= goal or process.poll() is not None, "hooks run")

    def before_the_kill(self, process: Driver) -> None:
        with suppress(psutil.NoSuchProcess):
            self.orphans += psutil.Process(process.pid).children(recursive=True)

    def after_the_kill(self, death: Death) -> None:
        self.executions.note_records(self.journal)
        if self.server is not None:
            self.server.kill()
            self.server.start()

    def ends(self, limit: int) -> None:
        resume = ("resume", self.run_id, *self.way.options, "--json")
        self.answer = self.line(*resume).well().answer


@pytest.mark.guarantee("G1")
class TestKilledAgainAndAgain:
    @pytest.fixture(scope="module", params=WAYS, ids=lambda way: f"{way.server} server")
    @classmethod
    def ordeal(
        cls,
        request: pytest.FixtureRequest,
        tmp_path_factory: pytest.TempPathFactory,
        prefect_home: Path,
        fragile_server: PrefectServer,
    ) -> CommandLineOrdeal:
        way: Way = request.param
        folder = tmp_path_factory.mktemp("killed")
        server = fragile_server if way.server == "restarted" else None
        if server is not None:
            server.start()
        with command_line(folder, prefect_home, **(server.settings if server else {})) as line:
            ordeal = CommandLineOrdeal.at(line, way, server)
            return ordeal.goes_through(deaths(choose([HOOK], way.kills), seed=way.kills))

    def test_it_ends_where_a_run_that_was_never_killed_ends(
        self, ordeal: CommandLineOrdeal, qcsc_loop: CommandLine
    ) -> None:
        limit = ("--max-iterations", str(ordeal.way.limit), "--json")
        whole = qcsc_loop("run", WANDER, "--no-prefect", *limit).well().answer
        assert len(ordeal.died) == ordeal.way.kills
        assert ordeal.answer["state_sha256"] == whole["state_sha256"]
        assert ordeal.answer["iteration"] == ordeal.way.limit

    def test_no_recorded_step_is_executed_again(self, ordeal: CommandLineOrdeal) -> None:
        assert len(ordeal.executions.final) > ordeal.way.kills
        assert ordeal.executions.repeated() == {}

    def test_every_step_is_executed_and_at_most_two_are_repeated_per_kill(
        self, ordeal: CommandLineOrdeal
    ) -> None:
        counts = ordeal.executions.counts()
        hooks = ("sample", "evaluate", "update", "converged")
        expected = {(hook, k) for hook in hooks for k in range(1, ordeal.way.limit + 1)}
        assert set(counts) == expected | {("initialize", 0)}
        assert counts.total() - len(counts) <= 2 * len(ordeal.died)

    def test_no_process_outlives_its_driver(self, ordeal: CommandLineOrdeal) -> None:
        servers = len(ordeal.died) if ordeal.way.server == "temporary" else 0
        assert len(ordeal.orphans) >= servers
        until_gone(ordeal.orphans)

    def test_every_iteration_is_published_in_order(
        self, ordeal: CommandLineOrdeal, fragile_server: PrefectServer
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

    @pytest.mark.guarantee("G17")
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

"""Chains of flow runs whose drivers and workers are killed, on a live server, with real jobs.

The server is on PostgreSQL. On SQLite one of five such ordeals ended with a server that did not
answer any more, for clients that were killed in the middle of a request.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from cluster.slurm import SlurmCluster
from ordeals.kills import Death, Mark, kills
from ordeals.ordeal import Ordeal
from ordeals.test_killed_jobs import slurm_accounted
from qcsc_loop.jobs.ledger import job_records
from system.command_line import Background
from system.deployments import SLURM, SOON, START_SECONDS, Site, site_with_pool
from system.server import server_on_postgresql
from waiting import line_count, until

pytestmark = pytest.mark.server

CHAIN = "system.toy_flows:chain"
DRIVER = "prefect.engine"  # in the command line of a flow run's process
KILLS = kills(1 / 3, by_day=1 / 5)
LINKS = min(4, KILLS)
DRIVERS_TO_A_WORKER = 5  # so many of the one are killed for each of the other
MARKS = (
    Mark("", 2.0, from_outside=True),
    Mark("a job begins", 2.0, from_outside=True),
)
DRIVEN = {"drive": "chain", "max_iterations": LINKS, "resume": SOON}
AT_ONCE = min(3, 1 + KILLS // 20)  # runs: a flow run takes seconds of a core to start


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory, prefect_home: Path, slurm: SlurmCluster
) -> Iterator[Site]:
    home, folder = (tmp_path_factory.mktemp(name) for name in ("on-postgresql", "chain"))
    with (
        server_on_postgresql(home) as server,
        site_with_pool(server, folder, prefect_home, **slurm.environment) as site,
    ):
        yield site


@dataclass
class ChainsOrdeal(Ordeal):
    """Chains of flow runs, whose drivers die wherever they are, and the worker that starts them.

    Attributes:
        login: where they run.
        worker: the one that lives.
        deployment: of the chain.
        runs: that were started so far; more of them once these are over.
    """

    algorithm = CHAIN

    login: Site = field(kw_only=True)
    worker: Background = field(kw_only=True)
    trace: Path = field(kw_only=True)
    deployment: str = field(init=False)
    runs: list[str] = field(default_factory=list[str])
    killed: Counter[str] = field(default_factory=Counter[str])
    chance: random.Random = field(default_factory=lambda: random.Random(KILLS))

    def __post_init__(self) -> None:
        self.deployment = self.login.deploy(
            name=self.run_id,
            flow=CHAIN,
            algorithm={"machine": SLURM, "trace": str(self.trace)},
            run=DRIVEN,
        )

    def deaths(self) -> Iterator[Death]:
        """Until there were enough; half of them at work, else most would die while they import."""
        while self.killed["driver"] < KILLS:
            yield self.chance.choice(MARKS).death(self.chance)

    def lives(self, death: Death) -> None:
        """All drivers that there are, and their worker, until some of them are killed."""
        if self.over():
            self.start()
        if death.mark:
            self.until_a_job_begins()
        time.sleep(death.delay or 0.0)  # waits for nothing: it makes them die anywhere
        if self.killed["worker"] * DRIVERS_TO_A_WORKER <= self.killed["driver"]:
            self.worker.kill()
            self.worker = self.login.worker()
            self.killed["worker"] += 1
        for driver in drivers_alive(self.login):
            if self.chance.random() < 5 / 6:
                with suppress(psutil.NoSuchProcess):  # it has just come to its end
                    driver.kill()
                    self.killed["driver"] += 1
        self.died.append(death)

    def start(self) -> None:
        """As many more as run at once, each of a seed of its own."""
        for seed in range(len(self.runs), len(self.runs) + AT_ONCE):
            self.runs.append(f"{self.run_id}-{seed}")
            settings = {**DRIVEN, "run_id": self.runs[-1], "seed": seed}
            self.login.start(self.deployment, run=settings)

    def until_a_job_begins(self) -> None:
        lines = line_count(self.trace)
        begun = lambda: line_count(self.trace) > lines or self.over()  # noqa: E731
        until(begun, "a job begins", START_SECONDS)

    def over(self) -> bool:
        """Whether all of them are at their end."""
        return all(self.login.status(run_id) == "max_iterations" for run_id in self.runs)

    def ends(self, limit: int) -> None:
        """The supervisor and the worker bring all of them to their end."""
        for run_id in self.runs:
            self.login.until_status(run_id, "max_iterations", seconds=300)


@pytest.mark.guarantee("G29")
class TestKilledAgainAndAgain:
    @pytest.fixture(scope="class")
    @classmethod
    def ordeal(
        cls,
        site: Site,
        worker: Background,
        supervisor: Background,
        tmp_path_factory: pytest.TempPathFactory,
    ) -> ChainsOrdeal:
        trace = tmp_path_factory.mktemp("killed") / "trace"
        ordeal = ChainsOrdeal(site.line.store, "harried", login=site, worker=worker, trace=trace)
        ordeal.goes_through(ordeal.deaths())
        assert supervisor.process.poll() is None
        return ordeal

    def test_as_many_were_killed_as_were_to(self, ordeal: ChainsOrdeal) -> None:
        assert ordeal.killed["driver"] >= KILLS
        assert ordeal.killed["worker"] >= KILLS // DRIVERS_TO_A_WORKER

    def test_every_run_ends_where_one_that_was_never_killed_ends(
        self, site: Site, ordeal: ChainsOrdeal
    ) -> None:
        for run_id in ordeal.runs:
            same = site.whole("system.job_toys:Chain", LINKS, "--seed", run_id[8:])
            assert site.sha256(run_id) == same

    def test_no_job_was_submitted_or_executed_twice(
        self, site: Site, ordeal: ChainsOrdeal, slurm: SlurmCluster
    ) -> None:
        executed = Counter(ordeal.trace.read_text().splitlines())
        for run_id in ordeal.runs:
            jobs = job_records(site.journal(run_id).store, run_id)
            iterations = [(job.key.iteration, job.key.attempt, job.state) for job in jobs]
            assert iterations == [(k, 0, "COMPLETED") for k in range(1, LINKS + 1)]
            assert [executed.pop(str(job.key)) for job in jobs] == [1] * LINKS
            accepted = sorted(name for _, name in slurm_accounted(slurm, run_id))
            assert accepted == sorted(job.key.job_name for job in jobs)
        assert not executed


def drivers_alive(site: Site) -> list[psutil.Process]:
    """Processes of flow runs, also of workers that were killed."""
    found: list[psutil.Process] = []
    for process in psutil.process_iter(["cmdline", "environ"]):
        words, there = process.info["cmdline"] or [], process.info["environ"] or {}
        if DRIVER in words and there.get("QCSC_LOOP_STORE") == str(site.line.store):
            found.append(process)
    return found

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
from typing import Any

import psutil
import pytest

from cluster.slurm import SlurmCluster
from ordeals.kills import kills
from ordeals.test_killed_jobs import slurm_accounted
from qcsc_loop.jobs.ledger import job_records
from system.command_line import Background
from system.deployments import SLURM, SOON, START_SECONDS, Site, site_with_pool
from system.server import server_on_postgresql
from waiting import line_count, until

pytestmark = pytest.mark.server

CHAIN = "system.toy_flows:chain"
DRIVER = "prefect.engine"  # in the command line of a flow run's process
KILLS, LINKS = kills(1 / 3), 4
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
class Ordeal:
    """Chains whose drivers and workers were killed again and again."""

    trace: Path
    runs: list[str] = field(default_factory=list[str])
    killed: Counter[str] = field(default_factory=Counter[str])

    def until_a_job_begins(self, site: Site) -> None:
        lines = line_count(self.trace)
        begun = lambda: line_count(self.trace) > lines or self.over(site)  # noqa: E731
        until(begun, "a job begins", START_SECONDS)

    def over(self, site: Site) -> bool:
        """Whether all of them are at their end."""
        return all(site.status(run_id) == "max_iterations" for run_id in self.runs)


class TestKilledAgainAndAgain:
    @pytest.fixture(scope="class")
    @classmethod
    def ordeal(
        cls, site: Site, worker: Background, supervisor: Background, tmp_path_factory: Any
    ) -> Ordeal:
        chance = random.Random(KILLS)
        ordeal = Ordeal(tmp_path_factory.mktemp("killed") / "trace")
        algorithm = {"machine": SLURM, "trace": str(ordeal.trace)}
        name = site.deploy(
            name="harried",
            flow=CHAIN,
            algorithm=algorithm,
            run={"drive": "chain", "max_iterations": LINKS, "resume": SOON},
        )
        while sum(ordeal.killed.values()) < KILLS:
            if ordeal.over(site):
                ordeal.runs += [f"harried-{len(ordeal.runs) + n}" for n in range(AT_ONCE)]
                for run_id in ordeal.runs[-AT_ONCE:]:
                    settings = {
                        "drive": "chain",
                        "max_iterations": LINKS,
                        "resume": SOON,
                        "run_id": run_id,
                        "seed": int(run_id[8:]),
                    }
                    site.start(name, run=settings)
            if chance.random() < 1 / 2:  # else most would die while they import
                ordeal.until_a_job_begins(site)
            time.sleep(chance.uniform(0, 2))  # waits for nothing: it makes them die anywhere
            if chance.random() < 1 / 6 or not ordeal.killed["worker"]:
                worker.kill()
                worker = site.worker()
                ordeal.killed["worker"] += 1
            for driver in drivers_alive(site):
                if chance.random() < 5 / 6:
                    with suppress(psutil.NoSuchProcess):  # it has just come to its end
                        driver.kill()
                        ordeal.killed["driver"] += 1
        for run_id in ordeal.runs:
            site.until_status(run_id, "max_iterations", seconds=300)
        assert supervisor.process.poll() is None
        return ordeal

    def test_as_many_were_killed_as_were_to(self, ordeal: Ordeal) -> None:
        assert sum(ordeal.killed.values()) >= KILLS
        assert ordeal.killed["driver"] > KILLS / 2 and ordeal.killed["worker"] > KILLS // 50

    def test_every_run_ends_where_one_that_was_never_killed_ends(
        self, site: Site, ordeal: Ordeal
    ) -> None:
        for run_id in ordeal.runs:
            same = site.whole("system.job_toys:Chain", LINKS, "--seed", run_id[8:])
            assert site.sha256(run_id) == same

    def test_no_job_was_submitted_or_executed_twice(
        self, site: Site, ordeal: Ordeal, slurm: SlurmCluster
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

"""Chains of flow runs, and the supervisor that brings back what was killed, on a live server."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from cluster.slurm import SlurmCluster
from qcsc_loop.jobs.ledger import job_records
from system.command_line import Background
from system.deployments import SLURM, SOON, START_SECONDS, Site, site_with_pool
from system.server import PrefectServer
from waiting import until

pytestmark = pytest.mark.server

WANDER, RAISES, CHAIN, DIES = (
    f"system.toy_flows:{name}" for name in ("wander", "raises", "chain", "dies")
)


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory,
    prefect_home: Path,
    fragile_server: PrefectServer,
    slurm: SlurmCluster,
) -> Iterator[Site]:
    fragile_server.start()
    folder = tmp_path_factory.mktemp("chain")
    with site_with_pool(fragile_server, folder, prefect_home, **slurm.environment) as site:
        yield site


def drivers(site: Site, run_id: str) -> list[str]:
    """How each driver of a run ended; empty for one that was killed."""
    journal = site.journal(run_id)
    ends = (journal.end(epoch.epoch) for epoch in journal.epochs())
    return [str(end.reason) if end else "" for end in ends]


def supervised(site: Site) -> list[dict[str, Any]]:
    """What a supervisor does in one look."""
    return site.line("supervise", "--once", "--json").well().answers


@pytest.mark.usefixtures("worker")
class TestChained:
    @pytest.mark.parametrize(
        ("iterations", "drivers_of"), [(3, 2), pytest.param(1, 4, marks=pytest.mark.thorough)]
    )
    def test_it_is_the_run_of_one_driver_in_several_flow_runs(
        self, site: Site, iterations: int, drivers_of: int, tmp_path: Path
    ) -> None:
        run = {
            "run_id": f"by-{iterations}",
            "drive": "chain",
            "iterations": iterations,
            "max_iterations": 4,
            "seed": 3,
        }
        trace = tmp_path / "trace"
        name = site.deploy(
            name=f"by-{iterations}", flow=WANDER, run=run, algorithm={"trace": str(trace)}
        )
        site.start(name)
        site.until_status(f"by-{iterations}", "max_iterations")
        handed_over = ["handed_over"] * (drivers_of - 1)
        assert drivers(site, f"by-{iterations}") == [*handed_over, "max_iterations"]
        assert site.sha256(f"by-{iterations}") == site.whole("system.toys:Wander", 4, "--seed", "3")
        processes = {epoch.holder.pid for epoch in site.journal(f"by-{iterations}").epochs()}
        assert len(processes) == drivers_of
        assert set(Counter(trace.read_text().splitlines()).values()) == {1}

    @pytest.mark.thorough
    def test_one_warm_job_serves_all_its_flow_runs_and_ends_with_the_last(self, site: Site) -> None:
        machine = {**SLURM, "placement": "warm", "execution_profile": {"walltime": "00:10:00"}}
        name = site.deploy(
            name="warm",
            flow=CHAIN,
            algorithm={"machine": machine},
            run={"run_id": "warm", "drive": "chain", "max_iterations": 3},
        )
        site.start(name)
        site.until_status("warm", "max_iterations")
        assert drivers(site, "warm") == ["handed_over", "handed_over", "max_iterations"]
        jobs = job_records(site.journal("warm").store, "warm")
        (host,) = (job for job in jobs if job.key.step == "warm")
        until(
            lambda: all(job.over for job in job_records(site.journal("warm").store, "warm")),
            f"warm job {host.job_id} has ended with the run",
        )
        assert len(jobs) == 1 + 3
        assert site.sha256("warm") == site.whole("system.job_toys:Chain", 3)

    def test_a_flow_run_without_a_deployment_cannot_begin_one(self, site: Site) -> None:
        code = (
            "import asyncio; from system.toy_flows import wander; "
            "from qcsc_loop.deployments.run_settings import RunSettings; "
            "asyncio.run(wander(run=RunSettings(drive='chain')))"
        )
        result = site.line.start("-c", code, program=Path(sys.executable)).result()
        assert "a chain starts flow runs of a deployment" in result.err

    def test_of_two_that_race_for_an_iteration_one_wins(self, site: Site, tmp_path: Path) -> None:
        trace, gate = tmp_path / "trace", tmp_path
        run = {"run_id": "raced", "drive": "chain", "max_iterations": 2}
        algorithm = {"trace": str(trace), "gate": str(gate), "gates": [2]}
        name = site.deploy(name="raced", flow=WANDER, run=run, algorithm=algorithm)
        site.start(name)
        until(lambda: (gate / "2.reached").exists(), "iteration 2 is under way", START_SECONDS)
        again = site.start(name, run={**run, "after": 1})
        site.until_flow_run(again, "COMPLETED")
        assert "another driver has the run" in site.flow_run(again)["state"]["message"]
        (gate / "2.open").touch()
        site.until_status("raced", "max_iterations")
        late = site.start(name, run={**run, "after": 1})  # the iteration is long done
        site.until_flow_run(late, "COMPLETED")
        assert set(Counter(trace.read_text().splitlines()).values()) == {1}

    @pytest.mark.thorough
    def test_the_server_is_restarted_in_the_middle(
        self, site: Site, supervisor: Background, tmp_path: Path
    ) -> None:
        gate = tmp_path
        run = {"run_id": "outlived", "drive": "chain", "max_iterations": 4, "resume": SOON}
        algorithm = {"gate": str(gate), "gates": [2]}
        name = site.deploy(name="outlived", flow=WANDER, run=run, algorithm=algorithm)
        site.start(name)
        until(lambda: (gate / "2.reached").exists(), "iteration 2 is under way", START_SECONDS)
        site.server.kill()
        (gate / "2.open").touch()
        until(lambda: site.status("outlived") == "handed_over", "it is committed all the same")
        site.server.start()
        site.until_status("outlived", "max_iterations")
        assert site.sha256("outlived") == site.whole("system.toys:Wander", 4)
        assert supervisor.process.poll() is None


@pytest.mark.usefixtures("worker")
class TestSupervised:
    def test_a_killed_run_is_resumed_and_a_living_one_left_alone(
        self, site: Site, tmp_path: Path
    ) -> None:
        gate, trace = tmp_path, tmp_path / "trace"
        algorithm = {"gate": str(gate), "gates": [2], "trace": str(trace)}
        # long enough for a flow run to start where much else does, or it is started once more
        resume = {**SOON, "start_within": 120.0}
        name = site.deploy(
            name="killed",
            flow=WANDER,
            algorithm=algorithm,
            run={"run_id": "killed", "max_iterations": 3, "resume": resume},
        )
        first = site.start(name)
        until(lambda: (gate / "2.reached").exists(), "iteration 2 is under way", START_SECONDS)
        assert "killed" not in {action["run_id"] for action in supervised(site)}
        psutil.Process(site.journal("killed").epochs()[-1].holder.pid).kill()
        (gate / "2.open").touch()
        until(lambda: site.resumed("killed", 2), "a supervisor brought it back", START_SECONDS)
        site.until_status("killed", "max_iterations")
        assert drivers(site, "killed") == ["", "max_iterations"]
        assert site.sha256("killed") == site.whole("system.toys:Wander", 3)
        site.until_flow_run(first, "CRASHED")

    @pytest.mark.thorough
    def test_it_gives_up_after_as_many_attempts_as_are_allowed(
        self, site: Site, supervisor: Background
    ) -> None:
        resume = {"times": 2, "delay": 0.0, "start_within": 60.0}
        name = site.deploy(
            name="doomed",
            flow=DIES,
            algorithm={"at": 2},
            run={"run_id": "doomed", "max_iterations": 3, "resume": resume},
        )
        site.start(name)
        until(lambda: "gave up  doomed" in supervisor.said, "it gives up", START_SECONDS)
        assert drivers(site, "doomed") == ["", "", ""]
        assert len(site.flow_runs(name)) == 3

    def test_a_cancelled_run_is_left_and_its_jobs_are_ended(
        self, site: Site, supervisor: Background, tmp_path: Path
    ) -> None:
        algorithm = {"machine": SLURM, "gate": str(tmp_path / "never")}
        name = site.deploy(
            name="cancelled",
            flow=CHAIN,
            algorithm=algorithm,
            run={"run_id": "cancelled", "resume": SOON},
        )
        flow_run = site.start(name)
        store = site.journal("cancelled").store
        until(
            lambda: any(job.job_id for job in job_records(store, "cancelled")),
            "its job is in the queue",
            START_SECONDS,
        )
        site.cancel(flow_run)
        until(lambda: "ended    cancelled" in supervisor.said, "its jobs are ended", START_SECONDS)
        assert all(job.over for job in job_records(store, "cancelled"))
        assert drivers(site, "cancelled")[0] == "interrupted"
        assert len(site.flow_runs(name)) == 1

    def test_who_cancels_it_by_its_id_ends_its_flow_run_and_nobody_brings_it_back(
        self, site: Site, tmp_path: Path
    ) -> None:
        name = site.deploy(
            name="unwanted",
            flow=WANDER,
            algorithm={"gate": str(tmp_path), "gates": [1]},
            run={"run_id": "unwanted", "resume": SOON},
        )
        flow_run = site.start(name)
        reached = tmp_path / "1.reached"
        until(reached.exists, "a worker drives it", START_SECONDS)
        (row,) = site.line("cancel", "unwanted", "--json").well().answer["runs"]
        assert (row["driver"], row["iteration"], row["stands"]) == ("ended", 0, "cancelled")
        site.until_flow_run(flow_run, "CANCELLED")
        assert "run 'unwanted' was cancelled by " in site.flow_run(flow_run)["state"]["message"]
        assert [done for done in supervised(site) if done["run_id"] == "unwanted"] == []
        assert drivers(site, "unwanted") == ["cancelled"]
        assert len(site.flow_runs(name)) == 1


@pytest.mark.usefixtures("worker")
class TestPaused:
    def test_a_failed_run_waits_for_a_person_and_goes_on_with_what_they_change(
        self, site: Site, tmp_path: Path
    ) -> None:
        trace = tmp_path / "trace"
        Path(f"{trace}.bad").touch()
        run = {"run_id": "paused", "max_iterations": 3, "pause": True}
        name = site.deploy(name="paused", flow=RAISES, run=run, algorithm={"trace": str(trace)})
        flow_run = site.start(name)
        site.until_flow_run(flow_run, "PAUSED")
        keys = site.flow_run(flow_run)["state"]["state_details"]["run_input_keyset"]
        question = f"/flow_runs/{flow_run}/input/{keys['description']}"
        until(lambda: site.server.has(question), "what it asks is there")  # after its state
        asked = site.server.get(question)
        assert "the detector is off" in asked
        assert "qcsc-loop resume paused" in asked
        Path(f"{trace}.bad").unlink()
        answer = site.resume(flow_run, max_iterations=4, algorithm={"says": "mended"})
        assert answer["status"] == "ACCEPT"
        site.until_status("paused", "max_iterations")
        journal = site.journal("paused")
        assert journal.history()[-1].iteration == 4
        assert journal.settings().parameters["says"] == "mended"
        site.until_flow_run(flow_run, "COMPLETED")

    @pytest.mark.thorough
    def test_a_spent_budget_waits_and_the_command_line_goes_on_too(self, site: Site) -> None:
        run = {"run_id": "spent", "max_shots": 1500, "pause": True}
        algorithm = {"num_qubits": 2, "shots": 1000, "tolerance": 1e-12}
        name = site.deploy(name="spent", flow="bitcount", run=run, algorithm=algorithm)
        flow_run = site.start(name)
        site.until_flow_run(flow_run, "PAUSED")
        assert site.status("spent") == "budget"
        words = ("resume", "spent", "--max-iterations", "3", "--max-shots", "100000")
        assert "stopped after 3 iterations" in site.line(*words).well().out
        assert site.resume(flow_run, max_iterations=3)["status"] == "ACCEPT"
        site.until_flow_run(flow_run, "COMPLETED")
        assert site.journal("spent").history()[-1].iteration == 3

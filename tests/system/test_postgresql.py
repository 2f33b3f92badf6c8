"""The same with a Prefect server on PostgreSQL that asks for a password."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import httpx
import psutil
import pytest
from prefect.client.orchestration import get_client

from loop.toys import Counting
from qcsc_loop.prefect.artifacts import RunArtifacts
from qcsc_loop.prefect.clocks import CLOCK, read_clocks
from qcsc_loop.rules.stop import MaxIterations
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.journal import Journal
from system.command_line import Background
from system.deployments import START_SECONDS, Site, site_with_pool
from system.server import PrefectServer, server_on_postgresql
from waiting import until

pytestmark = pytest.mark.server

WANDER = "system.toy_flows:wander"
AUTH = "admin:let-me-in"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, prefect_home: Path) -> Iterator[Site]:
    home, folder = (tmp_path_factory.mktemp(name) for name in ("on-postgresql", "site"))
    with (
        server_on_postgresql(home, auth=AUTH) as server,
        site_with_pool(server, folder, prefect_home) as site,
    ):
        yield site


def test_a_run_is_published_and_comes_back_from_the_database(site: Site) -> None:
    first = ("run", "system.toys:Wander", "--run-id", "published", "--max-iterations", "2")
    site.line(*first).well()
    assert site.server.iterations("published") == [0, 1, 2]
    elsewhere = site.line.folder / "another-disk"
    words = ("resume", "published", "--algorithm", "system.toys:Wander", "--max-iterations", "4")
    resumed = site.line(*words, "--store", elsewhere, "--json").well().answer
    assert (resumed["resumed_from"], resumed["iteration"]) == (2, 4)


def test_without_the_password_nobody_gets_in(site: Site) -> None:
    assert httpx.post(f"{site.server.url}/block_documents/filter", json={}).status_code == 401
    for secret in ("", "admin:guessed"):
        words = ("run", "system.toys:Wander", "--run-id", "outside")
        result = site.line(*words, env={"PREFECT_API_AUTH_STRING": secret})
        assert "does not let us in. Set PREFECT_API_AUTH_STRING" in result.refusal
        sent = site.line("emit", "lab.calibrated", env={"PREFECT_API_AUTH_STRING": secret})
        assert "does not let us in" in sent.refusal
    assert not site.journal("outside").exists()


@pytest.mark.thorough
def test_a_chain_whose_driver_is_killed_ends_with_the_same_bits(
    site: Site, worker: Background, tmp_path: Path
) -> None:
    supervisor, gate = site.supervisor(), tmp_path
    algorithm = {"gate": str(gate), "gates": [2]}
    run = {
        "run_id": "chained",
        "drive": "chain",
        "max_iterations": 3,
        "resume": {"times": 5, "delay": 0.0},
    }
    site.start(site.deploy(name="chained", flow=WANDER, run=run, algorithm=algorithm))
    until(lambda: (gate / "2.reached").exists(), "iteration 2 is under way", START_SECONDS)
    psutil.Process(site.journal("chained").epochs()[-1].holder.pid).kill()
    (gate / "2.open").touch()
    site.until_status("chained", "max_iterations")
    whole = site.line(
        "run", "system.toys:Wander", "--no-prefect", "--max-iterations", "3", "--json"
    )
    assert site.journal("chained").history()[-1].state_sha256 == whole.well().answer["state_sha256"]
    assert supervisor.process.poll() is None and worker.process.poll() is None


@pytest.mark.thorough
def test_an_event_starts_a_run(site: Site, worker: Background) -> None:
    trigger = {"event": "lab.calibrated", "algorithm": {"size": "{{ event.payload.size }}"}}
    site.deploy(name="told", flow=WANDER, run={"max_iterations": 1}, triggers=[trigger])
    site.line("emit", "lab.calibrated", "--payload", "size=77").well()
    site.until_status(site.until_run(size=77).run_id, "max_iterations")
    assert worker.process.poll() is None


@pytest.mark.thorough  # test_copies_of_a_run.py shows it of a server that is none
@pytest.mark.parametrize("hours", [-2, 2])
def test_a_drivers_silence_is_told_by_the_databases_own_clock(
    hours: int, tmp_path: Path, in_process_of: Callable[[PrefectServer], Any]
) -> None:
    store = DirectoryStore(tmp_path / "store")
    anyio.run(lambda: Counting().run(store=store, run_id="skewed", stop=MaxIterations(0)))
    journal = Journal(store, "skewed")

    async def look() -> None:
        async with get_client() as client:
            artifacts, epoch = RunArtifacts(client, "skewed"), journal.epoch(1)
            artifact = await artifacts.publish_driver(journal.record(), epoch)
            await artifacts.beat(artifact, epoch)
            clocks = await read_clocks(client)
            assert round((clocks.database - clocks.api) / timedelta(hours=1)) == hours
            driver = await artifacts.newest_driver(journal.record().uid)
            assert driver is not None
            assert await artifacts.silent_for(driver) < timedelta(hours=1).total_seconds()

    with server_on_postgresql(tmp_path / "server", skew=3600 * hours) as server:
        with in_process_of(server):
            anyio.run(look)
        left = server.post("/artifacts/filter", {"artifacts": {"type": {"any_": [CLOCK]}}})
        assert left == []

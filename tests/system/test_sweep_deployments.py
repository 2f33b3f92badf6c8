"""One sweep whose members are flow runs: workers drive them, whatever becomes of sweep and server."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import tomlkit

from system.command_line import WANDER, Background
from system.deployments import Site, site_with_pool
from system.server import OURS, PrefectServer, running, server_on_postgresql
from waiting import line_count, until

pytestmark = pytest.mark.server
LIMIT = 3
SECONDS = 600.0  # processes that import Prefect, for each member one
FIFTY = 50
FIFTY_SECONDS = 3600.0


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory, prefect_home: Path, fragile_server: PrefectServer
) -> Iterator[Site]:
    fragile_server.start()
    folder = tmp_path_factory.mktemp("sweep")
    with site_with_pool(fragile_server, folder, prefect_home) as site:
        yield site


def described(
    site: Site, name: str, deployment: str, *, members: int = 4, **parameters: Any
) -> Path:
    content = {
        "name": name,
        "algorithm": WANDER,
        "deployment": deployment,
        "seeds": members,
        "at_once": members,
        "parameters": parameters,
        "stop": {"max_iterations": LIMIT},
    }
    file = site.line.folder / f"{name}.toml"
    file.write_text(tomlkit.dumps(content))
    return file


class TestTwoWorkers:
    @pytest.fixture(scope="class")
    @classmethod
    def workers(cls, site: Site) -> Iterator[list[Background]]:
        found = [site.worker(), site.worker()]
        yield found
        for worker in found:
            worker.end()

    def test_killed_with_its_server_it_ends_with_every_member_done_once(
        self, site: Site, workers: list[Background]
    ) -> None:
        trace = site.line.folder / "trace"
        deployment = site.deploy(flow="system.toy_flows:wander", name="members")
        file = described(site, "far", deployment, trace=str(trace), pause=0.2)
        sweep = site.line.start("sweep", file, "--json")
        until(lambda: line_count(trace) > 3 or sweep.process.poll() is not None, "members go on")
        sweep.kill()
        site.server.kill()
        site.server.start()
        if any(worker.process.poll() is not None for worker in workers):
            workers.append(site.worker())  # one of Prefect's that ends with its server
        sweep = site.line.start("sweep", file, "--json")
        until(lambda: sweep.process.poll() is not None, "every member is done", SECONDS)
        result = sweep.result().well()
        assert result.answer["status"] == "done", workers[0].said
        members = result.answer["members"]
        assert [each["iteration"] for each in members] == [LIMIT] * 4
        for seed, each in enumerate(members):
            whole = site.whole(WANDER, LIMIT, "--seed", str(seed))
            assert site.sha256(each["run_id"]) == whole
            history = site.journal(each["run_id"]).store.lines(f"{each['run_id']}/history.jsonl")
            assert len(history) == LIMIT + 1
        # one that resumes says so in its name
        driven = {row["name"].split()[0] for row in site.flow_runs(deployment)}
        assert driven == {each["run_id"] for each in members}

    def test_a_deployment_that_there_is_not_is_said(self, site: Site) -> None:
        result = site.line("sweep", described(site, "nowhere", "wander/nowhere"), "--json")
        assert result.code == 1
        (why,) = {each["why"] for each in result.answer["members"]}
        assert "there is no deployment 'wander/nowhere'" in why and "qcsc-loop deploy" in why


def server_on_sqlite(home: Path) -> AbstractContextManager[PrefectServer]:
    return running(PrefectServer(home, application=OURS))


@pytest.mark.nightly
@pytest.mark.parametrize("server_on", [server_on_sqlite, server_on_postgresql])
def test_fifty_members_are_driven_at_once(
    server_on: Callable[[Path], AbstractContextManager[PrefectServer]],
    tmp_path: Path,
    prefect_home: Path,
) -> None:
    home, gate, trace = (tmp_path / name for name in ("home", "gate", "trace"))
    home.mkdir()
    gate.mkdir()
    with server_on(home) as server, site_with_pool(server, tmp_path / "site", prefect_home) as site:
        workers = [site.worker(), site.worker()]
        try:
            deployment = site.deploy(flow="system.toy_flows:wander", name="fifty")
            held = {"gate": str(gate), "gates": [LIMIT], "trace": str(trace)}
            file = described(site, "fifty", deployment, members=FIFTY, **held)
            sweep = site.line.start("sweep", file, "--json")
            trace.touch()

            def all_wait_or_it_ended() -> bool:
                waiting = trace.read_text().splitlines().count(f"sample {LIMIT}")
                return waiting == FIFTY or sweep.process.poll() is not None

            until(all_wait_or_it_ended, "all are in their last iteration", FIFTY_SECONDS)
            (gate / f"{LIMIT}.open").touch()
            until(lambda: sweep.process.poll() is not None, "they are done", FIFTY_SECONDS)
            members = sweep.result().well().answer["members"]
            assert [each["iteration"] for each in members] == [LIMIT] * FIFTY
            done = Counter(trace.read_text().splitlines())
            assert {done[f"sample {number}"] for number in range(1, LIMIT + 1)} == {FIFTY}
            print(f"{len(site.flow_runs(deployment))} flow runs")
        finally:
            for worker in workers:
                worker.end()

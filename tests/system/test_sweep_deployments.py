"""One sweep whose members are flow runs: workers drive them, whatever becomes of sweep and server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tomlkit

from system.command_line import WANDER, Background
from system.deployments import Site, site_with_pool
from system.server import PrefectServer
from waiting import line_count, until

pytestmark = pytest.mark.server
LIMIT = 3
SECONDS = 600.0  # processes that import Prefect, for each member one


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory, prefect_home: Path, fragile_server: PrefectServer
) -> Iterator[Site]:
    fragile_server.start()
    folder = tmp_path_factory.mktemp("sweep")
    with site_with_pool(fragile_server, folder, prefect_home) as site:
        yield site


def described(site: Site, name: str, deployment: str, **parameters: Any) -> Path:
    content = {
        "name": name,
        "algorithm": WANDER,
        "deployment": deployment,
        "seeds": 4,
        "at_once": 4,
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

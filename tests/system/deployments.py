"""Deployments for tests: their files, a worker and a supervisor that run them, and what they did."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tomlkit

from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.journal import Journal, journals
from system.command_line import Background, CommandLine, command_line
from system.server import PrefectServer
from waiting import until

TESTS = Path(__file__).parents[1]
START_SECONDS = 240.0  # processes that import Prefect, on a machine that does more
SOON = {"times": 100, "delay": 0.0, "start_within": 15.0}  # resumes of what was killed
SLURM = {"type": "hpc", "hpc_profile": {"scheduler": "slurm"}, "execution_profile": {}}


def with_toys(server: PrefectServer) -> dict[str, str]:
    """The environment in which the toys' flows are found, and new flow runs soon."""
    path = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    return {**server.settings, "PYTHONPATH": path, "PREFECT_WORKER_QUERY_SECONDS": "1"}


@dataclass
class Site:
    """A login node: a store, a server, and what runs there."""

    line: CommandLine
    server: PrefectServer
    pool: str = ""
    _files: int = field(default=0)

    def file(self, **content: Any) -> Path:
        """A deployment's file."""
        self._files += 1
        path = self.line.folder / f"deployment-{self._files}.toml"
        if self.pool:
            content.setdefault("work_pool", self.pool)
        path.write_text(tomlkit.dumps(content))
        return path

    def deploy(self, **content: Any) -> str:
        """Deploys it; returns its whole name."""
        (answer,) = self.line("deploy", self.file(**content), "--json").well().answer
        return str(answer["deployment"])

    def worker(self) -> Background:
        """A worker of the pool, which is made if need be."""
        return self.line.start(
            *("-m", "prefect", "worker", "start", "--type", "process", "--pool", self.pool),
            program=Path(sys.executable),
        )

    def supervisor(self, every: float = 1.0) -> Background:
        return self.line.start("supervise", "--every", str(every))

    def start(self, deployment: str, **parameters: Any) -> str:
        """A flow run's id."""
        found = self.server.get(f"/deployments/name/{deployment}")
        made = self.server.post(
            f"/deployments/{found['id']}/create_flow_run", {"parameters": parameters}
        )
        return str(made["id"])

    def resume(self, flow_run: str, **changes: Any) -> dict[str, Any]:
        """As the UI's button does; what the server says."""
        answer: dict[str, Any] = self.server.post(
            f"/flow_runs/{flow_run}/resume", {"run_input": changes}
        )
        return answer

    def cancel(self, flow_run: str) -> None:
        """As the UI's button does."""
        state = {"state": {"type": "CANCELLING", "name": "Cancelling"}}
        self.server.post(f"/flow_runs/{flow_run}/set_state", state)

    # what came of it

    def flow_run(self, flow_run: str) -> dict[str, Any]:
        found: dict[str, Any] = self.server.get(f"/flow_runs/{flow_run}")
        return found

    def flow_runs(self, deployment: str) -> list[dict[str, Any]]:
        """All that a deployment had."""
        found = self.server.get(f"/deployments/name/{deployment}")
        rows: list[dict[str, Any]] = self.server.post(
            "/flow_runs/filter", {"flow_runs": {"deployment_id": {"any_": [found["id"]]}}}
        )
        return rows

    def until_flow_run(self, flow_run: str, wanted: str) -> None:
        """Waits until the server says so of it."""

        def state() -> dict[str, Any]:
            found: dict[str, Any] = self.flow_run(flow_run)["state"]
            return found

        try:
            until(lambda: state()["type"] == wanted, f"{flow_run} is {wanted}", START_SECONDS)
        except AssertionError as error:
            error.add_note(f"it is {state()}")
            raise

    def resumed(self, run_id: str, epoch: int) -> bool:
        """Whether a run has had so many drivers, or its supervisor now starts them."""
        if self.journal(run_id).newest_epoch() >= epoch:
            return True
        self.line("supervise", "--once")
        return False

    def journal(self, run_id: str) -> Journal:
        return self.line.journal(run_id)

    def runs(self, **parameters: Any) -> list[Journal]:
        """The runs with these parameters."""
        return [
            journal
            for journal in journals(DirectoryStore(self.line.store))
            if parameters.items() <= journal.settings().parameters.items()
        ]

    def until_run(self, **parameters: Any) -> Journal:
        """The run with these parameters, once there is one."""
        until(lambda: self.runs(**parameters), f"a run has {parameters}", START_SECONDS)
        return self.runs(**parameters)[0]

    def status(self, run_id: str) -> str:
        """How the run's last driver ended; empty while it lives, or there is none."""
        journal = self.journal(run_id)
        newest = journal.newest_epoch()
        end = journal.end(newest) if newest else None
        return str(end.reason) if end else ""

    def sha256(self, run_id: str) -> str:
        """Of the newest committed state."""
        return self.journal(run_id).history()[-1].state_sha256

    def whole(self, toy: str, limit: int, *words: str) -> str:
        """The state's hash of a run of one driver that nobody killed."""
        options = ("--no-prefect", "--max-iterations", str(limit), "--json", *words)
        return str(self.line("run", toy, *options).well().answer["state_sha256"])

    def until_status(self, run_id: str, *wanted: str, seconds: float = START_SECONDS) -> None:
        """Waits until its last driver has ended so."""
        what = f"{run_id} is {' or '.join(wanted)}"
        until(lambda: self.status(run_id) in wanted, what, seconds)


@contextmanager
def site_with_pool(
    server: PrefectServer, folder: Path, prefect_home: Path, **environment: str
) -> Iterator[Site]:
    """A login node that uses a server which has a work pool for it, and runs."""
    server.post("/work_pools/", {"name": "pool", "type": "process"})
    with command_line(folder, prefect_home, **with_toys(server), **environment) as line:
        yield Site(line, server, pool="pool")


def plain(value: Mapping[str, Any]) -> Any:
    """As JSON has it."""
    return json.loads(json.dumps(value))

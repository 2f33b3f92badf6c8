"""What MLflow is asked for: each run found again, each metric with its step, in requests it takes."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from loop.reports.stored_runs import StoredRun, energies
from qcsc_loop.errors import InputError
from qcsc_loop.rules.reason import Reason
from qcsc_loop.tracking import following as module
from qcsc_loop.tracking.following import Following
from qcsc_loop.tracking.mlflow import MlflowTracker

API = "/api/2.0/mlflow/"


class Server:
    """As much of MLflow's server as is asked for; its limits are those that it documents."""

    def __init__(self) -> None:
        self.experiments: dict[str, str] = {}
        self.runs: dict[str, dict[str, Any]] = {}
        self.is_away = False

    def get(self, path: str, query: str) -> tuple[int, Any]:
        name = httpx.QueryParams(query)["experiment_name"]
        assert path == "experiments/get-by-name"
        if name not in self.experiments:
            return 404, {"error_code": "RESOURCE_DOES_NOT_EXIST"}
        return 200, {"experiment": {"experiment_id": self.experiments[name]}}

    def post(self, path: str, body: Any) -> tuple[int, Any]:
        if self.is_away:
            return 503, {"error_code": "TEMPORARILY_UNAVAILABLE"}
        match path:
            case "experiments/create":
                self.experiments[body["name"]] = str(len(self.experiments) + 1)
                return 200, {"experiment_id": self.experiments[body["name"]]}
            case "runs/create":
                made = {**body, "metrics": [], "params": {}, "status": "RUNNING"}
                self.runs[f"r{len(self.runs)}"] = made
                return 200, {"run": {"info": {"run_id": f"r{len(self.runs) - 1}"}}}
            case "runs/search":
                uid = body["filter"].split("'")[1]
                tag = {"key": "qcsc-loop.uid", "value": uid}
                found = [name for name, run in self.runs.items() if tag in run["tags"]]
                return 200, {"runs": [{"info": {"run_id": name}} for name in found]}
            case "runs/log-batch":
                assert len(body.get("metrics", ())) <= 1000
                assert len(body.get("params", ())) <= 100
                run = self.runs[body["run_id"]]
                run["metrics"] += body.get("metrics", [])
                run["params"] |= {each["key"]: each["value"] for each in body.get("params", ())}
            case "runs/update":
                self.runs[body["run_id"]]["status"] = body["status"]
            case _:
                assert path == "runs/set-tag"
        return 200, {}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path, _, query = self.path.removeprefix(API).partition("?")
            self._say(*state.get(path, query))

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self._say(*state.post(self.path.removeprefix(API), body))

        def _say(self, code: int, answer: Any) -> None:
            content = json.dumps(answer).encode()
            self.send_response(code)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *arguments: Any) -> None:
            del format, arguments

    answering = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=answering.serve_forever)
    thread.start()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{answering.server_address[1]}")
    monkeypatch.setattr(module, "find_tracker", lambda _name: MlflowTracker)
    yield state
    answering.shutdown()
    thread.join()
    answering.server_close()


@pytest.fixture
def run(tmp_path: Path) -> StoredRun:
    stored = StoredRun(tmp_path / "store", parameters={"sampler": {"type": "aer"}})
    return stored.driver(reason=Reason.CONVERGED).history(energies(600))


def test_a_run_has_its_metrics_parameters_and_end(server: Server, run: StoredRun) -> None:
    Following(run.store, run.run_id, "mlflow").look()
    (made,) = server.runs.values()
    assert (made["run_name"], made["status"]) == ("water", "FINISHED")
    assert made["params"] == {"algorithm": "Water", "seed": "7", "sampler.type": "aer"}
    steps = [metric["step"] for metric in made["metrics"] if metric["key"] == "energy"]
    assert steps == [*range(1, 601)]
    Following(run.store, run.run_id, "mlflow").look()
    assert len(made["metrics"]) == 600 * 4
    assert len(server.runs) == 1


def test_a_run_that_was_made_by_a_process_that_died_is_found(
    server: Server, run: StoredRun
) -> None:
    Following(run.store, run.run_id, "mlflow").look()
    (run.store.root / run.run_id / "tracked-mlflow.json").unlink()
    Following(run.store, run.run_id, "mlflow").look()
    assert len(server.runs) == 1


def test_a_server_that_is_away_is_said(server: Server, run: StoredRun) -> None:
    server.is_away = True
    with pytest.raises(httpx.HTTPStatusError, match=r"503: .*TEMPORARILY_UNAVAILABLE"):
        Following(run.store, run.run_id, "mlflow").look()


def test_it_has_to_be_told_where_the_server_is(
    server: Server, run: StoredRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    with pytest.raises(InputError, match="needs MLFLOW_TRACKING_URI"):
        Following(run.store, run.run_id, "mlflow").look()

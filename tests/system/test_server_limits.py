"""Parameters, events and schedules that a server takes badly, from the command line to the server."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
from prefect import flow
from prefect.client.schemas.objects import FlowRun

from qcsc_loop.deployments import flow_body
from qcsc_loop.deployments.flow_body import drive
from qcsc_loop.deployments.run_settings import RunSettings
from qcsc_loop.prefect.flow import current_flow_run
from system.command_line import WANDER, CommandLine
from system.server import PrefectServer
from system.toys import Wander

BEYOND = 2**70


def test_parameters_that_the_server_could_not_list_are_shown_short_and_kept_whole(
    with_server: CommandLine, server: PrefectServer, run_id: str, tmp_path: Path
) -> None:
    file = tmp_path / "parameters.toml"
    file.write_text(f'says = "{"x" * 700_000}"\ngoal = {BEYOND}\n')
    words = ("--params", str(file), "--max-iterations", "0", "--run-id", run_id)
    result = with_server("run", WANDER, "--tasks", "none", *words).well()
    assert len(result.err) < 2000
    (shown,) = [
        each["parameters"]["algorithm"]
        for each in server.post("/flow_runs/filter", {})  # lists them
        if each["parameters"].get("run_id") == run_id
    ]
    assert (shown["goal"], len(shown["says"]) < 100) == (str(BEYOND), True)
    kept = with_server.journal(run_id).settings().parameters
    assert (kept["goal"], len(kept["says"])) == (BEYOND, 700_000)


def test_a_deployment_with_such_parameters_is_refused(
    with_server: CommandLine, tmp_path: Path
) -> None:
    file = tmp_path / "deployment.toml"
    file.write_text(f'name = "big"\nflow = "bitcount"\n[run]\nseed = {BEYOND}\n')
    refusal = with_server("deploy", file).refusal
    assert "run.seed: a Prefect server has integers of 64 bits, and this one has 71" in refusal


def test_an_event_that_the_server_would_drop_is_refused(
    with_server: CommandLine,
) -> None:
    words = [word for k in range(15) for word in ("--payload", f"text{k}={'x' * 120_000}")]
    refusal = with_server("emit", "lab.calibrated", *words).refusal
    assert "a Prefect server drops events of more than 1,500,000 without a word" in refusal


# Prefect asks for its default storage with a client that it does not close
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_schedules_run_that_comes_too_late_is_skipped(
    in_process: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def late() -> tuple[FlowRun, str]:
        made, name = current_flow_run()
        hour_ago = datetime.now(UTC) - timedelta(hours=1)
        facts = {"auto_scheduled": True, "expected_start_time": hour_ago, "run_count": 1}
        return made.model_copy(update=facts), name

    monkeypatch.setattr(flow_body, "current_flow_run", late)

    @flow
    async def body(skip: float | None) -> Any:
        run = RunSettings(
            store=str(tmp_path), skip_if_late=skip, max_iterations=0, tasks="none", run_id="late"
        )
        return await drive(Wander(), run)

    async def both() -> Any:
        skipping: Any = body(600.0, return_state=True)  # its overloads do not know this
        skipped = await skipping
        assert (skipped.name, list(tmp_path.iterdir())) == ("Skipped", [])
        assert "is skipped ([run] skip_if_late)" in str(skipped.message)
        return await body(None)

    with in_process():
        assert anyio.run(both)["iteration"] == 0

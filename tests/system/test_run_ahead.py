"""A run that begins while its server starts: nothing is lost of it once the server is there."""

from __future__ import annotations

import asyncio
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prefect import flow
from prefect.logging import get_run_logger

from qcsc_algorithms.bitcount import BitCount
from qcsc_loop import IterativeAlgorithm, State
from qcsc_loop.loop.options import RunOptions
from qcsc_loop.loop.outcome import Outcome
from qcsc_loop.prefect.ahead import RunAhead, needs_its_flow
from qcsc_loop.prefect.ends import completed
from qcsc_loop.prefect.qiskit_runtime import PrefectQiskitSampler
from qcsc_loop.rules.stop import MaxIterations
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.journal import Journal, run_ids
from system.command_line import WANDER, CommandLine, ended_by, setting
from system.server import PrefectServer
from system.toys import Wander
from waiting import until_async

pytestmark = [
    pytest.mark.server,
    # Prefect asks for its default storage with a client that it does not close
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


class Count(State):
    steps: int = 0


class Asks(IterativeAlgorithm[Count, int, int]):
    """Its hooks want what only a flow run has."""

    async def initialize(self) -> Count:
        return Count()

    async def sample(self, state: Count) -> int:
        get_run_logger().info("sampling")
        return state.steps

    async def evaluate(self, state: Count, samples: int) -> int:
        return samples

    async def update(self, state: Count, evaluation: int) -> Count:
        return Count(steps=evaluation + 1)


def test_code_that_knows_prefect_waits_for_its_flow() -> None:
    assert needs_its_flow(Asks())
    assert needs_its_flow(BitCount(sampler=PrefectQiskitSampler(block="mine")))
    assert needs_its_flow(BitCount(sampler="aer-sampler/mine"))
    assert not needs_its_flow(Wander())
    assert not needs_its_flow(BitCount())


@pytest.fixture
def journal(tmp_path: Path, run_id: str) -> Journal:
    return Journal(DirectoryStore(tmp_path / "store"), run_id)


async def driven(journal: Journal, folder: Path, join_at: int, last: int) -> Outcome[Any]:
    """A run whose flow run joins it while it stands in an iteration, or, at 0, after its end."""
    folder.mkdir()
    algorithm = Wander(gate=str(folder), gates=(join_at,) if join_at else ())
    options = RunOptions(store=journal.store, run_id=journal.run_id, stop=MaxIterations(last))
    ahead = RunAhead(algorithm, journal, tasks="step", **options)
    run = ahead.begin()
    at = folder / f"{join_at}.reached"
    await until_async(lambda: at.exists() or run.done(), "it is there")

    @flow(persist_result=False)
    async def wander() -> Any:
        (folder / f"{join_at}.open").touch()
        outcome = await ahead.join()
        return completed(outcome, outcome)

    outcome: Outcome[Any] = await wander()
    await ahead.close(joined=True)
    return outcome


def test_its_flow_run_joins_it_with_all_that_it_did_before(
    server: PrefectServer, in_process: Callable[[], Any], journal: Journal, tmp_path: Path
) -> None:
    with in_process():
        outcome = asyncio.run(driven(journal, tmp_path / "gate", join_at=3, last=5))
    assert outcome.iteration == 5
    assert server.iterations(journal.run_id) == list(range(6))
    (flow_run,) = server.flow_runs(journal.run_id)
    assert flow_run["state_name"] == "LimitReached"
    # what had begun before the flow run was there has no task runs
    names = [f"{step}[{k}]" for step in ("evaluate", "sample", "update") for k in (4, 5)]
    assert server.task_runs(flow_run["id"]) == names
    said = server.logged(flow_run["id"])
    assert any(line.startswith("2 iterations had been done") for line in said), said
    (report,) = server.artifacts(f"{journal.run_id}-report")
    assert "Stopped after 5 iterations" in report["data"]


def test_a_run_that_is_over_before_its_server_is_there_is_on_it_whole(
    server: PrefectServer, in_process: Callable[[], Any], journal: Journal, tmp_path: Path
) -> None:
    with in_process():
        outcome = asyncio.run(driven(journal, tmp_path / "gate", join_at=0, last=4))
    assert outcome.iteration == 4
    assert server.iterations(journal.run_id) == list(range(5))
    (flow_run,) = server.flow_runs(journal.run_id)
    assert (flow_run["name"], flow_run["state_name"]) == (journal.run_id, "LimitReached")


def new_run(line: CommandLine) -> str:
    """The id of the one run of a store."""
    (run_id,) = run_ids(DirectoryStore(line.store))
    return run_id


def test_a_signal_ends_it_in_order_whether_its_server_is_there_or_not(
    qcsc_loop: CommandLine, tmp_path: Path
) -> None:
    (tmp_path / "gate").mkdir()
    gates = setting(gate=str(tmp_path / "gate"), gates=[2])
    driver = qcsc_loop.start("run", WANDER, "--max-iterations", "3", *gates)
    driver.until_there_is(tmp_path / "gate" / "2.reached")
    assert ended_by(driver, signal.SIGTERM) == 143
    result, run_id = driver.result(), new_run(qcsc_loop)
    assert f"{run_id}: interrupted by SIGTERM" in result.err
    assert result.err.count("\n") == 1
    assert qcsc_loop.status(run_id) == "interrupted"
    (tmp_path / "gate" / "2.open").touch()
    assert qcsc_loop("resume", run_id, "--no-prefect", "--json").well().answer["resumed_from"] == 1


@pytest.mark.thorough  # it waits for a server's start
def test_a_hook_that_fails_before_the_server_is_there_is_told_as_ever(
    qcsc_loop: CommandLine, tmp_path: Path
) -> None:
    (tmp_path / "trace.bad").touch()
    words = (WANDER.replace("Wander", "Raises"), *setting(trace=str(tmp_path / "trace")))
    result = qcsc_loop("run", *words)
    (row,) = qcsc_loop("list", "--json").well().answer
    assert (result.code, row["run_id"], row["status"]) == (1, new_run(qcsc_loop), "failed")
    assert result.refusal
    assert "never retrieved" not in result.err


@pytest.mark.thorough
def test_all_of_it_is_on_the_temporary_server_in_the_end(qcsc_loop: CommandLine) -> None:
    words = ("run", WANDER, "--max-iterations", "3", "--json")
    run_id = qcsc_loop(*words).well().answer["run_id"]
    shutil.rmtree(qcsc_loop.store)
    named = ("resume", run_id, "--algorithm", WANDER, "--max-iterations", "4", "--json")
    assert qcsc_loop(*named).well().answer["resumed_from"] == 3

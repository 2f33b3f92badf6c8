"""What every way of keeping a run promises: in memory, in a folder, in a folder and as artifacts."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Unpack

import anyio
import numpy as np
import pytest
from prefect import flow

from loop.toys import Counting, Tally, Trap, executions, numbers_after
from qcsc_loop.errors import HookFailed, ParametersChanged, RunLocked
from qcsc_loop.loop.options import RunOptions
from qcsc_loop.loop.outcome import Outcome
from qcsc_loop.prefect.flow import run_in_flow
from qcsc_loop.rules.stop import MaxIterations
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.journal import Journal
from qcsc_loop.store.memory import MemoryStore

Drive = Callable[..., Outcome[Tally]]

pytestmark = pytest.mark.filterwarnings(
    # Prefect leaves a client of its results open in the process that called a flow
    "ignore::pytest.PytestUnraisableExceptionWarning"
)


def directly(toy: Counting, **options: Unpack[RunOptions]) -> Outcome[Tally]:
    return anyio.run(lambda: toy.run(**options))


def in_a_flow(toy: Counting, **options: Unpack[RunOptions]) -> Outcome[Tally]:
    outcomes: list[Outcome[Tally]] = []

    async def contract() -> None:
        outcomes.append(await run_in_flow(toy, **options))

    anyio.run(flow(persist_result=False)(contract))
    return outcomes[0]


@pytest.fixture(params=["memory", "folder", "folder and artifacts"])
def drive(request: pytest.FixtureRequest, tmp_path: Path, run_id: str) -> Drive:
    """Drives one run, again and again."""
    memory = request.param == "memory"
    store = MemoryStore() if memory else DirectoryStore(tmp_path / "store")
    in_flow = request.param == "folder and artifacts"
    prefect: Callable[[], Any] = request.getfixturevalue("in_process") if in_flow else nullcontext

    def driven(toy: Counting, limit: int, **options: Unpack[RunOptions]) -> Outcome[Tally]:
        options |= {"store": store, "run_id": run_id, "stop": MaxIterations(limit), "seed": 5}
        with prefect():
            return (in_a_flow if in_flow else directly)(toy, **options)

    driven.journal = Journal(store, run_id)  # type: ignore[attr-defined]
    return driven


def journal_of(drive: Drive) -> Journal:
    journal: Journal = drive.journal  # type: ignore[attr-defined]
    return journal


def test_a_run_that_stopped_goes_on_to_the_same_numbers(drive: Drive) -> None:
    assert drive(Counting(), 3).resumed_from is None
    outcome = drive(Counting(), 6)
    assert (outcome.resumed_from, outcome.state.squares) == (3, 91)
    np.testing.assert_array_equal(outcome.state.numbers, numbers_after(6, seed=5))


def test_a_run_whose_hook_failed_goes_on_without_sampling_again(
    drive: Drive, tmp_path: Path
) -> None:
    trace = str(tmp_path / "trace")
    with pytest.raises(HookFailed):
        drive(Counting(trace=trace, trap=Trap(hook="evaluate", iteration=3, does="raise")), 4)
    outcome = drive(Counting(trace=trace), 4)
    assert executions(trace)["sample", 3] == 1
    np.testing.assert_array_equal(outcome.state.numbers, numbers_after(4, seed=5))


def test_a_finished_run_is_not_executed_again(drive: Drive, tmp_path: Path) -> None:
    trace = str(tmp_path / "trace")
    first = drive(Counting(trace=trace), 2)
    before = executions(trace)
    again = drive(Counting(trace=trace), 2)
    assert (again.state_sha256, executions(trace)) == (first.state_sha256, before)


def test_other_parameters_are_refused_by_name(drive: Drive) -> None:
    drive(Counting(), 1)
    with pytest.raises(ParametersChanged, match=r"factor: 1\.0 -> 2\.0"):
        drive(Counting(factor=2.0), 2)


def test_a_second_driver_is_refused(drive: Drive) -> None:
    drive(Counting(), 1)
    journal = journal_of(drive)
    lease = journal.claim(journal.settings(), {}, 30.0)
    try:
        with pytest.raises(RunLocked, match="is being driven by process"):
            drive(Counting(), 2)
    finally:
        lease.release(None)


def test_states_are_bounded_and_scalars_are_for_ever(drive: Drive) -> None:
    drive(Counting(), 7, keep=2)
    kept = [int(name[:8]) for name in journal_of(drive).checkpoints()]
    assert kept == [7, 6, 4, 2, 1, 0]  # the last ones, and those that forks may begin from
    history = journal_of(drive).history()
    assert [commit.scalars["count"] for commit in history] == [float(k) for k in range(8)]


def test_a_damaged_newest_checkpoint_is_made_good(drive: Drive) -> None:
    whole = drive(Counting(), 4)
    journal = journal_of(drive)
    name = journal.checkpoints()[0]
    commit, document = journal.checkpoint(name)
    damaged = document.body.replace(b'"count":4', b'"count":5')
    assert damaged != document.body
    journal.add_checkpoint(commit, type(document)(damaged, document.arrays))
    assert drive(Counting(), 4).state_sha256 == whole.state_sha256

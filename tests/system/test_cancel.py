"""`cancel`, as a person types it while a driver works elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from system.command_line import WANDER, Background, CommandLine, setting

LIMIT = "4"


class Gate:
    """Holds the toy in `sample` of iteration 3."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.reached, self._open = folder / "3.reached", folder / "3.open"
        self.settings = setting(gate=str(folder), gates=[3])

    def open(self) -> None:
        self._open.touch()


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return Gate(tmp_path / "gate")


def held(line: CommandLine, run_id: str, gate: Gate, *more: str) -> Background:
    words = ("run", WANDER, "--run-id", run_id, "--max-iterations", LIMIT, *gate.settings, *more)
    driver = line.start(*words)
    driver.until_there_is(gate.reached)
    return driver


@pytest.mark.parametrize("prefect", [("--no-prefect",), ()], ids=["alone", "temporary server"])
def test_the_driver_ends_and_says_by_whom(
    qcsc_loop: CommandLine, gate: Gate, run_id: str, prefect: tuple[str, ...]
) -> None:
    driver = held(qcsc_loop, run_id, gate, *prefect)
    said = qcsc_loop("cancel", run_id).well().out
    assert f"{run_id}: process {driver.pid} on " in said
    assert "cancelled; process" in said
    assert "has ended after iteration 2; it has no jobs that could be alive" in said
    assert f"To go on: qcsc-loop resume {run_id}" in said
    ended = driver.result()
    assert ended.code == 130
    assert f"run '{run_id}' was cancelled by " in ended.refusal
    assert qcsc_loop.status(run_id) == "cancelled"
    gate.open()
    assert "stopped after 4 iterations" in qcsc_loop("resume", run_id, "--no-prefect").well().out


def test_several_runs_at_once_and_one_that_is_not_there(
    qcsc_loop: CommandLine, gate: Gate, run_id: str
) -> None:
    driver = held(qcsc_loop, run_id, gate, "--no-prefect")
    done = qcsc_loop("cancel", run_id, "no-such-run", "--json")
    assert done.code == 2
    mine, missing = done.answer["runs"]
    assert mine["run_id"] == run_id
    assert (mine["driver"], mine["stands"], mine["iteration"]) == ("ended", "cancelled", 2)
    assert (mine["pid"], mine["ended"], mine["left"]) == (driver.pid, [], [])
    assert missing["kind"] == "RunNotFound"
    assert driver.result().code == 130


def test_a_run_that_nobody_has_begun_has_nothing_to_cancel(
    qcsc_loop: CommandLine, run_id: str
) -> None:
    qcsc_loop("run", WANDER, "--no-prefect", "--run-id", run_id, "--max-iterations", "1").well()
    qcsc_loop("fork", run_id, "--run-id", f"{run_id}-f").well()
    said = qcsc_loop("cancel", f"{run_id}-f").well().out
    assert "no driver has come to it yet: there is nothing to cancel" in said


def test_a_driver_that_hangs_is_named(qcsc_loop: CommandLine, gate: Gate, run_id: str) -> None:
    driver = held(qcsc_loop, run_id, gate, "--no-prefect", *setting(busy=True))
    refused = qcsc_loop("cancel", run_id, "--wait", "0")
    assert f"process {driver.pid} on " in refused.refusal
    assert f"qcsc-loop cancel {run_id} --force" in refused.refusal
    forced = qcsc_loop("cancel", run_id, "--wait", "0", "--force").well()
    assert "did not answer, and can write nothing to it any more" in forced.out
    gate.open()
    assert "superseded" in driver.result().refusal
    assert qcsc_loop.status(run_id) == "cancelled"

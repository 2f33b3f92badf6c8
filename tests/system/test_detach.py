"""`run --detach`: a driver that outlives its terminal, its parent and a hangup."""

from __future__ import annotations

import json
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from qcsc_loop.reports.status import RunStatus
from qcsc_loop.reports.view import RunReader
from qcsc_loop.store.directory import DirectoryStore
from system.command_line import TOYS, WANDER, CommandLine, Result, setting
from system.interpreter import SCRIPT
from system.terminal import terminal
from waiting import DEADLINE_SECONDS, alive, until

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


def words(gate: Gate, *more: str) -> list[str]:
    command = ["run", "-d", WANDER, "--no-prefect", "--run-id", "far", "--max-iterations", LIMIT]
    return [*command, *gate.settings, *more]


@contextmanager
def held(line: CommandLine, pid: int) -> Iterator[psutil.Process]:
    """The driver; it is ended with the block."""
    driver = psutil.Process(pid)
    try:
        yield driver
    finally:
        for process in (driver, *_below(driver)):
            with suppress(psutil.NoSuchProcess):
                process.kill()
        with suppress(psutil.NoSuchProcess):
            driver.wait(DEADLINE_SECONDS)
        del line


def _below(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def status(line: CommandLine) -> RunStatus:
    return RunReader(DirectoryStore(line.store), "far").look().status


def test_it_returns_once_the_run_is_held_and_says_how_to_watch_it(
    qcsc_loop: CommandLine, gate: Gate
) -> None:
    answer = qcsc_loop.start(*words(gate, "--json")).result().well().answer
    with held(qcsc_loop, answer["pid"]) as driver:
        assert answer["run_id"] == "far"
        assert answer["watch"] == "qcsc-loop watch far"
        assert status(qcsc_loop) is RunStatus.RUNNING
        holder = qcsc_loop.journal("far").epoch(1).holder
        assert (holder.pid, holder.host) == (driver.pid, socket.gethostname())
        assert driver.terminal() is None
        until(gate.reached.exists, "it has come so far")
        gate.open()
        until(lambda: status(qcsc_loop) is RunStatus.LIMIT, "it ends")
        until(lambda: not alive(driver.pid), "its driver has gone")
    output = Path(answer["output"])
    assert output == qcsc_loop.store / "far" / "driver.out"
    lines = output.read_text().splitlines()
    assert lines[1] == "run far: Wander, seed 0"
    assert any(line.startswith("iteration 4: steps = 4") for line in lines)
    assert json.loads(lines[-1])["iteration"] == 4


def test_it_outlives_its_terminal_its_parent_and_a_hangup(
    qcsc_loop: CommandLine, gate: Gate
) -> None:
    command = [str(SCRIPT), *words(gate, "--json")]
    with terminal(
        ["bash", "-c", 'eval "$0"; sleep 600', " ".join(command)], dict(qcsc_loop.environment)
    ) as shell:
        shell.until(lambda picture: '"pid": ' in picture, "it is detached")
        pid = qcsc_loop.journal("far").epoch(1).holder.pid
        shell.process.kill()  # and the terminal goes with the block
    with held(qcsc_loop, pid) as driver:
        driver.send_signal(signal.SIGHUP)
        until(gate.reached.exists, "it goes on")
        gate.open()
        until(lambda: status(qcsc_loop) is RunStatus.LIMIT, "it ends")


def test_sigterm_ends_it_in_order_and_it_can_be_resumed_detached(
    qcsc_loop: CommandLine, gate: Gate
) -> None:
    answer = qcsc_loop.start(*words(gate, "--json")).result().well().answer
    with held(qcsc_loop, answer["pid"]) as driver:
        until(gate.reached.exists, "it has come so far")
        driver.terminate()
        until(lambda: not alive(driver.pid), "it has gone")
    assert status(qcsc_loop) is RunStatus.INTERRUPTED
    gate.open()
    resumed = qcsc_loop.start("resume", "far", "--detach")
    result = resumed.result().well()
    first, second = result.out.splitlines()
    assert first.startswith("far: driven by process ") and first.endswith("/far/driver.out")
    assert second == "  qcsc-loop watch far"
    with held(qcsc_loop, int(first.split()[4].rstrip(","))):
        until(lambda: status(qcsc_loop) is RunStatus.LIMIT, "it ends")
    assert "interrupted by SIGTERM" in (qcsc_loop.store / "far" / "driver.1.out").read_text()


def refused(line: CommandLine, *command: str) -> Result:
    result = line.start(*command).result()
    assert "Traceback" not in result.out + result.err
    return result


def test_what_keeps_it_from_the_run_is_said_here_and_leaves_nothing(
    qcsc_loop: CommandLine, tmp_path: Path
) -> None:
    result = refused(qcsc_loop, "resume", "far", "--no-prefect", "-d", "--json")
    assert result.code == 2
    assert "there is no run 'far'" in result.err
    assert result.answer["kind"] == "RunNotFound"
    assert not (qcsc_loop.store / "far").exists()


def test_a_run_that_is_held_stays_with_its_driver(qcsc_loop: CommandLine, gate: Gate) -> None:
    answer = qcsc_loop.start(*words(gate, "--json")).result().well().answer
    with held(qcsc_loop, answer["pid"]):
        until(gate.reached.exists, "it has come so far")
        said = Path(answer["output"]).read_text()
        result = refused(qcsc_loop, *words(gate))
        assert result.code == 3
        assert "is being driven by process" in result.err
        assert result.out == ""
        assert Path(answer["output"]).read_text() == said
        assert [file.name for file in (qcsc_loop.store / "far").glob("driver*")] == ["driver.out"]


@pytest.mark.parametrize(
    "wrong",
    [("--set", "size=0"), ("--run-id", "../far"), ("--max-iterations", "-1")],
)
def test_a_wrong_word_is_refused_before_anything_is_started(
    qcsc_loop: CommandLine, wrong: tuple[str, ...]
) -> None:
    result = refused(qcsc_loop, "run", "-d", WANDER, "--no-prefect", *wrong)
    assert result.code == 2
    assert not qcsc_loop.store.exists() or not any(qcsc_loop.store.iterdir())


def test_a_driver_that_fails_at_once_has_ended_all_the_same(
    qcsc_loop: CommandLine, tmp_path: Path
) -> None:
    (tmp_path / "trace.bad").touch()
    command = ("run", "-d", f"{TOYS}:Raises", "--no-prefect", "--run-id", "far")
    result = refused(qcsc_loop, *command, *setting(trace=str(tmp_path / "trace")))
    assert result.code in (0, 1)  # it may have ended before it was looked at
    until(lambda: status(qcsc_loop) is RunStatus.FAILED, "it fails")

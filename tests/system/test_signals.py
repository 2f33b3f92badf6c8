"""Ctrl-C and SIGTERM end a run in order and in bounded time; two drivers never drive one run."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from system.command_line import (
    BOUND_SECONDS,
    WANDER,
    Background,
    CommandLine,
    command_line,
    ended_by,
    setting,
)
from system.interpreter import SCRIPT
from waiting import alive, until

SECOND_DRIVER_SECONDS = 10.0  # from the start of a driver to its refusal
LIMIT = "4"
WORDS = {
    signal.SIGTERM: "SIGTERM",
    signal.SIGINT: "Ctrl-C",
    signal.SIGHUP: "the terminal closed",
}
EXIT_CODES = {signal.SIGTERM: 143, signal.SIGINT: 130, signal.SIGHUP: 129}
RANKS = "qcsc_hpc.mpi.bitcount"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, prefect_home: Path) -> str:
    """The state of the toy's run that nobody interrupted."""
    with command_line(tmp_path_factory.mktemp("whole"), prefect_home) as line:
        words = ("run", WANDER, "--no-prefect", "--max-iterations", LIMIT, "--json")
        return str(line(*words).well().answer["state_sha256"])


class Gate:
    """Holds the toy in `sample` of iteration 3."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.reached, self.cancelled = folder / "3.reached", folder / "3.cancelled"
        self._open = folder / "3.open"
        self.settings = setting(gate=str(folder), gates=[3])

    def open(self) -> None:
        self._open.touch()


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return Gate(tmp_path / "gate")


def held(line: CommandLine, run_id: str, gate: Gate, *more: str) -> Background:
    """A driver that waits at the gate."""
    words = ("run", WANDER, "--run-id", run_id, "--max-iterations", LIMIT, *gate.settings)
    driver = line.start(*words, *more)
    driver.until_there_is(gate.reached)
    return driver


@pytest.mark.guarantee("G3")
@pytest.mark.parametrize("number", EXIT_CODES, ids=lambda number: number.name)
@pytest.mark.parametrize("prefect", [("--no-prefect",), ()], ids=["alone", "temporary server"])
def test_a_signal_ends_the_run_in_order_and_it_can_be_resumed(
    qcsc_loop: CommandLine,
    run_id: str,
    gate: Gate,
    whole: str,
    number: signal.Signals,
    prefect: tuple[str, ...],
) -> None:
    driver = held(qcsc_loop, run_id, gate, *prefect)
    # what beats for it, and the temporary server
    assert len(driver.children()) == (1 if prefect else 2)
    assert ended_by(driver, number) == EXIT_CODES[number]
    result = driver.result()
    assert f"{run_id}: interrupted by {number.name}" in result.err
    assert f"qcsc-loop resume {run_id}" in result.err
    assert "Traceback" not in result.out + result.err
    assert result.err.count("\n") == 1
    facts = qcsc_loop("show", run_id, "--json").well().answer
    assert (facts["status"], facts["fact"]) == ("interrupted", WORDS[number])
    gate.open()
    resumed = qcsc_loop("resume", run_id, "--no-prefect", "--json").well().answer
    assert (resumed["resumed_from"], resumed["state_sha256"]) == (2, whole)


def test_a_terminal_that_is_closed_ends_the_run_in_order(
    qcsc_loop: CommandLine, run_id: str, gate: Gate, whole: str
) -> None:
    ours, theirs = pty.openpty()
    words = ("run", WANDER, "--no-prefect", "--run-id", run_id, "--max-iterations", LIMIT)
    with subprocess.Popen(
        [str(SCRIPT), *words, *gate.settings],
        env=qcsc_loop.environment,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    ) as driver:
        try:
            os.close(theirs)
            until(lambda: gate.reached.exists() or driver.poll() is not None, "it is held")
            os.close(ours)  # as `sshd` does when a connection is lost
            assert driver.wait(BOUND_SECONDS) == EXIT_CODES[signal.SIGHUP]
        finally:
            driver.kill()
    assert qcsc_loop.status(run_id) == "interrupted"
    gate.open()
    resumed = qcsc_loop("resume", run_id, "--no-prefect", "--json").well().answer
    assert (resumed["resumed_from"], resumed["state_sha256"]) == (2, whole)


def test_one_that_is_to_outlive_its_terminal_does(
    qcsc_loop: CommandLine, run_id: str, gate: Gate, whole: str
) -> None:
    words = ("run", WANDER, "--no-prefect", "--run-id", run_id, "--max-iterations", LIMIT)
    nohup = ("nohup", str(SCRIPT), *words, *gate.settings, "--json")
    driver = qcsc_loop.start(*nohup[1:], program=Path(nohup[0]))
    driver.until_there_is(gate.reached)
    driver.send(signal.SIGHUP)
    gate.open()
    assert driver.result().well().answer["state_sha256"] == whole


def test_with_json_an_interruption_ends_stdout_too(
    qcsc_loop: CommandLine, run_id: str, gate: Gate
) -> None:
    driver = held(qcsc_loop, run_id, gate, "--no-prefect", "--json")
    driver.send(signal.SIGTERM)
    answer = driver.result().answer
    assert (answer["run_id"], answer["kind"]) == (run_id, "Interrupted")
    assert "SIGTERM" in answer["error"]


def test_an_interrupted_run_is_free_at_once(
    qcsc_loop: CommandLine, run_id: str, gate: Gate
) -> None:
    ended_by(held(qcsc_loop, run_id, gate, "--no-prefect"), signal.SIGTERM)
    gate.open()
    # the default lease of 30 s has not run out: a driver that minded it would be refused
    qcsc_loop("resume", run_id, "--no-prefect").well()


@pytest.mark.parametrize("prefect", [("--no-prefect",), ()], ids=["alone", "temporary server"])
def test_a_second_ctrl_c_ends_at_once_what_the_first_one_did_not(
    qcsc_loop: CommandLine, run_id: str, gate: Gate, whole: str, prefect: tuple[str, ...]
) -> None:
    driver = held(qcsc_loop, run_id, gate, *prefect, *setting(stubborn=True))
    below = driver.children()
    driver.send(signal.SIGINT)
    driver.until_there_is(gate.cancelled)
    assert ended_by(driver, signal.SIGINT) == 130
    until(lambda: not any(alive(child.pid) for child in below), "its children are gone")
    assert "Traceback" not in driver.said
    gate.open()
    resumed = qcsc_loop("resume", run_id, "--no-prefect", "--json").well().answer
    assert resumed["state_sha256"] == whole


@pytest.mark.parametrize("fault", ["stubborn", "busy"])
def test_a_hook_that_does_not_mind_a_cancellation_cannot_hold_the_driver(
    qcsc_loop: CommandLine, run_id: str, gate: Gate, whole: str, fault: str
) -> None:
    driver = held(qcsc_loop, run_id, gate, "--no-prefect", *setting(**{fault: True}))
    assert ended_by(driver, signal.SIGTERM) == 143
    gate.open()
    resumed = qcsc_loop("resume", run_id, "--no-prefect", "--json").well().answer
    assert resumed["state_sha256"] == whole


class TestBusyWithBitCount:
    # a statevector of 25 qubits takes longer to simulate than a test waits
    LARGE = setting(num_qubits=25, shots=50, **{"sampler.method": "statevector"}, tolerance=0)
    SMALL = setting(num_qubits=4, shots=3000, tolerance=0)

    def test_sigterm_while_aer_simulates_ends_the_run(
        self, qcsc_loop: CommandLine, run_id: str
    ) -> None:
        words = ("run", "bitcount", "--no-prefect", "--run-id", run_id, "--max-iterations", "9")
        driver = qcsc_loop.start(*words, *self.LARGE)

        def simulating() -> bool:
            # the state alone has 2**25 complex numbers
            memory = [child.memory_info().rss for child in driver.children()]
            return max(memory, default=0) > 400e6 or driver.process.poll() is not None

        until(simulating, "Aer simulates, in a process that does not stop the driver")
        assert ended_by(driver, signal.SIGTERM) == 143
        assert qcsc_loop.status(run_id) == "interrupted"

    @pytest.mark.parametrize("prefect", [("--no-prefect",), ()], ids=["alone", "temporary server"])
    def test_sigterm_while_ranks_count_ends_them_too(
        self, qcsc_loop: CommandLine, run_id: str, prefect: tuple[str, ...]
    ) -> None:
        words = ("run", "bitcount", *prefect, "--run-id", run_id, "--max-iterations", "3")
        driver = qcsc_loop.start(*words, *self.SMALL)
        until(lambda: driver.child(RANKS) or driver.process.poll() is not None, "there are ranks")
        assert ended_by(driver, signal.SIGTERM) == 143
        assert qcsc_loop.status(run_id) == "interrupted"
        steps = qcsc_loop.journal(run_id).store.names(f"{run_id}/steps")
        assert steps == ["00000001.sample.e0001"]  # the samples are kept
        resumed = qcsc_loop("resume", run_id, "--no-prefect", "--json").well().answer
        assert resumed["scalars"]["shots"] == 9000


@pytest.mark.parametrize("number", EXIT_CODES, ids=lambda number: number.name)
def test_a_signal_before_the_run_begins_leaves_nothing_that_runs(
    qcsc_loop: CommandLine, run_id: str, number: signal.Signals
) -> None:
    driver = qcsc_loop.start("run", WANDER, "--run-id", run_id, "--max-iterations", "2")
    # its child is there while the driver waits for the temporary server's first answer
    until(
        lambda: driver.child("serve_api") or driver.process.poll() is not None, "the server starts"
    )
    code = ended_by(driver, number)
    assert (128 - code if code < 0 else code) == EXIT_CODES[number]  # as a shell reports it
    assert "Traceback" not in driver.said


class TestTwoDriversOnOneRun:
    @pytest.fixture
    def first(self, qcsc_loop: CommandLine, run_id: str, gate: Gate) -> Background:
        return held(qcsc_loop, run_id, gate, "--no-prefect")

    @pytest.fixture
    def warm(self, qcsc_loop: CommandLine) -> None:
        """What the refusal needs is in the disk cache."""
        qcsc_loop("run", WANDER, "--no-prefect", "--max-iterations", "0").well()

    @pytest.mark.usefixtures("warm")
    def test_the_second_is_refused_at_once_with_who_holds_it_since_when(
        self, qcsc_loop: CommandLine, run_id: str, first: Background
    ) -> None:
        since = qcsc_loop.journal(run_id).epochs()[-1].since.astimezone()
        began = time.monotonic()
        result = qcsc_loop("resume", run_id, "--no-prefect", "--json")
        took = time.monotonic() - began
        holder = f"process {first.pid} on {socket.gethostname()} since {since:%Y-%m-%d %H:%M:%S}"
        assert holder in result.refusal
        assert (result.code, result.answer["kind"]) == (3, "RunLocked")
        assert took < SECOND_DRIVER_SECONDS

    def test_the_first_is_not_disturbed(
        self, qcsc_loop: CommandLine, run_id: str, first: Background, gate: Gate, whole: str
    ) -> None:
        assert qcsc_loop("resume", run_id, "--no-prefect").code == 3
        assert qcsc_loop.status(run_id) == "running"
        gate.open()
        first.result().well()
        history = qcsc_loop.journal(run_id).history()
        assert [commit.epoch for commit in history] == [1] * 5
        assert history[-1].state_sha256 == whole

    def test_of_two_in_a_flow_the_second_is_refused_too(
        self, with_server: CommandLine, run_id: str, gate: Gate
    ) -> None:
        first = held(with_server, run_id, gate)
        result = with_server("resume", run_id)
        assert result.code == 3
        assert f"process {first.pid} on " in result.refusal
        gate.open()
        first.result().well()

    def test_of_two_started_at_once_one_drives(
        self, qcsc_loop: CommandLine, run_id: str, gate: Gate
    ) -> None:
        words = ("run", WANDER, "--no-prefect", "--run-id", run_id, *gate.settings)
        drivers = [qcsc_loop.start(*words, "--max-iterations", LIMIT) for _ in range(2)]
        until(lambda: any(d.process.poll() is not None for d in drivers), "one is refused")
        gate.open()
        results = sorted((driver.result() for driver in drivers), key=lambda result: result.code)
        assert [result.code for result in results] == [0, 3]
        assert "is being driven by process" in results[1].refusal


class TestADriverThatStoodStill:
    LEASE = {"QCSC_LOOP_LEASE_SECONDS": "1"}

    @pytest.fixture
    def stale(self, qcsc_loop: CommandLine, run_id: str, gate: Gate) -> Iterator[Background]:
        """A driver that stands still within iteration 3, longer than its lease."""
        qcsc_loop.environment |= self.LEASE
        driver = held(qcsc_loop, run_id, gate, "--no-prefect")
        driver.send(signal.SIGSTOP)
        journal = qcsc_loop.journal(run_id)
        until(lambda: not journal.hold(journal.epoch(1)).seconds, "the lease has run out")
        yield driver
        driver.send(signal.SIGCONT)

    def test_it_is_taken_over_if_asked_to_and_fenced_off_and_the_result_is_right(
        self, qcsc_loop: CommandLine, run_id: str, stale: Background, gate: Gate, whole: str
    ) -> None:
        gate.open()
        taken = qcsc_loop("resume", run_id, "--no-prefect", "--json", "--take-over").well()
        assert (taken.answer["resumed_from"], taken.answer["state_sha256"]) == (2, whole)
        stale.send(signal.SIGCONT)
        result = stale.result()
        assert result.code == 3
        assert f"this driver (epoch 1) lost run '{run_id}' to a newer one (epoch 2)" in (
            result.refusal
        )
        history = qcsc_loop.journal(run_id).history()
        assert history[-1].state_sha256 == whole
        assert [commit.iteration for commit in history] == [0, 1, 2, 3, 4]
        assert qcsc_loop.status(run_id) == "max_iterations"

    def test_it_keeps_its_run_otherwise(
        self, qcsc_loop: CommandLine, run_id: str, stale: Background, gate: Gate
    ) -> None:
        refusal = qcsc_loop("resume", run_id, "--no-prefect").refusal
        assert f"It lives: end it, or take the run over from it: qcsc-loop resume {run_id}" in (
            refusal
        )
        gate.open()
        stale.send(signal.SIGCONT)
        stale.result().well()


def test_a_driver_started_by_a_shell_that_ignores_ctrl_c_minds_it_all_the_same(
    qcsc_loop: CommandLine, run_id: str, gate: Gate
) -> None:
    """As in `nohup` and shell scripts' background jobs, where SIGINT starts out ignored."""
    words = [str(SCRIPT), "run", WANDER, "--no-prefect", "--run-id", run_id, *gate.settings]
    shell = "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_IGN); " + (
        "os.execv(sys.argv[1], sys.argv[1:])"
    )
    with subprocess.Popen(
        [sys.executable, "-c", shell, *words],
        env=qcsc_loop.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as driver:
        try:
            until(lambda: gate.reached.exists() or driver.poll() is not None, "it is held")
            os.kill(driver.pid, signal.SIGINT)
            _, said = driver.communicate(timeout=30)
        finally:
            driver.kill()
    assert driver.returncode == 130
    assert re.search("interrupted by SIGINT", said)

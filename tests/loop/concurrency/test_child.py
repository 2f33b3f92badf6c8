"""A child process that never outlives its driver."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from qcsc_loop.concurrency import child
from qcsc_loop.concurrency.child import tie_to_this_process
from waiting import DEADLINE_SECONDS, alive, until

PARENT = """
import subprocess
from qcsc_loop.concurrency.child import tie_to_this_process
child = subprocess.Popen(tie_to_this_process(["sleep", "600"]), start_new_session=True)
print(child.pid, flush=True)
child.wait()
"""


@contextmanager
def parent_and_child() -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A process that waits for a child of its own, and that child's pid."""
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True)
    pid = 0
    with parent:
        try:
            assert parent.stdout is not None
            pid = int(parent.stdout.readline())
            until(lambda: psutil.Process(pid).name() == "sleep", "the child has become its command")
            yield parent, pid
        finally:
            parent.kill()
            if pid:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        tie_to_this_process([*command]), capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_child_dies_when_its_parent_is_killed(number: signal.Signals) -> None:
    with parent_and_child() as (parent, pid):
        parent.send_signal(number)
        parent.wait(DEADLINE_SECONDS)

        until(lambda: not alive(pid), "the child is gone")


def test_a_child_lives_as_long_as_its_parent() -> None:
    with parent_and_child() as (parent, pid):
        assert alive(pid)
        assert parent.poll() is None


def test_a_child_whose_parent_is_already_dead_does_not_start(tmp_path: Path) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait(DEADLINE_SECONDS)
    mark = tmp_path / "started"
    command = [sys.executable, "-I", "-S", child.__file__, str(gone.pid), "touch", str(mark)]

    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert not mark.exists()


def test_a_child_is_the_command_itself_not_a_process_around_it() -> None:
    process = subprocess.Popen(
        tie_to_this_process(["sh", "-c", "echo $$"]), stdout=subprocess.PIPE, text=True
    )

    assert int(process.communicate(timeout=DEADLINE_SECONDS)[0]) == process.pid


@pytest.mark.parametrize("code", [0, 3, 255])
def test_the_exit_code_is_the_commands(code: int) -> None:
    assert run("sh", "-c", f"exit {code}").returncode == code


def test_a_command_killed_by_a_signal_ends_by_that_signal() -> None:
    assert run("sh", "-c", "kill -USR1 $$").returncode == -signal.SIGUSR1


def test_a_command_that_does_not_exist_ends_with_127_and_one_line() -> None:
    done = run("no-such-command", "argument")

    assert done.returncode == 127
    assert done.stderr == "no-such-command: No such file or directory\n"


def test_a_file_that_may_not_be_executed_ends_with_127_and_one_line(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("true\n")

    done = run(str(script))

    assert (done.returncode, done.stderr) == (127, f"{script}: Permission denied\n")


def test_arguments_arrive_as_they_are() -> None:
    arguments = ["two words", "$HOME", "*", "'", '"', "", "-c", "ψ"]

    done = run("printf", "%s\\n", *arguments)

    assert done.stdout.splitlines() == arguments


def test_the_environment_is_the_parents(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QCSC_LOOP_TEST", "seen")

    assert run("printenv", "QCSC_LOOP_TEST").stdout == "seen\n"


def test_a_module_in_the_current_folder_is_not_imported_on_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ctypes.py").write_text("raise SystemExit('shadowed')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    assert run("true").returncode == 0

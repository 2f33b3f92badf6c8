"""Real ranks on this machine: started, told, and gone when nobody waits for them any more."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import anyio
import numpy as np
import psutil
import pytest
from pydantic import ValidationError

from qcsc_hpc.local import LocalMachine, launcher
from qcsc_hpc.machine import Machine
from qcsc_loop.errors import ProgramFailed
from waiting import alive, until, until_async

RANKS = 3
# the launcher of the ranks is a process of theirs too: it is written down as their parent
PROGRAMS = {
    "says": """
        import os, sys
        print("arguments", *sys.argv[1:], flush=True)
        print("threads", os.environ["OMP_NUM_THREADS"], file=sys.stderr, flush=True)
        """,
    "fails": """
        import sys
        print("first line\\nlast line", flush=True)
        sys.exit(7)
        """,
    "babbles": """
        import sys
        for number in range(20_000):
            print("line", number)
        sys.exit(1)
        """,
    "dies": """
        import os, signal
        from mpi4py import MPI
        if MPI.COMM_WORLD.rank == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        MPI.COMM_WORLD.Barrier()
        """,
    "stays": """
        import os, sys, time
        from pathlib import Path
        from mpi4py import MPI
        folder = Path(sys.argv[1])
        for pid in (os.getpid(), os.getppid()):
            (folder / f"{pid}.pid").touch()
        (folder / f"rank-{MPI.COMM_WORLD.rank}").touch()
        while True:
            time.sleep(1)
        """,
    "stays_deaf": """
        import signal, runpy
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        runpy.run_module("stays", run_name="__main__")
        """,
}

DRIVER = """
import sys
from pathlib import Path
import anyio
from qcsc_hpc.local import LocalMachine
module, folder, ranks = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
anyio.run(lambda: LocalMachine().run(module, [str(folder)], ranks=ranks, folder=folder))
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A work folder; the programs above can be imported by whoever is started."""
    for name, source in PROGRAMS.items():
        path = tmp_path / "programs" / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(dedent(source))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "programs"))
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


@pytest.fixture
def pids(folder: Path) -> Iterator[set[int]]:
    """Filled by `ranks_in`; whatever a test leaves running is ended after it."""
    found: set[int] = set()
    yield found
    for pid in found | written_down(folder):
        if alive(pid):
            os.kill(pid, signal.SIGKILL)


def written_down(folder: Path) -> set[int]:
    return {int(path.stem) for path in folder.glob("*.pid")}


def all_started(folder: Path) -> bool:
    return len(list(folder.glob("rank-*"))) == RANKS


def gone(pids: set[int]) -> bool:
    return not any(alive(pid) for pid in pids)


def run(module: str, *arguments: str, folder: Path, ranks: int = 2, threads: int = 1) -> str:
    """What the program said."""
    machine = LocalMachine(threads=threads)
    anyio.run(lambda: machine.run(module, arguments, ranks=ranks, folder=folder))
    return (folder / f"{module}.log").read_text()


def failure(module: str, folder: Path) -> ProgramFailed:
    with pytest.raises(ProgramFailed) as caught:
        run(module, folder=folder)
    return caught.value


# running


def test_the_output_of_all_ranks_is_kept(folder: Path) -> None:
    log = run("says", "a", "b c", folder=folder, ranks=RANKS)
    assert log.count("arguments a b c\n") == RANKS


def test_ranks_get_their_number_of_threads(folder: Path) -> None:
    assert "threads 2\n" in run("says", folder=folder, threads=2)


def test_the_log_of_an_earlier_attempt_is_replaced(folder: Path) -> None:
    run("says", "first", folder=folder)
    assert "first" not in run("says", "second", folder=folder)


def test_a_program_of_ours_runs(folder: Path) -> None:
    np.save(folder / "shots.npy", np.array([[1], [3], [1]], np.uint8))
    arguments = ["2", "2", str(folder / "shots.npy"), str(folder / "counts.npz")]
    run("qcsc_hpc.mpi.bitcount", *arguments, folder=folder)
    with np.load(folder / "counts.npz") as found:
        assert found["counts"].tolist() == [2, 1]


def test_the_launcher_is_the_one_beside_this_python() -> None:
    assert launcher().parent == Path(sys.executable).parent
    assert launcher().exists()


# failing


def test_a_program_that_fails_is_told_with_its_code_and_its_last_words(folder: Path) -> None:
    error = failure("fails", folder)
    assert error.exit_code_of_program == 7
    assert str(error).startswith("fails on 2 ranks ended with 7; it said: ")
    assert "last line" in str(error)


def test_the_output_of_a_program_that_fails_is_kept(folder: Path) -> None:
    error = failure("fails", folder)
    assert "first line\nlast line\n" in error.tail
    assert "first line\nlast line\n" in (folder / "fails.log").read_text()


def test_of_a_long_output_the_end_is_told(folder: Path) -> None:
    error = failure("babbles", folder)
    assert len(error.tail) <= 4000
    assert "line 19999" in error.tail


def test_a_rank_that_is_killed_fails_the_program(folder: Path) -> None:
    assert failure("dies", folder).exit_code_of_program != 0


def test_a_module_that_is_not_there_fails_the_program(folder: Path) -> None:
    assert "No module named no_such_module" in str(failure("no_such_module", folder))


def test_an_error_is_one_line(folder: Path) -> None:
    assert "\n" not in str(failure("babbles", folder))


def test_a_missing_launcher_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "prefix", str(folder))
    with pytest.raises(ProgramFailed, match=r"cannot start: there is no .*mpiexec .*mpich"):
        run("says", folder=folder)


@pytest.mark.parametrize("ranks", [0, -1])
def test_no_ranks_are_no_success(folder: Path, ranks: int) -> None:
    with pytest.raises(ProgramFailed):
        run("says", folder=folder, ranks=ranks)


# ending


def cancelled_run(module: str, folder: Path, pids: set[int]) -> list[psutil.Process]:
    """Runs and cancels; the children of this process that are left when the run has returned."""

    async def main() -> list[psutil.Process]:
        async with anyio.create_task_group() as group:
            group.start_soon(run_forever)
            await until_async(lambda: all_started(folder), "all ranks run")
            pids.update(written_down(folder))
            group.cancel_scope.cancel()
        return psutil.Process().children()

    async def run_forever() -> None:
        await LocalMachine().run(module, [str(folder)], ranks=RANKS, folder=folder)

    return anyio.run(main)


@pytest.mark.parametrize("module", ["stays", "stays_deaf"])
def test_a_cancellation_ends_every_rank(folder: Path, pids: set[int], module: str) -> None:
    cancelled_run(module, folder, pids)
    assert len(pids) >= RANKS
    until(lambda: gone(pids), "every rank is gone")


@pytest.mark.parametrize("module", ["stays", "stays_deaf"])
def test_a_cancelled_program_is_waited_for(folder: Path, pids: set[int], module: str) -> None:
    assert cancelled_run(module, folder, pids) == []


@pytest.mark.parametrize("module", ["stays", "stays_deaf"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_driver_that_dies_leaves_no_ranks(
    folder: Path, pids: set[int], module: str, number: signal.Signals
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", DRIVER, module, str(folder), str(RANKS)]
    ) as driver:
        try:
            until(lambda: all_started(folder), "all ranks run")
            pids.update(written_down(folder))
            driver.send_signal(number)
            driver.wait()
        finally:
            driver.kill()
    assert len(pids) >= RANKS
    until(lambda: gone(pids), "every rank is gone")


def test_a_ctrl_c_at_the_driver_leaves_no_ranks(folder: Path, pids: set[int]) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", DRIVER, "stays_deaf", str(folder), str(RANKS)],
        stderr=subprocess.DEVNULL,
    ) as driver:
        try:
            until(lambda: all_started(folder), "all ranks run")
            pids.update(written_down(folder))
            driver.send_signal(signal.SIGINT)
            driver.wait()
        finally:
            driver.kill()
    assert len(pids) >= RANKS
    until(lambda: gone(pids), "every rank is gone")


# settings


def test_settings_are_found_by_their_type() -> None:
    assert Machine.model_validate({"type": "local", "threads": 3}) == LocalMachine(threads=3)


def test_an_unknown_machine_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValidationError, match=r"type must be one of .*local"):
        Machine.model_validate({"type": "abacus"})


@pytest.mark.parametrize("threads", [0, -1])
def test_no_threads_are_refused(threads: int) -> None:
    with pytest.raises(ValidationError, match="threads"):
        LocalMachine(threads=threads)

"""Real ranks on this machine: started, told, and gone when nobody waits for them any more."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from textwrap import dedent

import anyio
import numpy as np
import psutil
import pytest
from pydantic import ValidationError

from qcsc_hpc.machine import HPCMachine, LocalMachine, Machine, Program
from qcsc_hpc.profiles import ExecutionProfile, HPCProfile
from qcsc_loop.errors import JobFailed, JobRefused
from qcsc_loop.steps.step import Step, stepping
from waiting import DEADLINE_SECONDS, alive, until, until_async

RANKS = 3
# the launcher of the ranks is a process of theirs too: it is written down as their parent
PROGRAMS = {
    "says": """
        import os, sys
        os.write(1, f"arguments {' '.join(sys.argv[1:])}\\n".encode())  # whole: ranks share a log
        print("threads", os.environ["OMP_NUM_THREADS"], file=sys.stderr, flush=True)
        """,
    "fails": """
        import os, sys
        os.write(1, b"first line\\nlast line\\n")
        sys.exit(7)
        """,
    "babbles": """
        import os, sys
        for number in range(20_000):
            os.write(1, f"line {number}\\n".encode())
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
    "breeds": """
        import os, subprocess, sys
        from pathlib import Path
        script = f"touch {sys.argv[1]}/$$.pid; while :; do sleep 0.1; done"
        for alone in (False, True):
            subprocess.Popen(["bash", "-c", script], start_new_session=alone)
        while len(list(Path(sys.argv[1]).glob("*.pid"))) < 2:
            pass
        (Path(sys.argv[1]) / f"{os.getpid()}.pid").touch()
        if "and ends" not in sys.argv:
            subprocess.run(["sleep", "60"])
        """,
    "shares": """
        import os, signal, sys
        from pathlib import Path
        from mpi4py import MPI
        folder, comm = Path(sys.argv[1]), MPI.COMM_WORLD
        with open("/proc/self/maps") as maps:
            shared = {line.split()[-1] for line in maps if "/dev/shm/mpich_shm_" in line}
        (folder / f"shared-{comm.rank}").write_text(" ".join(shared))
        (folder / f"{os.getpid()}.pid").touch()
        comm.Barrier()
        if comm.rank == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        comm.Barrier()
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
from qcsc_hpc.machine import LocalMachine, Program
from qcsc_loop.steps.step import Step, stepping
module, folder, ranks = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
program = Program(module, module)
with stepping(Step(make_folder=lambda: folder)):
    anyio.run(
        lambda: LocalMachine().run(program, [str(folder)], ranks=ranks, collect=lambda path: None)
    )
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


@pytest.fixture
def step(folder: Path) -> Iterator[Step]:
    """The step whose jobs run in the work folder."""
    with stepping(Step(make_folder=lambda: folder)) as step:
        yield step


def executed_again(step: Step) -> AbstractContextManager[Step]:
    """The same step, as the next driver comes to it."""
    return stepping(Step(make_folder=step.make_folder, ledger=step.ledger))


def run(
    module: str,
    *arguments: str | Path,
    ranks: int = 2,
    threads: int = 1,
    outputs: tuple[str, ...] = (),
) -> Path:
    """The folder of a job that ended well."""
    machine, program = LocalMachine(threads=threads), Program(module, module)
    return anyio.run(
        lambda: machine.run(
            program, arguments, ranks=ranks, outputs=outputs, collect=lambda folder: folder
        )
    )


def said(job: Path) -> str:
    return (job / "output.log").read_text()


def failure(module: str) -> JobFailed:
    with pytest.raises(JobFailed) as caught:
        run(module)
    return caught.value


# running


@pytest.mark.usefixtures("step")
def test_the_output_of_all_ranks_is_kept() -> None:
    assert said(run("says", "a", "b c", ranks=RANKS)).count("arguments a b c\n") == RANKS


@pytest.mark.usefixtures("step")
def test_ranks_get_their_number_of_threads() -> None:
    assert "threads 2\n" in said(run("says", threads=2))


@pytest.mark.usefixtures("step")
def test_a_machine_has_a_number_of_ranks_of_its_own() -> None:
    async def main() -> str:
        program = Program("says", "says")
        return await LocalMachine(ranks=RANKS).run(program, [], collect=said)

    assert anyio.run(main).count("arguments") == RANKS


def test_a_second_attempt_leaves_the_log_of_the_first_alone(step: Step) -> None:
    failure("fails")
    with executed_again(step):
        failure("fails")
    logs = [said(step.work_dir / f"fails.{attempt}.job") for attempt in (0, 1)]
    assert [log.count("first line") for log in logs] == [2, 2]  # ranks


def test_a_program_runs_once_in_a_step_that_is_executed_twice(step: Step) -> None:
    first = run("says", "a")
    with executed_again(step):
        second = run("says", "a")
    assert first == second
    assert said(second).count("arguments a\n") == 2  # ranks


@pytest.mark.usefixtures("step")
def test_a_program_of_ours_runs(folder: Path) -> None:
    np.save(folder / "shots.npy", np.array([[1], [3], [1]], np.uint8))
    job = run(
        "qcsc_hpc.mpi.bitcount", "2", folder / "shots.npy", "counts.npz", outputs=("counts.npz",)
    )
    with np.load(job / "counts.npz") as found:
        assert found["counts"].tolist() == [2, 1]


@pytest.mark.usefixtures("step")
def test_ranks_are_told_how_many_there_are() -> None:
    run("qcsc_hpc.mpi.world", ranks=RANKS)


# failing


@pytest.mark.usefixtures("step")
def test_a_program_that_fails_is_told_with_its_code_and_its_last_words() -> None:
    error = failure("fails")
    assert error.exit_code_of_job == 7
    assert error.state == "FAILED"
    assert re.match(
        r"fails \(this machine job \d+\) ended FAILED with exit code 7; its output ends: ",
        str(error),
    )
    assert "last line" in str(error)


@pytest.mark.usefixtures("step")
def test_the_output_of_a_program_that_fails_is_kept(folder: Path) -> None:
    error = failure("fails")
    assert "first line\nlast line\n" in error.tail
    assert "first line\nlast line\n" in said(folder / "fails.0.job")
    assert str(folder / "fails.0.job") in str(error)


@pytest.mark.usefixtures("step")
def test_of_a_long_output_the_end_is_told_and_all_of_it_is_kept(folder: Path) -> None:
    error = failure("babbles")
    assert len(error.tail) <= 4000
    assert "line 19999" in error.tail
    assert said(folder / "babbles.0.job").startswith("line 0\n")


@pytest.mark.usefixtures("step")
def test_a_rank_that_is_killed_fails_the_program() -> None:
    assert failure("dies").exit_code_of_job != 0


@pytest.mark.usefixtures("step")
def test_a_module_that_is_not_there_fails_the_program() -> None:
    assert "No module named no_such_module" in str(failure("no_such_module"))


@pytest.mark.usefixtures("step")
def test_an_error_is_one_line() -> None:
    assert "\n" not in str(failure("babbles"))


@pytest.mark.usefixtures("step")
def test_a_missing_launcher_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "prefix", str(folder))
    error = failure("says")
    assert f"{folder}/bin/mpiexec: No such file" in str(error)
    assert error.exit_code_of_job == 127


@pytest.mark.usefixtures("step")
@pytest.mark.parametrize("ranks", [0, -1])
def test_no_ranks_are_no_success(folder: Path, ranks: int) -> None:
    with pytest.raises(JobRefused, match="ranks"):
        run("says", ranks=ranks)
    assert list(folder.iterdir()) == []


@pytest.mark.usefixtures("step")
def test_a_result_that_is_not_there_fails_a_program_that_ended_well() -> None:
    with pytest.raises(JobFailed, match=r"ended FAILED: it ended well, but it left no counts\.npz"):
        run("says", outputs=("counts.npz",))


# ending


def cancelled_run(module: str, folder: Path, pids: set[int]) -> list[psutil.Process]:
    """Runs and cancels; the children of it that are left when it has returned."""
    others = psutil.Process().children()  # an earlier test's

    async def main() -> list[psutil.Process]:
        async with anyio.create_task_group() as group:
            group.start_soon(run_forever)
            await until_async(lambda: all_started(folder), "all ranks run")
            pids.update(written_down(folder))
            group.cancel_scope.cancel()
        return [child for child in psutil.Process().children() if child not in others]

    async def run_forever() -> None:
        program = Program(module, module)
        await LocalMachine().run(program, [str(folder)], ranks=RANKS, collect=lambda path: None)

    with stepping(Step(make_folder=lambda: folder)):
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
            driver.wait(DEADLINE_SECONDS)
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
            driver.wait(DEADLINE_SECONDS)
        finally:
            driver.kill()
    assert len(pids) >= RANKS
    until(lambda: gone(pids), "every rank is gone")


# what jobs leave


def single() -> HPCMachine:
    """Starts a program by itself: no launcher that could end what it starts."""
    return HPCMachine(
        hpc_profile=HPCProfile(scheduler="local"),
        execution_profile=ExecutionProfile(launcher="single"),
    )


BREEDING = """
import sys
from pathlib import Path
import anyio
from qcsc_hpc.machine import Machine, Program
from qcsc_loop.steps.step import Step, stepping
machine, folder = Machine.model_validate_json(sys.argv[1]), Path(sys.argv[2])
program = Program("breeds", "breeds", mpi=False)
with stepping(Step(make_folder=lambda: folder)):
    anyio.run(lambda: machine.run(program, [str(folder)], collect=lambda path: None))
"""


@pytest.mark.guarantee("G17")
def test_a_driver_that_is_killed_leaves_nothing_that_its_jobs_have_started(
    folder: Path, pids: set[int]
) -> None:
    words = [sys.executable, "-c", BREEDING, single().model_dump_json(), str(folder)]
    with subprocess.Popen(words) as driver:
        try:
            until(lambda: len(written_down(folder)) == 3, "the program and its children run")
            pids.update(written_down(folder))
        finally:
            driver.kill()
    until(lambda: gone(pids), "all of them are gone")


@pytest.mark.usefixtures("step")
def test_a_job_that_ends_leaves_nothing_that_it_has_started(folder: Path, pids: set[int]) -> None:
    program = Program("breeds", "breeds", mpi=False)
    words = [str(folder), "and ends"]
    anyio.run(lambda: single().run(program, words, collect=lambda path: None))
    pids.update(written_down(folder))
    assert len(pids) == 3
    until(lambda: gone(pids), "all of them are gone")


def shared_memory(folder: Path) -> set[str]:
    found = [path.read_text().split() for path in folder.glob("shared-*")]
    return {name for names in found for name in names}


@pytest.mark.usefixtures("step")
def test_memory_that_ranks_shared_is_freed_when_one_is_killed(folder: Path, pids: set[int]) -> None:
    with pytest.raises(JobFailed):
        run("shares", str(folder))
    pids.update(written_down(folder))
    assert shared_memory(folder)
    until(lambda: not any(map(os.path.exists, shared_memory(folder))), "it is freed")


def test_memory_that_ranks_shared_is_freed_when_their_driver_is_killed(
    folder: Path, pids: set[int]
) -> None:
    shared: set[str] = set()
    words = [sys.executable, "-c", DRIVER, "stays", str(folder), str(RANKS)]
    with subprocess.Popen(words) as driver:
        try:
            until(lambda: all_started(folder), "all ranks run")
            pids.update(written_down(folder))
            for pid in pids:
                maps = Path(f"/proc/{pid}/maps").read_text().split()
                shared |= {word for word in maps if word.startswith("/dev/shm/mpich_shm_")}
        finally:
            driver.kill()
    assert shared
    until(lambda: not any(map(os.path.exists, shared)), "it is freed")


# settings


def test_settings_are_found_by_their_type() -> None:
    assert Machine.model_validate({"type": "local", "threads": 3}) == LocalMachine(threads=3)


def test_an_unknown_machine_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValidationError, match=r"type must be one of .*local"):
        Machine.model_validate({"type": "abacus"})


@pytest.mark.parametrize("name", ["threads", "ranks"])
@pytest.mark.parametrize("value", [0, -1])
def test_no_threads_and_no_ranks_are_refused(name: str, value: int) -> None:
    with pytest.raises(ValidationError, match=name):
        LocalMachine.model_validate({name: value})

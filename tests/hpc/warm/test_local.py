"""A warm job on this machine: what it does, and what becomes of work that goes wrong in it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import psutil
import pytest

from hpc.places import Programs  # noqa: TID251  # the folder of these tests
from hpc.warm.conftest import Hooks  # noqa: TID251  # as above
from hpc.warm.rank_toys import FILLER  # noqa: TID251  # as above
from qcsc_algorithms.bitcount import BitCount
from qcsc_hpc.machine import HPCMachine, LocalMachine, Program
from qcsc_hpc.profiles import ExecutionProfile, HPCProfile
from qcsc_hpc.warm.mailbox import BROKE, OUTCOME, REQUEST, Ended, Mailbox, outcome_in
from qcsc_hpc.warm.settings import Warm
from qcsc_loop.errors import JobRefused
from qcsc_loop.rules.stop import MaxIterations
from qcsc_loop.sampling.aer.sampler import AerSampler
from qcsc_loop.store.memory import MemoryStore
from small_disk import small_disk
from waiting import until, until_async

pytestmark = pytest.mark.anyio


def here(ranks: int = 2, *, run_timeout: float | None = None, **warm: float) -> HPCMachine:
    """This machine, with waiting ranks."""
    how = ExecutionProfile(mpiprocs=ranks, launcher="mpiexec", run_timeout=run_timeout)
    return HPCMachine(
        hpc_profile=HPCProfile(scheduler="local"),
        execution_profile=how,
        placement="warm",
        warm=Warm.model_validate(warm),
    )


def processes(folder: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if any(str(folder) in word for word in process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found


def the_supervisor(folder: Path) -> psutil.Process:
    module = "qcsc_hpc.warm.supervisor"
    return next(p for p in processes(folder) if module in p.cmdline() and "python" in p.name())


# what it does


async def counted(machine: LocalMachine) -> str | None:
    bitcount = BitCount(
        num_qubits=5, shots=1001, tolerance=0, sampler=AerSampler(), machine=machine
    )
    store = MemoryStore()
    outcome = await bitcount.run(store=store, seed=3, stop=MaxIterations(3))
    store.close()
    return outcome.state_sha256


async def test_an_algorithm_gives_the_same_bits_as_in_jobs_of_its_own() -> None:
    assert await counted(LocalMachine(placement="warm")) == await counted(LocalMachine())


async def test_ranks_do_one_request_after_the_other(warm: Hooks) -> None:
    async with warm(here()) as hook:
        assert [(await hook.does("nothing")).value for _ in range(3)] == ["3", "3", "3"]
        assert len(hook.warm_jobs) == 1
        assert hook.warm_jobs[0].job_id is not None


async def test_a_part_of_the_ranks_does_what_asks_for_fewer(warm: Hooks) -> None:
    async with warm(here(3)) as hook:
        found = [(await hook.does("nothing", ranks=ranks)).value for ranks in (1, 2, 3, 2)]
        assert found == ["1", "3", "6", "3"]


async def test_more_ranks_than_it_has_are_refused(warm: Hooks) -> None:
    async with warm(here(2)) as hook:
        with pytest.raises(JobRefused, match="ranks: it has 2, and 3 are asked for"):
            await hook.does("nothing", ranks=3)
        assert hook.records == []


@pytest.mark.parametrize(
    "how", [{"scratch": "/tmp"}, {"walltime": "01:00:00", "warning_seconds": 60}], ids=str
)
async def test_what_is_for_a_job_of_its_own_is_refused(warm: Hooks, how: dict[str, Any]) -> None:
    slurm = HPCMachine(
        hpc_profile=HPCProfile(scheduler="slurm"),
        execution_profile=ExecutionProfile.model_validate(how),
        placement="warm",
    )
    async with warm(slurm) as hook:
        with pytest.raises(JobRefused, match="it is for a job of its own"):
            await hook.does("nothing")
        assert hook.records == []


async def test_what_ranks_print_is_the_requests_own_output(warm: Hooks) -> None:
    async with warm(here()) as hook:
        record = (await hook.does("nothing")).record
        assert record.outcome is not None
        assert sorted(record.outcome.tail.split("\n")) == ["", "rank 0 of 2", "rank 1 of 2"]


async def test_a_program_that_begins_mpi_itself_runs_beside_the_ranks(
    warm: Hooks, programs: Programs
) -> None:
    world = f"{sys.executable} -c 'from mpi4py import MPI; print(MPI.COMM_WORLD.size)'"
    async with warm(here()) as hook:
        assert (await hook.does("nothing")).value == "3"
        done = await hook.runs(programs.command(f"{world}\ntouch out"), ranks=2)
        assert done.record.outcome is not None
        # both write at once, and Python its line's end by itself
        assert "".join(done.record.outcome.tail.split()) == "22"
        assert (done.value / "out").exists()
        assert (await hook.does("nothing")).value == "3"
        assert len(hook.warm_jobs) == 1


async def test_a_programs_exit_code_is_its_outcome(warm: Hooks, programs: Programs) -> None:
    async with warm(here()) as hook:
        hook.iteration += 1
        error = await hook.failure(hook.machine, programs.command("echo so >&2; exit 5"), ranks=1)
        assert (error.state, error.exit_code_of_job, error.tail) == ("FAILED", 5, "so\n")


async def test_ranks_see_a_changed_module(
    warm: Hooks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "changing").mkdir()
    monkeypatch.syspath_prepend(tmp_path / "changing")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "changing"), prepend=os.pathsep)
    helper = tmp_path / "changing" / "rank_helper"
    helper.mkdir()
    (helper / "__init__.py").touch()
    (helper / "__main__.py").write_text(
        "from rank_helper.value import VALUE\nopen('out', 'w').write(VALUE)"
    )
    async with warm(here(1)) as hook:
        found = []
        for value in ("one", "other"):
            (helper / "value.py").write_text(f"VALUE = {value!r}")
            hook.iteration += 1
            done = await hook.run(
                hook.machine, Program("helper", "rank_helper"), [], outputs=["out"]
            )
            found.append((done.value / "out").read_text())
        assert found == ["one", "other"]
        assert len(hook.warm_jobs) == 1


# its life


async def test_it_ends_when_it_is_idle_and_another_serves_then(warm: Hooks) -> None:
    async with warm(here(1, idle_seconds=0.5)) as hook:
        await hook.does("nothing")
        await until_async(lambda: hook.warm_jobs[0].over, "it has ended")
        assert hook.warm_jobs[0].state == "COMPLETED"
        assert (await hook.does("nothing")).value == "1"
        assert [job.key.name for job in hook.warm_jobs] == ["warm-1", "warm-2"]


async def test_it_ends_with_the_run(warm: Hooks, tmp_path: Path) -> None:
    async with warm(here(2)) as hook:
        await hook.does("nothing")
        assert processes(tmp_path)
    assert hook.warm_jobs[0].state == "COMPLETED"
    until(lambda: not processes(tmp_path), "nothing of it runs")


async def test_its_ranks_wait_without_work_for_a_processor(warm: Hooks, tmp_path: Path) -> None:
    async with warm(here(2)) as hook:
        await hook.does("nothing")
        ranks = [p for p in processes(tmp_path) if "qcsc_hpc.warm.rank" in p.cmdline()]
        assert len(ranks) == 2
        assert {process.status() for process in ranks} == {psutil.STATUS_SLEEPING}


async def test_a_supervisor_that_is_killed_is_started_again(warm: Hooks, tmp_path: Path) -> None:
    async with warm(here(2)) as hook:
        await hook.does("nothing")
        the_supervisor(tmp_path).kill()
        assert (await hook.does("nothing")).value == "3"
        assert len(hook.warm_jobs) == 1


async def test_a_warm_job_that_is_killed_is_replaced(warm: Hooks) -> None:
    async with warm(here(2)) as hook:
        await hook.does("nothing")
        os.killpg(int(str(hook.warm_jobs[0].job_id)), signal.SIGKILL)
        assert (await hook.does("nothing")).value == "3"
        assert [job.key.name for job in hook.warm_jobs] == ["warm-1", "warm-2"]


async def test_a_warm_job_without_a_sign_of_life_is_replaced(warm: Hooks, tmp_path: Path) -> None:
    async with warm(here(2, silent_seconds=5.5)) as hook:
        await hook.does("nothing")
        the_supervisor(tmp_path).suspend()
        assert (await hook.does("nothing")).value == "3"
        assert [job.state for job in hook.warm_jobs] == ["CANCELLED", "submitted"]
        assert any("no sign of life for 5.5 s" in text for text in hook.troubles)


async def test_a_warm_job_that_cannot_start_fails_the_step_and_says_why(warm: Hooks) -> None:
    machine = here(2)
    where = machine.hpc_profile.model_copy(update={"executable_map": {"mpiexec": "/bin/false"}})
    async with warm(machine.model_copy(update={"hpc_profile": where})) as hook:
        error = await hook.fails("nothing")
        assert "the warm job ended FAILED before it served" in str(error)
        assert "the ranks do not start" in error.tail


async def test_ranks_that_are_not_one_world_are_refused(warm: Hooks, programs: Programs) -> None:
    """As `srun --mpi=none` starts them."""
    singles = programs.command('shift 2; "$@" & "$@"; wait')
    machine = here(2)
    where = machine.hpc_profile.model_copy(
        update={"executable_map": {"mpiexec": singles.executable_key}}
    )
    async with warm(machine.model_copy(update={"hpc_profile": where})) as hook:
        error = await hook.fails("nothing")
        assert "COMM_WORLD has 1 ranks, 2 were asked for" in error.tail


# what goes wrong in it


@pytest.mark.parametrize(
    ("fault", "code", "why"),
    [
        ("all raise", 1, "ValueError: no such thing"),
        ("one raises", 1, "ValueError: no such thing"),
        ("sys.exit", 7, ""),
        ("message left", 1, "ValueError: no such thing"),
    ],
)
async def test_a_fault_ends_its_request_and_the_next_one_works(
    warm: Hooks, fault: str, code: int, why: str
) -> None:
    async with warm(here(2)) as hook:
        error = await hook.fails(fault)
        assert (error.state, error.exit_code_of_job) == ("FAILED", code)
        assert why in str(error)
        assert "rank 0 of 2" in error.tail
        assert (await hook.does("nothing")).value == "3"
        assert len(hook.warm_jobs) == 1


async def test_a_disk_that_runs_full_ends_its_request_and_with_room_the_next_one_works(
    warm: Hooks, tmp_path: Path
) -> None:
    root = tmp_path / "store"
    with small_disk(root / "work", "1m") as disk:
        async with warm(here(2), root) as hook:
            error = await hook.fails("full disk")
            assert (error.state, error.exit_code_of_job) == ("FAILED", 1)
            assert "No space left on device" in str(error)
            assert "rank 0 of 2" in error.tail
            (filler,) = disk.folder.rglob(FILLER)
            filler.unlink()
            assert (await hook.does("nothing")).value == "3"
            assert len(hook.warm_jobs) == 1


@pytest.mark.parametrize("fault", ["killed", "abort"])
async def test_a_request_in_which_ranks_die_is_tried_again_and_then_fails(
    warm: Hooks, fault: str
) -> None:
    async with warm(here(2, tries=2)) as hook:
        error = await hook.fails(fault)
        assert error.state == "FAILED"
        assert "2 times in the middle of it" in str(error)
        assert (await hook.does("nothing")).value == "3"
        assert len(hook.warm_jobs) == 1


async def test_a_request_in_which_a_rank_dies_once_is_done(warm: Hooks, tmp_path: Path) -> None:
    async with warm(here(2)) as hook:
        done = await hook.does("killed once", str(tmp_path / "was killed"))
        assert done.value == "3"
        folder = Path(done.record.intent.folder)
        assert [path.parent.name for path in folder.glob(f"*/{BROKE}")] == ["void.1.1"]
        assert done.record.key.attempt == 0


async def test_a_hang_ends_at_its_limit_and_the_next_one_works(warm: Hooks) -> None:
    async with warm(here(2, run_timeout=1.0)) as hook:
        error = await hook.fails("hang")
        assert error.state == "TIMEOUT"
        assert "it ran longer than 1 s and was killed" in str(error)
        assert (await hook.does("nothing")).value == "3"


async def test_a_program_that_hangs_ends_at_its_limit(warm: Hooks, programs: Programs) -> None:
    async with warm(here(2, run_timeout=1.0)) as hook:
        hook.iteration += 1
        error = await hook.failure(hook.machine, programs.command("sleep 60"), ranks=2)
        assert error.state == "TIMEOUT"


async def test_a_cancelled_step_takes_its_request_back(warm: Hooks) -> None:
    async with warm(here(2)) as hook:
        await hook.does("nothing")
        with anyio.move_on_after(0.5):
            await hook.does("hang")
        assert hook.record.state == "CANCELLED"
        assert (await hook.does("nothing")).value == "3"
        assert len(hook.warm_jobs) == 1


def spoilt(name: str) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        path = folder / name
        content = path.read_bytes()
        path.unlink()
        path.write_bytes(content[:70])

    return spoil


@pytest.mark.parametrize("name", [REQUEST, OUTCOME])
async def test_a_damaged_file_costs_a_repetition(
    warm: Hooks, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request is damaged before the supervisor reads it, the outcome before the driver does."""
    spoil, left = spoilt(name), [1]

    def marked(self: Mailbox, marker: str, folder: Path) -> None:
        if name == REQUEST and left and left.pop():
            spoil(folder)
        mark(self, marker, folder)

    def looked(folder: Path) -> Ended | None:
        ended = look(folder)
        if name == OUTCOME and ended is not None and left and left.pop():
            spoil(folder)
            return look(folder)
        return ended

    mark, look = Mailbox.mark, outcome_in
    monkeypatch.setattr(Mailbox, "mark", marked)
    monkeypatch.setattr("qcsc_hpc.warm.warm_site.outcome_in", looked)
    async with warm(here(2)) as hook:
        assert (await hook.does("nothing")).value == "3"
        assert any(f"{name} is damaged" in text for text in hook.troubles)


# imports


def test_a_supervisor_and_its_ranks_import_nothing_heavy() -> None:
    code = "import sys, qcsc_hpc.warm.supervisor, qcsc_hpc.warm.rank; print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(re.findall(r"'([^'.]+)", done.stdout))
    assert not loaded & {"prefect", "pydantic", "numpy", "anyio", "scipy", "qiskit", "mpi4py"}

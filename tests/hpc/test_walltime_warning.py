"""A program that is told that its walltime ends: by a real Slurm, whatever has started its ranks."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

import qcsc_hpc
import qcsc_loop
from hpc.places import Hook, Place, Programs, RealSlurm  # noqa: TID251  # the folder of these tests
from qcsc_hpc.mpi.walltime import UNFINISHED_EXIT
from qcsc_hpc.profiles import Command
from qcsc_loop.jobs.outcome import JobState
from waiting import until_async

pytestmark = pytest.mark.anyio

# counts to two, once in each attempt; the second one goes on where the first one was
COUNTING = """
import os, signal, sys
from pathlib import Path
from qcsc_hpc import EndOfWalltime

earlier = os.environ.get("QCSC_EARLIER")
counted = int(Path(earlier, "counted").read_text()) if earlier else 0
with EndOfWalltime() as end:
    Path("counted").write_text(str(counted + 1))
    if counted:
        Path("out").write_text("2")
        sys.exit(0)
    Path(sys.argv[0]).with_name(f"listens-{os.getpid()}").touch()
    while not end.is_near:
        signal.sigtimedwait([], 0.05)
    end.leave()
"""


# a job gets the site's environment, and these packages need not be installed there
HERE = {
    "PYTHONPATH": os.pathsep.join(
        str(Path(str(p.__file__)).parents[1]) for p in (qcsc_hpc, qcsc_loop)
    )
}


def counting(programs: Programs) -> Command:
    return programs.command(COUNTING, interpreter=sys.executable)


def counted(folder: Path) -> str:
    return (folder / "out").read_text()


@pytest.mark.parametrize("place", ["slurm/srun", "slurm/mpiexec"], indirect=True)
@pytest.mark.parametrize("ranks", [1, 2])
async def test_what_a_warned_program_left_undone_is_done_by_the_next_attempt(
    place: Place, hook: Hook, programs: Programs, ranks: int
) -> None:
    machine = place.machine(
        ranks=ranks,
        walltime="00:30:00",
        warning_seconds=60,
        resubmit={"TIMEOUT": 1},
        environments=HERE,
    )
    assert isinstance(place.queue, RealSlurm)
    async with hook.asking(machine, counting(programs), outputs=["out"], collect=counted) as asked:
        job_id = await asked.until_id()

        def all_listen() -> bool:
            return len([*programs.folder.glob("listens-*")]) == ranks

        await until_async(lambda: asked.task.done() or all_listen(), "every rank listens")
        # what Slurm does at that time
        place.queue.run("scancel", "--batch", "--signal=USR1", job_id)
        done = await asked.result()
    assert str(done.value) == "2"
    ends = [record.outcome for record in hook.records]
    assert [end.state for end in ends if end] == [JobState.TIMEOUT, JobState.COMPLETED]
    assert ends[0] is not None
    assert ends[0].exit_code == UNFINISHED_EXIT
    assert "it was told that its walltime ends" in ends[0].reason


@pytest.mark.thorough
@pytest.mark.parametrize("place", ["slurm"], indirect=True)
@pytest.mark.parametrize(
    "how", [{}, {"scratch": "$QCSC_TEST_DISK", "stage_out": ["*"]}], ids=["", "with scratch"]
)
async def test_slurm_itself_warns_of_the_end(
    place: Place, hook: Hook, programs: Programs, tmp_path: Path, how: dict[str, Any]
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    machine = place.machine(
        walltime="00:01:00",
        warning_seconds=58,
        resubmit={"TIMEOUT": 1},
        environments={**HERE, "QCSC_TEST_DISK": str(disk)},
        **how,
    )
    done = await hook.run(machine, counting(programs), outputs=["out"], collect=counted)
    assert str(done.value) == "2"
    assert [record.key.attempt for record in hook.records] == [0, 1]
    assert list(disk.iterdir()) == []

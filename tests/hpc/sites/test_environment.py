"""What a scheduler's commands, and ranks on this machine, get of the driver's environment."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from cluster.slurm import SlurmCluster
from hpc.places import Hook, Place, Programs  # noqa: TID251  # the folder of these tests
from qcsc_hpc.machine import LocalMachine, Program
from qcsc_hpc.profiles import HPCProfile, changes_a_job
from qcsc_hpc.sites.commands import Commands, Kind
from qcsc_loop.steps.step import Step, stepping

pytestmark = pytest.mark.anyio

CHANGE_JOBS = [
    "SBATCH_JOB_NAME",
    "SBATCH_TIMELIMIT",
    "SBATCH_PARTITION",
    "SLURM_JOB_ID",
    "SLURM_TIME_FORMAT",
    "SQUEUE_STATES",
    "SACCT_FORMAT",
    "SCANCEL_STATE",
    "PBS_DPREFIX",
    "PBS_JOBID",
    "QSUB_OPTIONS",
    "PJM_JOBID",
]
DO_NOT = ["SLURM_CONF", "SLURM_CLUSTERS", "PBS_SERVER", "PBS_CONF_FILE"]
LOGINS = ["KRB5CCNAME", "SLURM_JWT", "XDG_RUNTIME_DIR"]
WORLD = Program("world", "qcsc_hpc.mpi.world")


async def seen(kind: Kind, *passed: str) -> set[str]:
    """Names of the variables that a command sees."""
    answer = await Commands("a site", 30.0, passed).ask(["cat", "/proc/self/environ"], kind=kind)
    return {line.partition("=")[0] for line in answer.out.split("\0")}


@pytest.mark.parametrize("kind", ["ask", "submit", "measure"])
async def test_what_would_change_a_job_reaches_no_command(
    kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in CHANGE_JOBS:
        monkeypatch.setenv(name, "theirs")
    assert (await seen(kind)).isdisjoint(CHANGE_JOBS)


@pytest.mark.parametrize("kind", ["ask", "measure"])
async def test_which_system_it_is_and_who_asks_reaches_a_question(
    kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (*DO_NOT, *LOGINS):
        monkeypatch.setenv(name, "theirs")
    assert await seen(kind) >= {*DO_NOT, *LOGINS}


async def test_a_submission_gets_what_the_profile_says(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*LOGINS, "SECRET"):
        monkeypatch.setenv(name, "theirs")
    where = HPCProfile(scheduler="slurm", pass_variables=LOGINS)
    found = await seen("submit", *where.pass_variables)
    assert found >= set(LOGINS)
    assert "SECRET" not in found


@pytest.mark.parametrize("name", CHANGE_JOBS)
def test_a_profile_cannot_pass_on_what_would_change_a_job(name: str) -> None:
    assert changes_a_job(name)
    with pytest.raises(ValueError, match=f"{name} would change jobs behind the profile's back"):
        HPCProfile(scheduler="slurm", pass_variables=[name])


@pytest.mark.parametrize("place", ["slurm", "fake-slurm"], indirect=True)
async def test_a_job_is_what_its_profile_says_whatever_the_login_shell_has_set(
    place: Place, hook: Hook, programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SBATCH_JOB_NAME", "theirs")
    monkeypatch.setenv("SBATCH_PARTITION", "nowhere")
    monkeypatch.setenv("SQUEUE_STATES", "SUSPENDED")
    done = await hook.run(place.machine(), programs.working)
    assert place.queue.accepted(done.record.key) == [done.record.job_id]


# ranks on this machine, in whatever allocation


def two_ranks(folder: Path) -> None:
    with stepping(Step(make_folder=lambda: folder)):
        anyio.run(lambda: LocalMachine(ranks=2).run(WORLD, [], collect=lambda _: None))


async def test_local_ranks_start_in_a_job_of_pbs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "nodefile").write_text("node1.nowhere\nnode2.nowhere\n")
    monkeypatch.setenv("PBS_JOBID", "12.nowhere")
    monkeypatch.setenv("PBS_ENVIRONMENT", "PBS_BATCH")
    monkeypatch.setenv("PBS_NODEFILE", str(tmp_path / "nodefile"))
    await anyio.to_thread.run_sync(two_ranks, tmp_path)


async def test_local_ranks_start_in_a_step_of_a_real_slurm(
    slurm: SlurmCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in slurm.environment.items():
        monkeypatch.setenv(name, value)
    code = (
        "from pathlib import Path; from hpc.sites.test_environment import two_ranks; "
        f"two_ranks(Path({str(tmp_path)!r})); print('both are there')"
    )
    tests = Path(__file__).parents[2]
    words = ["srun", "--ntasks=1", "--cpus-per-task=2", sys.executable, "-c", code]
    done = await anyio.to_thread.run_sync(
        lambda: subprocess.run(words, cwd=tests, capture_output=True, text=True, timeout=120)
    )
    assert done.stdout.splitlines()[-1:] == ["both are there"], done.stderr

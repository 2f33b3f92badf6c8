"""A store on a network disk, of which the driver sees an old picture: what it once asked for in vain is
not there for as long as the disk believes the answer. Jobs and warm calls end as they ended, and soon.

The driver alone has such a view: through bindfs, in a mount namespace of its own, on the path of the
store, which jobs write to directly.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cluster.slurm import SlurmCluster
from hpc.driven_machine import Driven  # noqa: TID251  # the folder of these tests
from qcsc_hpc.machine import HPCMachine
from qcsc_hpc.mpi.echo import answer
from qcsc_hpc.profiles import Command, ExecutionProfile, HPCProfile
from qcsc_loop.jobs.ledger import job_records
from qcsc_loop.jobs.outcome import JobState
from qcsc_loop.steps.step import JOB_SUFFIX
from qcsc_loop.store.directory import DirectoryStore

LONGEST_SECONDS = 120.0
COMPLETED = JobState.COMPLETED
DRIVER = Path(__file__).with_name("driven_machine.py")
SEEN_THROUGH = """
bindfs -f -o "$1" "$2" "$2" & disk=$!
trap 'kill $disk' EXIT
until mountpoint -q "$2"; do kill -0 $disk || exit 99; sleep 0.02; done
shift 2
"$@"
"""
FOR_EVER = 36_000
# seconds for which the disk believes that there is no such name; with NFS's defaults 30 and more
BELIEVES = pytest.mark.parametrize(
    "disk",
    [*(pytest.param(n, marks=pytest.mark.thorough) for n in (0, 5, 30)), FOR_EVER],
    indirect=True,
)


@dataclass(frozen=True)
class NetworkDisk:
    """A store as a driver sees it whose disk believes old answers."""

    store: Path
    seconds: float
    environment: dict[str, str]

    def drive(self, driven: Driven) -> subprocess.CompletedProcess[str]:
        """Drives a run to its end."""
        return self.run(DRIVER, driven.model_dump_json(), self.store, "run")

    def run(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        """Runs Python with this view of the store."""
        options = f"negative_timeout={self.seconds},entry_timeout={self.seconds},attr_timeout=3"
        driver = [sys.executable, *map(str, words)]
        view = ["unshare", "--mount", "bash", "-c", SEEN_THROUGH, "bash", options, str(self.store)]
        with subprocess.Popen(
            [*view, *driver],
            env={**os.environ, **self.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                said = process.communicate(timeout=LONGEST_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)  # the disk, too, which would outlive it
                raise
        return subprocess.CompletedProcess(driver, process.wait(), *said)


@pytest.fixture
def disk(request: pytest.FixtureRequest, slurm: SlurmCluster, tmp_path: Path) -> NetworkDisk:
    if shutil.which("bindfs") is None or not Path("/dev/fuse").exists():
        pytest.skip("no bindfs here (apt-get install bindfs), or no /dev/fuse")
    store = tmp_path / "store"
    store.mkdir()
    return NetworkDisk(store, request.param, slurm.environment)


def machine(**settings: Any) -> HPCMachine:  # fields of a machine
    return HPCMachine(
        hpc_profile=HPCProfile(scheduler="slurm", poll_seconds=0.5, settle_seconds=2.0),
        execution_profile=ExecutionProfile(),
        **settings,
    )


def sleeper(seconds: float) -> Command:
    """It works for some time, in which its folder is looked at."""
    return Command(command_name="sleeper", executable_key="/bin/sleep", default_args=[str(seconds)])


@BELIEVES
def test_a_job_ends_as_it_ended_though_the_disk_believes_old_answers(disk: NetworkDisk) -> None:
    done = disk.drive(Driven(machine=machine(), command=sleeper(3)))
    assert done.returncode == 0, done.stderr[-2000:]
    records = job_records(DirectoryStore(disk.store), "run")
    assert [record.outcome and record.outcome.state for record in records] == [
        JobState.COMPLETED
    ] * 2


@BELIEVES
def test_a_warm_call_is_answered_though_the_disk_believes_old_answers(disk: NetworkDisk) -> None:
    done = disk.drive(Driven(machine=machine(placement="warm"), command=sleeper(1)))
    assert done.returncode == 0, done.stderr[-2000:]
    records = job_records(DirectoryStore(disk.store), "run")
    assert [record.outcome and record.outcome.state for record in records] == [COMPLETED] * 3


@pytest.mark.parametrize("disk", [4], indirect=True)
def test_how_late_a_node_s_file_is_seen_is_measured(disk: NetworkDisk) -> None:
    folder = disk.store / f"echo{JOB_SUFFIX}"
    folder.mkdir()
    node = threading.Thread(target=answer, args=[folder])
    node.start()
    code = (
        "import anyio; from pathlib import Path; from qcsc_hpc.cli.lateness import measure_lateness; "
        f"print(anyio.run(measure_lateness, Path({str(disk.store)!r})))"
    )
    done = disk.run("-c", code)
    node.join()
    assert (
        "by a name that was asked for in vain before: this disk believes old looks" in done.stdout
    )

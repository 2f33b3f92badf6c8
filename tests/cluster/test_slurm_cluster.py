"""The cluster that the tests of machines stand on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from cluster.slurm import SlurmCluster
from waiting import until


def command(slurm: SlurmCluster, *words: str) -> str:
    environment = {**os.environ, **slurm.environment}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def submit(slurm: SlurmCluster, folder: Path, script: str, *options: str) -> str:
    output = f"--output={folder}/out"
    return command(slurm, "sbatch", "--parsable", output, *options, f"--wrap={script}")


def accounted(slurm: SlurmCluster, job: str, *fields: str) -> list[str]:
    wanted = f"--format={','.join(fields)}"
    return command(slurm, "sacct", "-X", "-n", "-P", "-j", job, wanted).split("|")


def test_a_job_runs_and_accounting_knows_its_name_and_comment(
    slurm: SlurmCluster, tmp_path: Path
) -> None:
    job = submit(slurm, tmp_path, "echo $SLURM_NNODES", "-N2", "-J", "counted", "--comment=a key")
    wanted = ["COMPLETED", "counted", "a key"]
    until(
        lambda: accounted(slurm, job, "State", "JobName", "Comment") == wanted,
        "the job to be accounted for",
    )
    assert (tmp_path / "out").read_text() == "2\n"


def test_a_failed_job_is_no_success(slurm: SlurmCluster, tmp_path: Path) -> None:
    job = submit(slurm, tmp_path, "exit 3")
    until(
        lambda: accounted(slurm, job, "State", "ExitCode") == ["FAILED", "3:0"],
        "the job to be accounted for",
    )


def test_a_job_that_asks_for_a_qpu_sees_which_one_it_has(
    slurm: SlurmCluster, tmp_path: Path
) -> None:
    job = submit(slurm, tmp_path, "echo $QCSC_QPU", "--qpu=heron")
    until(lambda: accounted(slurm, job, "State") == ["COMPLETED"], "the job to be accounted for")
    assert (tmp_path / "out").read_text() == "heron\n"


def test_a_partition_that_is_not_there_is_refused(slurm: SlurmCluster) -> None:
    environment = {**os.environ, **slurm.environment}
    words = ["sbatch", "--partition=nowhere", "--wrap=true"]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Invalid partition name specified" in done.stderr


def test_starting_a_cluster_that_is_up_does_nothing(slurm: SlurmCluster) -> None:
    assert slurm.start() is False


def test_the_script_prints_the_environment_of_its_cluster(slurm: SlurmCluster) -> None:
    script = str(Path(__file__).with_name("slurm.py"))
    shown = command(slurm, sys.executable, script, "env", "--root", str(slurm.root))
    assert f"export SLURM_CONF={slurm.root}/slurm.conf" in shown

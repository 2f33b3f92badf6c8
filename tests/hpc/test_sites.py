"""Known machines: what to start from, and its script beside what the site shows its users.

`QCSC_LOOP_REWRITE_GOLDEN=1` writes the scripts in `golden_sites/` anew.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from qcsc_hpc.cli.commands import sites
from qcsc_hpc.cli.sites import starting_toml
from qcsc_hpc.machine import HPCMachine
from qcsc_hpc.profiles import ExecutionProfile, HPCProfile, known_sites
from qcsc_loop.errors import UnknownSite
from qcsc_loop.jobs.key import JobKey

GOLDEN = Path(__file__).with_name("golden_sites")
REWRITE = bool(os.environ.get("QCSC_LOOP_REWRITE_GOLDEN"))
KEY = JobKey(run_id="h2o", run_uid="u", iteration=3, step="evaluate", name="program")
EVERY = list(known_sites())

# What a site's documents have its users write, each line in the form that we write it in, without names
# of jobs and of files for output: those are ours, and a job's output lies in its folder. A line that we
# write otherwise has its reason beside it.
SAME = ""

OURS = "the ranks are exported it, by the script itself"
DOCUMENTED: dict[str, dict[str, str]] = {
    "miyabi": {
        "#PBS -q regular-c": SAME,
        "#PBS -W group_list=PROJECT": SAME,
        "#PBS -l walltime=00:30:00": SAME,
        "#PBS -j oe": SAME,
    },
    "miyabi-c": {
        "#PBS -q regular-c": SAME,
        "#PBS -l select=2:mpiprocs=8:ompthreads=14": SAME,
        "#PBS -W group_list=PROJECT": SAME,
        "#PBS -l walltime=00:30:00": SAME,
        "#PBS -j oe": SAME,
        "cd ${PBS_O_WORKDIR}": "the script goes to the job's folder, by its name",
    },
    "miyabi-g": {
        "#PBS -q regular-g": SAME,
        "#PBS -l select=2:mpiprocs=1": "with ompthreads, which the site sets the threads by",
        "#PBS -W group_list=PROJECT": SAME,
        "#PBS -l walltime=00:30:00": SAME,
    },
    "fugaku": {
        '#PJM -L "node=2"': SAME,
        '#PJM -L "rscgrp=small"': SAME,
        '#PJM -L "elapse=01:00:00"': SAME,
        "#PJM -g PROJECT": SAME,
        "#PJM -x PJM_LLIO_GFSCACHE=/vol0004": SAME,
        '#PJM --mpi "max-proc-per-node=4"': "together with proc=, in one option",
        "#PJM -S": 'statistics: extra_directives = ["-S"] has them',
        "#PJM -j": SAME,
    },
    "genkai": {
        '#PJM -L "rscgrp=a-batch"': SAME,
        '#PJM -L "node=2"': SAME,
        '#PJM -L "elapse=01:00:00"': SAME,
        "#PJM -j": SAME,
        "#PJM -S": 'statistics: extra_directives = ["-S"] has them',
    },
    "wisteria-o": {
        '#PJM -L "rscgrp=regular-o"': SAME,
        '#PJM -L "node=2"': SAME,
        '#PJM --mpi "proc=8,max-proc-per-node=4"': SAME,
        "#PJM --omp thread=12": OURS,
        '#PJM -L "elapse=00:30:00"': SAME,
        "#PJM -g PROJECT": SAME,
        "#PJM -j": SAME,
    },
    "wisteria-a": {
        '#PJM -L "rscgrp=share"': SAME,
        '#PJM -L "gpu=1"': SAME,
        '#PJM -L "elapse=00:30:00"': SAME,
        "#PJM -g PROJECT": SAME,
        "#PJM -j": SAME,
    },
    "abci-3": {
        "#PBS -q rt_HF": SAME,
        "#PBS -l select=2:mpiprocs=8": SAME,
        "#PBS -l walltime=01:00:00": SAME,
        "#PBS -P PROJECT": SAME,
        "source /etc/profile.d/modules.sh": "a login shell runs the script, which has read it",
        "cd ${PBS_O_WORKDIR}": "the script goes to the job's folder, by its name",
    },
    "lumi-c": {
        "#SBATCH --partition=standard": SAME,
        "#SBATCH --nodes=2": SAME,
        "#SBATCH --ntasks-per-node=16": SAME,
        "#SBATCH --cpus-per-task=8": SAME,
        "#SBATCH --mem=0": SAME,
        "#SBATCH --time=12:00:00": SAME,
        "#SBATCH --account=PROJECT": SAME,
        "#SBATCH --mail-type=all": "mail_on, for those who want it",
        "export OMP_NUM_THREADS=$SLURM_CPUS_PER_TASK": OURS,
    },
    "lumi-g": {
        "#SBATCH --partition=standard-g": SAME,
        "#SBATCH --nodes=2": SAME,
        "#SBATCH --ntasks-per-node=8": SAME,
        "#SBATCH --gpus-per-node=8": SAME,
        "#SBATCH --time=12:00:00": SAME,
        "#SBATCH --account=PROJECT": SAME,
        "export MPICH_GPU_SUPPORT_ENABLED=1": SAME,
        "export ROCR_VISIBLE_DEVICES=$SLURM_LOCALID": "in every rank, by rank_commands, and not in a "
        "file that the job has to write and remove",
        "srun --cpu-bind=${CPU_BIND} ./select_gpu": "the mask stands in mpi_options; srun is told the "
        "shape once more, and --cpus-per-task is in the head, which does not change it",
    },
    "frontier": {
        "#SBATCH --account=PROJECT": SAME,
        "#SBATCH --partition=batch": SAME,
        "#SBATCH --nodes=2": SAME,
        "#SBATCH --time=01:00:00": SAME,
        "srun -N2 -n16 -c7 --gpus-per-task=1 --gpu-bind=closest": "in long options that say the same; "
        "the head has them, too, so that a queue sees what the job needs",
        "#SBATCH --threads-per-core=1": "of srun alone, in mpi_options: it is the default of the head",
    },
    "perlmutter": {
        "#SBATCH --account=PROJECT": SAME,
        "#SBATCH --constraint=gpu": SAME,
        "#SBATCH --qos=regular": SAME,
        "#SBATCH --time=01:00:00": SAME,
        "#SBATCH --nodes=2": SAME,
        "#SBATCH --ntasks-per-node=4": SAME,
        "#SBATCH --cpus-per-task=32": SAME,
        "#SBATCH --gpus-per-task=1": SAME,
        "#SBATCH --gpu-bind=none": SAME,
        "export SLURM_CPU_BIND=cores": "as srun's own option, in mpi_options",
    },
    "jean-zay": {
        "#SBATCH --account=PROJECT@v100": SAME,
        "#SBATCH --constraint=v100-32g": SAME,
        "#SBATCH --qos=qos_gpu-t3": SAME,
        "#SBATCH --nodes=2": SAME,
        "#SBATCH --ntasks-per-node=4": SAME,
        "#SBATCH --gres=gpu:4": SAME,
        "#SBATCH --cpus-per-task=10": SAME,
        "#SBATCH --hint=nomultithread": SAME,
        "#SBATCH --time=01:00:00": SAME,
        "module purge || finish $? module_purge": SAME,
    },
    "marenostrum-5": {
        "#SBATCH --account=PROJECT": SAME,
        "#SBATCH --qos=acc_debug": SAME,
        "#SBATCH --nodes=2": SAME,
        "#SBATCH --ntasks-per-node=4": SAME,
        "#SBATCH --cpus-per-task=20": SAME,
        "#SBATCH --gres=gpu:4": SAME,
        "#SBATCH --time=01:00:00": SAME,
        "export SRUN_CPUS_PER_TASK=${SLURM_CPUS_PER_TASK}": "srun is given --cpus-per-task itself",
    },
    "leonardo": {
        "#SBATCH --account=PROJECT": SAME,
        "#SBATCH --partition=boost_usr_prod": SAME,
        "#SBATCH --nodes=2": SAME,
        "#SBATCH --ntasks-per-node=4": SAME,
        "#SBATCH --cpus-per-task=8": SAME,
        "#SBATCH --gres=gpu:4": SAME,
        "#SBATCH --time=01:00:00": SAME,
        "#SBATCH --qos=boost_qos_dbg": "for tests, as qos_gpu; without one the partition's is taken",
    },
    "slurm-qrmi": {
        "#SBATCH --qpu=QPU": SAME,
        "#SBATCH --gres=qpu:1": SAME,
        "#SBATCH --ntasks=1": SAME,
        "#SBATCH --cpus-per-task=1": SAME,
    },
}


def machine(name: str) -> HPCMachine:
    """What the blocks of `sites show NAME` describe."""
    given = tomllib.loads(starting_toml(name))
    assert given["hpc-machine"] == {
        name: {"hpc_profile_block_name": name, "execution_profile_block_name": name}
    }
    return HPCMachine(
        hpc_profile=HPCProfile.model_validate(given["hpc-profile"][name]),
        execution_profile=ExecutionProfile.model_validate(given["execution-profile"][name]),
    )


def script(name: str) -> str:
    here = machine(name)
    return here.script(KEY, Path("/work/h2o"), here.shaped(None), ["./program"])


@pytest.mark.parametrize("name", EVERY)
def test_a_site_s_script_is_what_it_was(name: str) -> None:
    file = GOLDEN / f"{name}.sh"
    if REWRITE:
        file.write_text(script(name))
    assert script(name) == file.read_text()


def test_every_kept_script_is_of_a_known_site() -> None:
    assert {path.stem for path in GOLDEN.iterdir()} == set(EVERY) == set(DOCUMENTED)


@pytest.mark.parametrize("name", EVERY)
def test_what_a_site_shows_its_users_is_written_or_has_a_reason(name: str) -> None:
    lines = {line.strip() for line in script(name).splitlines()}
    assert {line: line in lines for line in DOCUMENTED[name]} == {
        line: reason == SAME for line, reason in DOCUMENTED[name].items()
    }


@pytest.mark.parametrize("name", EVERY)
def test_bash_can_read_a_site_s_script(name: str) -> None:
    done = subprocess.run(
        ["bash", "-n"], input=script(name), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_masks_of_cores_are_each_of_six_cores_beside_another_gpu() -> None:
    launch = next(line for line in script("lumi-g").splitlines() if line.startswith("if srun"))
    option = next(word for word in shlex.split(launch) if word.startswith("--cpu-bind="))
    masks = [int(mask, 16) for mask in option.partition(":")[2].split(",")]
    assert [mask.bit_count() for mask in masks] == [6] * 8
    total = 0
    for mask in masks:
        assert not total & mask
        total |= mask


@pytest.mark.parametrize("name", EVERY)
def test_a_site_names_its_page_and_says_that_it_is_unproved(name: str) -> None:
    text = starting_toml(name)
    assert f"# The site's page: {known_sites()[name]['page']}" in text
    assert known_sites()[name]["page"].startswith("http")
    assert "Unproved there" in text


def test_a_site_that_is_not_known_is_answered_with_those_that_are() -> None:
    with pytest.raises(UnknownSite, match=r"no site 'lumi' is known .*; known: miyabi, .*leonardo"):
        starting_toml("lumi")


def test_the_command_lists_every_site_and_prints_the_blocks_of_one() -> None:
    listed = CliRunner().invoke(sites, [])
    assert listed.exit_code == 0
    assert [line.split()[0] for line in listed.output.splitlines()[1:-2]] == EVERY
    shown = CliRunner().invoke(sites, ["show", "fugaku"])
    assert (shown.exit_code, shown.output) == (0, starting_toml("fugaku"))


def test_no_site_s_name_stands_in_code() -> None:
    package = Path(starting_toml.__code__.co_filename).parents[1]
    shown = {*EVERY, "jean zay", "marenostrum", "lumi-"} - {"slurm-qrmi"}
    for path in package.rglob("*.py"):
        if "testing" in path.parts:  # fakes are of sites
            continue
        words = [line for line in path.read_text().splitlines() if not line.strip().startswith("#")]
        code = "\n".join(words).lower()
        found = [name for name in shown if f'"{name}"' in code]
        assert found == [], path

"""What stands before a program to start it on every rank."""

from __future__ import annotations

import sys
from itertools import product
from pathlib import Path

import pytest

from qcsc_hpc.profiles import LAUNCHERS, ExecutionProfile, HPCProfile
from qcsc_hpc.script.launchers import launcher_path, launcher_words

SCHEDULERS = ("local", "slurm", "pbs", "pjm")
STARTING = tuple(name for name in LAUNCHERS if name != "single")
EVERYWHERE = list(product(SCHEDULERS, STARTING))
OPTIONS = ["-x", "a b"]


def launched(
    scheduler: str, launcher: str, *, nodes: int = 2, ranks_per_node: int = 3
) -> list[str]:
    how = ExecutionProfile(
        launcher=launcher,
        num_nodes=nodes,
        mpiprocs=ranks_per_node,
        ompthreads=4,
        mpi_options=OPTIONS,
    )
    return launcher_words(HPCProfile(scheduler=scheduler), how)


def here(scheduler: str) -> list[str]:
    """What our own launcher is told where it must not look for an allocation."""
    return ["-rmk", "user", "-launcher", "fork"] if scheduler == "local" else []


def ranks_asked_for(words: list[str]) -> int:
    """How many ranks the words ask for, in whatever launcher's language."""
    for before, word in zip(words, [*words[1:], ""], strict=True):
        if before == "-n":
            return int(word)
        if before.startswith("--ntasks="):
            return int(before.partition("=")[2])
    raise AssertionError(words)


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_a_single_program_is_started_by_nothing(scheduler: str) -> None:
    assert (
        launcher_words(HPCProfile(scheduler=scheduler), ExecutionProfile(launcher="single")) == []
    )


@pytest.mark.parametrize(("scheduler", "launcher"), EVERYWHERE)
def test_a_launcher_is_asked_for_the_ranks_of_all_nodes(scheduler: str, launcher: str) -> None:
    assert ranks_asked_for(launched(scheduler, launcher)) == 6


@pytest.mark.parametrize(("scheduler", "launcher"), EVERYWHERE)
def test_a_launcher_s_options_stand_between_its_count_and_the_program(
    scheduler: str, launcher: str
) -> None:
    assert launched(scheduler, launcher)[-2:] == OPTIONS


def test_srun_is_told_nodes_ranks_and_threads() -> None:
    assert launched("slurm", "srun") == [
        "srun",
        "--nodes=2",
        "--ntasks=6",
        "--ntasks-per-node=3",
        "--cpus-per-task=4",
        *OPTIONS,
    ]


@pytest.mark.parametrize("scheduler", ["slurm", "pbs"])
@pytest.mark.parametrize("launcher", ["mpiexec", "mpiexec.hydra"])
def test_hydra_is_told_how_many_ranks_a_node_has(scheduler: str, launcher: str) -> None:
    assert launched(scheduler, launcher) == [launcher, "-n", "6", "-ppn", "3", *OPTIONS]


def test_fujitsu_s_mpiexec_is_not_told_what_the_scheduler_was_told() -> None:
    # --mpi max-proc-per-node said it, and that launcher is no Hydra: it has no -ppn
    assert launched("pjm", "mpiexec") == ["mpiexec", "-n", "6", *OPTIONS]


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_mpirun_is_told_the_number_of_ranks_alone(scheduler: str) -> None:
    # -ppn is Hydra's, -N is Open MPI's: mpirun may be either
    assert launched(scheduler, "mpirun")[1:] == [*here(scheduler), "-n", "6", *OPTIONS]


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize("launcher", ["mpiexec", "mpirun"])
def test_on_one_node_only_the_number_of_ranks_is_told(scheduler: str, launcher: str) -> None:
    assert launched(scheduler, launcher, nodes=1)[1:] == [*here(scheduler), "-n", "3", *OPTIONS]


# which one


@pytest.mark.parametrize("name", ["mpiexec", "mpiexec.hydra", "mpirun"])
def test_on_this_machine_the_launcher_is_the_one_beside_this_python(name: str) -> None:
    path = Path(launcher_path(HPCProfile(scheduler="local"), name))
    assert path.parent == Path(sys.executable).parent
    assert path.exists()


def test_srun_on_this_machine_is_the_one_on_the_path() -> None:
    assert launcher_path(HPCProfile(scheduler="local"), "srun") == "srun"


@pytest.mark.parametrize("name", STARTING)
@pytest.mark.parametrize("scheduler", ["slurm", "pbs", "pjm"])
def test_on_another_machine_the_launcher_is_the_one_on_the_job_s_path(
    scheduler: str, name: str
) -> None:
    assert launcher_path(HPCProfile(scheduler=scheduler), name) == name


@pytest.mark.parametrize(("scheduler", "name"), EVERYWHERE)
def test_a_site_may_have_a_launcher_of_its_own(scheduler: str, name: str) -> None:
    where = HPCProfile(scheduler=scheduler, executable_map={name: "/opt/my mpi/run"})
    assert launcher_words(where, ExecutionProfile(launcher=name))[0] == "/opt/my mpi/run"

"""Launchers: what stands before a program's arguments to start it on every rank."""

from __future__ import annotations

import sys
from pathlib import Path

from qcsc_hpc.profiles import ExecutionProfile, HPCProfile
from qcsc_hpc.schedulers import dialect_for

# whatever allocation this machine is in: it would else ask Slurm or PBS for the nodes of the driver's
# own job, and start ranks through srun
ON_THIS_MACHINE = ("-rmk", "user", "-launcher", "fork")
OURS = ("mpiexec", "mpiexec.hydra", "mpirun")  # names under which the `mpich` wheel has its own


def launcher_words(where: HPCProfile, how: ExecutionProfile) -> list[str]:
    """The words before the program; none where it is started once, by itself."""
    if how.launcher == "single":
        return []
    dialect = dialect_for(where)
    if how.launcher in dialect.launchers:
        words = dialect.launchers[how.launcher](how)
    elif how.launcher == "srun":
        words = _srun(how)
    else:
        words = ["-n", str(how.ranks)]
        if how.num_nodes > 1 and how.launcher in dialect.per_node_options:
            words += [dialect.per_node_options[how.launcher], str(how.mpiprocs)]
    path = launcher_path(where, how.launcher)
    if where.scheduler == "local" and _is_hydra(path):
        words = [*ON_THIS_MACHINE, *words]
    return [path, *words, *how.mpi_options]


def _is_hydra(path: str) -> bool:
    """Whether it is the wheel's: one of another MPI has other options."""
    beside = Path(sys.prefix) / "bin"
    return path in [str(beside / name) for name in OURS] and (beside / "mpiexec.hydra").exists()


def _srun(how: ExecutionProfile) -> list[str]:
    words = [
        f"--nodes={how.num_nodes}",
        f"--ntasks={how.ranks}",
        f"--ntasks-per-node={how.mpiprocs}",
        f"--cpus-per-task={how.ompthreads}",
    ]
    # a step of a warm job may have fewer ranks than the job, and has its GPUs by this
    words += [f"--gpus-per-task={how.gpus_per_rank}"] if how.gpus_per_rank else []
    return words + ([f"--gpu-bind={how.gpu_bind}"] if how.gpu_bind else [])


def launcher_path(where: HPCProfile, name: str) -> str:
    """The site's own; on this machine the one beside this Python; else by the job's PATH.

    One from PATH may belong to another MPI than the program's, so a local run never takes it.
    """
    if name in where.executable_map:
        return where.executable_map[name]
    beside = Path(sys.prefix) / "bin" / name
    return str(beside) if where.scheduler == "local" and name in OURS else name

"""Launchers: what stands before a program's arguments to start it on every rank."""

from __future__ import annotations

import sys
from pathlib import Path

from qcsc_hpc.profiles import ExecutionProfile, HPCProfile

OURS = ("mpiexec", "mpiexec.hydra", "mpirun")  # names under which the `mpich` wheel has its own


def launcher_words(where: HPCProfile, how: ExecutionProfile) -> list[str]:
    """The words before the program; none where it is started once, by itself."""
    if how.launcher == "single":
        return []
    program = launcher_path(where, how.launcher)
    count = ["-n", str(how.ranks)]
    if how.launcher == "srun":
        count = [
            f"--nodes={how.num_nodes}", f"--ntasks={how.ranks}", f"--ntasks-per-node={how.mpiprocs}",
            f"--cpus-per-task={how.ompthreads}",
        ]  # fmt: skip
    elif where.scheduler in ("slurm", "pbs") and how.num_nodes > 1 and how.launcher != "mpirun":
        # Hydra's option. PJM's own launcher was told by --mpi; mpirun may be Open MPI's
        count += ["-ppn", str(how.mpiprocs)]
    return [program, *count, *how.mpi_options]


def launcher_path(where: HPCProfile, name: str) -> str:
    """The site's own; on this machine the one beside this Python; else by the job's PATH.

    One from PATH may belong to another MPI than the program's, so a local run never takes it.
    """
    if name in where.executable_map:
        return where.executable_map[name]
    beside = Path(sys.prefix) / "bin" / name
    return str(beside) if where.scheduler == "local" and name in OURS else name

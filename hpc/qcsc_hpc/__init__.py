"""Where classical work goes: machines, programs over MPI ranks, and how they are described."""

from __future__ import annotations

from qcsc_loop.faces import lazy_face

TYPE_CHECKING = False
if TYPE_CHECKING:
    from qcsc_hpc.functions import run_function
    from qcsc_hpc.machine import HPCMachine, LocalMachine, Machine, Program
    from qcsc_hpc.mpi.walltime import EndOfWalltime
    from qcsc_hpc.mpi.world import world
    from qcsc_hpc.prefect.run_job import FinishedJob, run_job_from_blocks
    from qcsc_hpc.prefect.slurm_job import JobExecutor, PyFunctionJob, SlurmJobBlock
    from qcsc_hpc.profiles import Command, ExecutionProfile, HPCProfile
    from qcsc_hpc.schedulers.scheduler import (
        Answer,
        Argv,
        Dialect,
        NotUnderstood,
        Placement,
        Scheduler,
        Status,
    )
    from qcsc_hpc.warm.settings import Warm

__all__ = [
    "Answer",
    "Argv",
    "Command",
    "Dialect",
    "EndOfWalltime",
    "ExecutionProfile",
    "FinishedJob",
    "HPCMachine",
    "HPCProfile",
    "JobExecutor",
    "LocalMachine",
    "Machine",
    "NotUnderstood",
    "Placement",
    "Program",
    "PyFunctionJob",
    "Scheduler",
    "SlurmJobBlock",
    "Status",
    "Warm",
    "run_function",
    "run_job_from_blocks",
    "world",
]

__getattr__, __dir__ = lazy_face(
    __name__,
    {
        "Answer": "schedulers.scheduler",
        "Argv": "schedulers.scheduler",
        "Command": "profiles",
        "Dialect": "schedulers.scheduler",
        "EndOfWalltime": "mpi.walltime",
        "ExecutionProfile": "profiles",
        "FinishedJob": "prefect.run_job",
        "HPCMachine": "machine",
        "HPCProfile": "profiles",
        "JobExecutor": "prefect.slurm_job",
        "LocalMachine": "machine",
        "Machine": "machine",
        "NotUnderstood": "schedulers.scheduler",
        "Placement": "schedulers.scheduler",
        "Program": "machine",
        "PyFunctionJob": "prefect.slurm_job",
        "Scheduler": "schedulers.scheduler",
        "SlurmJobBlock": "prefect.slurm_job",
        "Status": "schedulers.scheduler",
        "Warm": "warm.settings",
        "run_function": "functions",
        "run_job_from_blocks": "prefect.run_job",
        "world": "mpi.world",
    },
)

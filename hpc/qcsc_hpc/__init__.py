"""Where classical work goes: machines, programs over MPI ranks, and how they are described."""

from __future__ import annotations

from qcsc_loop.faces import lazy_face

TYPE_CHECKING = False
if TYPE_CHECKING:
    from qcsc_hpc.functions import run_function
    from qcsc_hpc.machine import HPCMachine, LocalMachine, Machine, Program
    from qcsc_hpc.mpi.world import world
    from qcsc_hpc.prefect.run_job import FinishedJob, run_job_from_blocks
    from qcsc_hpc.profiles import Command, ExecutionProfile, HPCProfile
    from qcsc_hpc.warm.settings import Warm

__all__ = [
    "Command",
    "ExecutionProfile",
    "FinishedJob",
    "HPCMachine",
    "HPCProfile",
    "LocalMachine",
    "Machine",
    "Program",
    "Warm",
    "run_function",
    "run_job_from_blocks",
    "world",
]

__getattr__, __dir__ = lazy_face(
    __name__,
    {
        "Command": "profiles",
        "ExecutionProfile": "profiles",
        "FinishedJob": "prefect.run_job",
        "HPCMachine": "machine",
        "HPCProfile": "profiles",
        "LocalMachine": "machine",
        "Machine": "machine",
        "Program": "machine",
        "Warm": "warm.settings",
        "run_function": "functions",
        "run_job_from_blocks": "prefect.run_job",
        "world": "mpi.world",
    },
)

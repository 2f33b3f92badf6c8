"""How OpenPBS runs a job, and how its commands fail."""

from __future__ import annotations

import os
import signal

from qcsc_hpc.testing.executables.answer import Answer
from qcsc_hpc.testing.executables.files import job_folder
from qcsc_hpc.testing.executables.job import Job
from qcsc_hpc.testing.executables.login import home, login_environment
from qcsc_hpc.testing.executables.state import State

SERVER = "vm"
NO_CONNECTION = 15010  # PBSE_INTERNAL, which the commands show for a server that is away
PROTOCOL_ERROR = 15031  # PBSE_PROTOCOL


def server(state: State) -> str:
    """The name that ids end with."""
    return str(state.setting("server") or SERVER)


def is_miyabi(state: State) -> bool:
    """Whether the commands are that site's own."""
    return state.setting("dialect") == "miyabi"


def command(job: Job) -> list[str]:
    """A login shell that reads the script, whatever its first line says; qsub(1B), -S."""
    shell = job.option.get("S", "/bin/bash")
    return [shell, "-l", job.script] if shell.endswith("bash") else [shell, job.script]


def directory(state: State, job: Job) -> str:
    """The home directory."""
    return home(state)


def environment(state: State, job: Job) -> dict[str, str]:
    """A login's, and what the MoM adds."""
    element = {"PBS_ARRAY_INDEX": str(job.element), "PBS_ARRAY_ID": job.array} if job.array else {}
    return {
        **login_environment(state),
        **element,
        "PBS_ENVIRONMENT": "PBS_BATCH",
        "PBS_JOBCOOKIE": "0" * 32,
        "PBS_JOBDIR": directory(state, job),
        "PBS_JOBID": job.id,
        "PBS_JOBNAME": job.name,
        "PBS_MOMPORT": "15003",
        "PBS_NODEFILE": _node_file(state, job),
        "PBS_NODENUM": "0",
        "PBS_QUEUE": job.queue,
        "PBS_TASKNUM": "1",
        "NCPUS": str(job.cpus),
        "OMP_NUM_THREADS": str(job.cpus),
    }


def _node_file(state: State, job: Job) -> str:
    """A line for each MPI process, with its host."""
    file = os.path.join(job_folder(state.folder, job.number), "nodes")
    per_node = job.tasks // job.nodes
    hosts = [name for name in job.allocation.split(",") for _ in range(per_node)]
    with open(file, "w", encoding="utf-8") as lines:
        lines.writelines(f"{host}\n" for host in hosts)
    return file


def end_signal(job: Job) -> int:
    """qdel and the walltime both ask with it."""
    return signal.SIGTERM


def after_end(state: State, job: Job) -> None:
    """Nothing."""


def never_starts(job: Job) -> str:
    """What the scheduler says of a job when no node is free for it."""
    return "Not Running: Insufficient amount of resource: ncpus"


def element_form(job: Job) -> str:
    """`12[3].vm`."""
    return job.id.replace("[]", "[{number}]")


def unreachable(command: str) -> Answer:
    """The server is down."""
    text = f"{command}: cannot connect to server {SERVER} (errno={NO_CONNECTION})"
    return Answer(error=f"Connection refused\n{text}\n", rc=1)


def lost(command: str) -> Answer:
    """It took the request and did not answer."""
    return Answer(error=f"{command}: Batch protocol error\n", rc=PROTOCOL_ERROR % 256)

"""How Slurm runs a job, and how its commands fail."""

from __future__ import annotations

import signal

from qcsc_hpc.testing.executables.answer import Answer
from qcsc_hpc.testing.executables.job import Job
from qcsc_hpc.testing.executables.login import login_environment
from qcsc_hpc.testing.executables.state import State

SUBMIT = "sbatch: error: Batch job submission failed: "
UNREACHABLE = "Unable to contact slurm controller (connect failure)"
LOST = "Socket timed out on send/recv operation"


def command(job: Job) -> list[str]:
    """The script itself: slurmstepd executes it, so its first line decides what runs it."""
    return [job.script]


def directory(state: State, job: Job) -> str:
    """Where it was submitted, or --chdir."""
    return job.directory


def environment(state: State, job: Job) -> dict[str, str]:
    """A login's, and what slurmstepd adds."""
    names = job.allocation.split(",")
    per_node = -(-job.tasks // job.nodes)
    found = {
        **login_environment(state),
        # an element has a number of its own
        "SLURM_JOB_ID": str(job.number),
        "SLURM_JOBID": str(job.number),
        "SLURM_JOB_NAME": job.name,
        "SLURM_JOB_NODELIST": _compressed(names),
        "SLURM_NODELIST": _compressed(names),
        "SLURM_JOB_NUM_NODES": str(job.nodes),
        "SLURM_NNODES": str(job.nodes),
        "SLURM_NTASKS": str(job.tasks),
        "SLURM_NPROCS": str(job.tasks),
        "SLURM_TASKS_PER_NODE": str(per_node) + (f"(x{job.nodes})" if job.nodes > 1 else ""),
        "SLURM_CPUS_ON_NODE": str(job.cpus),
        "SLURM_JOB_CPUS_PER_NODE": str(job.cpus) + (f"(x{job.nodes})" if job.nodes > 1 else ""),
        "SLURM_JOB_PARTITION": job.queue,
        "SLURM_JOB_ACCOUNT": job.account,
        "SLURM_JOB_USER": "root",
        "SLURM_JOB_UID": "0",
        "SLURM_CLUSTER_NAME": "fake",
        "SLURM_SUBMIT_DIR": job.option["submit_directory"],
        "SLURM_SUBMIT_HOST": "fake",
        "SLURMD_NODENAME": names[0],
        "SLURM_PROCID": "0",
        "SLURM_LOCALID": "0",
        "SLURM_NODEID": "0",
        "ENVIRONMENT": "BATCH",
    }
    if job.array:
        found |= {
            "SLURM_ARRAY_JOB_ID": job.array,
            "SLURM_ARRAY_TASK_ID": str(job.element),
            "SLURM_ARRAY_TASK_COUNT": str(job.size),
            "SLURM_ARRAY_TASK_MIN": "0",
            "SLURM_ARRAY_TASK_MAX": str(job.size - 1),
        }
    if "cpus-per-task" in job.option:
        found["SLURM_CPUS_PER_TASK"] = job.option["cpus-per-task"]
    if job.starts > 1:
        found["SLURM_RESTART_COUNT"] = str(job.starts - 1)
    return found


def end_signal(job: Job) -> int:
    """scancel and the time limit both ask with it."""
    return signal.SIGTERM


def after_end(state: State, job: Job) -> None:
    """Nothing."""


def never_starts(job: Job) -> str:
    """What a job waits for whose nodes are drained."""
    return "ReqNodeNotAvail, UnavailableNodes:c5"


def element_form(job: Job) -> str:
    """`12_3`."""
    return f"{job.id}_{{number}}"


def unreachable(command: str) -> Answer:
    """slurmctld or slurmdbd is down."""
    return Answer(error=_failure(command, UNREACHABLE), rc=1)


def lost(command: str) -> Answer:
    """It took the message and did not answer."""
    return Answer(error=_failure(command, LOST), rc=1)


def _failure(command: str, text: str) -> str:
    match command:
        case "sbatch":
            return f"{SUBMIT}{text}\n"
        case "sacct":
            return (
                "sacct: error: slurm_persist_conn_open_without_init: failed to open persistent "
                "connection to host:localhost:6819: Connection refused\n"
                "sacct: error: Sending PersistInit msg: Connection refused\n"
                "sacct: error: Problem talking to the database: Connection refused\n"
            )
        case "scancel":
            return f"scancel: error: slurm_kill_job2() failed {text}\n"
        case _:
            return f"slurm_load_jobs error: {text}\n"


def _compressed(names: list[str]) -> str:
    """Neighbours as c[1-2], as Slurm writes them."""
    if len(names) == 1:
        return names[0]
    prefix = names[0].rstrip("0123456789")
    numbers = [int(name[len(prefix) :]) for name in names]
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    texts = [str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs]
    return f"{prefix}[{','.join(texts)}]"

"""A fake Slurm."""

from __future__ import annotations

import os
from typing import ClassVar

from qcsc_hpc.testing.system import FakeBatchSystem


class FakeSlurm(FakeBatchSystem):
    """sbatch, squeue, sacct, scancel and scontrol, as of Slurm 22.05.

    Partitions: normal (the default; 60 minutes), short (1 minute), gpu, and drained, whose node
    takes no job. One account, qcsc, and one licence, qpu.

    Args:
        folder: is made if there is none.
        nodes: how many there are.
        cpus_per_node: a claim; the jobs share what this machine has.
        grace_seconds: between asking a job to end and killing it.
        requeue_seconds: until a requeued job may start again; the real one takes two minutes.
        accounting_lag: seconds until sacct knows of a job, and of its end.
        min_job_age: seconds until squeue forgets a job that has ended.
        max_array_size: elements that an array may have.
        most_submitted: jobs that a user may have in the queue, each element of an array being one.

    Example:
        A submitted job, from a test::

            with FakeSlurm(tmp_path) as slurm:
                environment = {**os.environ, **slurm.environment}
                subprocess.run(["sbatch", "job.sh"], env=environment, check=True)
                (job,) = slurm.jobs()
    """

    system: ClassVar[str] = "slurm"
    node_prefix: ClassVar[str] = "c"
    queues: ClassVar[dict[str, float | None]] = {
        "normal": 3600.0,
        "short": 60.0,
        "gpu": 3600.0,
        "drained": 3600.0,
    }

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        nodes: int = 4,
        cpus_per_node: int = 4,
        grace_seconds: float = 1.0,
        requeue_seconds: float = 0.0,
        accounting_lag: float = 0.5,
        min_job_age: float = 60.0,
        max_array_size: int = 1001,
        most_submitted: int | None = None,
    ) -> None:
        super().__init__(
            folder,
            nodes=nodes,
            cpus_per_node=cpus_per_node,
            grace_seconds=grace_seconds,
            requeue_seconds=requeue_seconds,
            accounting_lag=accounting_lag,
        )
        self._settings |= {
            "min_job_age": min_job_age,
            "max_array_size": max_array_size,
            "most_submitted": most_submitted,
        }

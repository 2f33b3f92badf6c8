"""A fake OpenPBS."""

from __future__ import annotations

import os
from typing import ClassVar, Literal

from qcsc_hpc.testing.fault import Fault
from qcsc_hpc.testing.system import FakeBatchSystem


class FakePBS(FakeBatchSystem):
    """qsub, qstat, qselect and qdel, as of OpenPBS 23.06; a job's id is `12.vm`.

    Queues: workq (the default), regular-c, short (30 seconds), and stopped, which is disabled.

    Args:
        folder: is made if there is none.
        nodes: how many there are.
        cpus_per_node: a claim; the jobs share what this machine has.
        grace_seconds: between asking a job to end and killing it.
        requeue_seconds: until a requeued job may start again.
        dialect: "miyabi": the commands are that site's own, and refuse what it refuses
            (`testing/executables/pbs/miyabi.py` says what is known of them); ids are `12.opbs`.
        max_array_size: elements that an array may have.
        most_queued, most_running: jobs that a user may have in the queue, and running.

    Example:
        A submitted job, from a test::

            with FakePBS(tmp_path) as pbs:
                environment = {**os.environ, **pbs.environment}
                subprocess.run(["qsub", "job.sh"], env=environment, check=True)
                (job,) = pbs.jobs()
    """

    system: ClassVar[str] = "pbs"
    node_prefix: ClassVar[str] = "n"
    queues: ClassVar[dict[str, float | None]] = {
        "workq": None,
        "regular-c": None,
        "short": 30.0,
        "stopped": None,
    }

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        nodes: int = 4,
        cpus_per_node: int = 4,
        grace_seconds: float = 1.0,
        requeue_seconds: float = 0.0,
        dialect: Literal["", "miyabi"] = "",
        max_array_size: int = 10_000,
        most_queued: int | None = None,
        most_running: int | None = None,
    ) -> None:
        super().__init__(
            folder,
            nodes=nodes,
            cpus_per_node=cpus_per_node,
            grace_seconds=grace_seconds,
            requeue_seconds=requeue_seconds,
        )
        self._settings |= {
            "dialect": dialect,
            "server": "opbs" if dialect else "vm",
            "max_array_size": max_array_size,
            "most_queued": most_queued,
            "most_running": most_running,
            "preempted_run_again": True,
            "drops_orphans": True,
        }

    @property
    def command_names(self) -> list[str]:
        names = super().command_names
        return [name for name in names if name != "qselect" or not self._settings["dialect"]]

    def inject(
        self,
        fault: Fault,
        *,
        times: int = 1,
        seconds: float | None = None,
        reason: str = "",
        command: str = "",
    ) -> None:
        """As for every batch system, but PBS has one server, so its history cannot lag."""
        if fault is Fault.ACCOUNTING_LAGS:
            raise ValueError(f"{fault} cannot happen to PBS: its server is its accounting")
        super().inject(fault, times=times, seconds=seconds, reason=reason, command=command)

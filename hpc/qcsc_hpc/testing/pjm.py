"""A fake PJM."""

from __future__ import annotations

import os
from typing import ClassVar, Literal

from qcsc_hpc.testing.system import FakeBatchSystem


class FakePJM(FakeBatchSystem):
    """pjsub, pjstat and pjdel of Fujitsu's Technical Computing Suite, as on Fugaku.

    Resource groups: small (the default; 72 hours), large (24 hours) and int (6 hours). A node
    belongs to one job. No real PJM was at hand: the executables (`testing/executables/pjm`)
    say what is known of it and what is assumed.

    Args:
        folder: is made if there is none.
        nodes: how many there are.
        cpus_per_node: a claim; the jobs share what this machine has.
        grace_seconds: between asking a job to end and killing it.
        requeue_seconds: until a requeued job may start again.
        dialect: "wisteria": pjstat is that site's own.
        chooses: pjstat takes --choose and --filter.
        max_array_size: sub jobs that a bulk job may have.

    Example:
        A submitted job, from a test::

            with FakePJM(tmp_path) as pjm:
                environment = {**os.environ, **pjm.environment}
                subprocess.run(["pjsub", "job.sh"], env=environment, check=True)
                (job,) = pjm.jobs()
    """

    system: ClassVar[str] = "pjm"
    node_prefix: ClassVar[str] = "a"
    queues: ClassVar[dict[str, float | None]] = {
        "small": 72 * 3600.0,
        "large": 24 * 3600.0,
        "int": 6 * 3600.0,
    }

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        nodes: int = 4,
        cpus_per_node: int = 4,
        grace_seconds: float = 1.0,
        requeue_seconds: float = 0.0,
        dialect: Literal["", "wisteria"] = "",
        chooses: bool = True,
        max_array_size: int = 1000,
    ) -> None:
        super().__init__(
            folder,
            nodes=nodes,
            cpus_per_node=cpus_per_node,
            grace_seconds=grace_seconds,
            requeue_seconds=requeue_seconds,
        )
        self._settings |= {"dialect": dialect, "chooses": chooses, "max_array_size": max_array_size}

    def reject(self, job_id: str) -> None:
        """The job manager's exit function refuses a waiting job: RJT."""
        self._control("reject", job_id)

    def break_down(self, job_id: str) -> None:
        """The job manager fails over a job: ERR."""
        self._control("break", job_id)

"""A machine for qcsc-loop: the campus cluster, of which users need to know two things."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from qcsc_hpc import ExecutionProfile, HPCProfile, Machine


class CampusMachine(Machine):
    """The campus cluster.

    Attributes:
        group: whose hours are spent.
        nodes: of 4 ranks each.
    """

    type: Literal["campus"] = "campus"
    group: str = Field(min_length=1)
    nodes: int = Field(default=1, ge=1, le=16)

    @property
    def where(self) -> HPCProfile:
        return HPCProfile(
            scheduler="slurm",
            queue_cpu="long" if self.nodes > 4 else "normal",
            project_cpu=self.group,
            poll_seconds=5,
        )

    @property
    def how(self) -> ExecutionProfile:
        return ExecutionProfile(
            num_nodes=self.nodes,
            mpiprocs=4,
            launcher="srun",
            walltime="01:00:00",
            environments={"OMP_PROC_BIND": "close"},
        )

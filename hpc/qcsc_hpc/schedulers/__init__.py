"""Batch systems, each a class of pure functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qcsc_hpc.profiles import HPCProfile
    from qcsc_hpc.schedulers.scheduler import Dialect, Scheduler


def scheduler_for(where: HPCProfile) -> Scheduler:
    """The scheduler of a site that has one."""
    from qcsc_hpc.schedulers.pbs import PBS
    from qcsc_hpc.schedulers.pjm import PJM
    from qcsc_hpc.schedulers.slurm import Slurm

    kinds: dict[str, type[Scheduler]] = {kind.name: kind for kind in (Slurm, PBS, PJM)}
    return kinds[where.scheduler](where)


def dialect_for(where: HPCProfile) -> Dialect:
    """How scripts are written there, whether there is a scheduler or not."""
    from qcsc_hpc.schedulers.local import Local

    return Local(where) if where.scheduler == "local" else scheduler_for(where)

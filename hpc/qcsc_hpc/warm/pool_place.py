"""Where a run's warm job is, and how it lives: what its keeper and its site both need to know."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from qcsc_hpc.profiles import ExecutionProfile, HPCProfile
from qcsc_hpc.warm.mailbox import Mailbox
from qcsc_hpc.warm.settings import Warm


@dataclass(frozen=True)
class PoolPlace:
    """One warm placement of one run.

    Attributes:
        root: its mailbox's folder.
        where: the site that runs the job.
        how: the shape of the job.
        warm: how it lives.
    """

    root: Path
    where: HPCProfile
    how: ExecutionProfile
    warm: Warm

    @property
    def box(self) -> Mailbox:
        """Its mailbox."""
        return Mailbox(self.root)

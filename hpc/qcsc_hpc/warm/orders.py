"""What a warm job is told, through files in its folder: by the driver, to the supervisor."""

from __future__ import annotations

import time
from dataclasses import dataclass

ORDERS, END, BEGAN = "warm.json", "end", "QCSC_WARM_BEGAN"
NO_RESTART = 65  # the exit code after which the script does not start it again


@dataclass(frozen=True)
class Orders:
    """What a warm job is to do.

    Attributes:
        mailbox: its folder.
        launcher: the words that start the ranks of the pool.
        alone: whether all ranks are on this machine.
        walltime: of the job, seconds; None: not known.
        reserve: the job's last seconds, in which nothing is begun.
        idle: seconds without work after which it ends.
        tries: how often ranks may die in one request.
    """

    mailbox: str
    launcher: list[str]
    ranks: int
    alone: bool
    walltime: float | None
    reserve: float
    idle: float
    tries: int


@dataclass(frozen=True)
class Walltime:
    """Of a job that has begun.

    Attributes:
        seconds: all of it; None: not known.
        reserve: the last of them, in which nothing is begun.
        began: by the clock of the machine.
    """

    seconds: float | None
    reserve: float
    began: float

    @property
    def left(self) -> float | None:
        """Seconds until it is over."""
        return None if self.seconds is None else self.seconds - (time.time() - self.began)

    @property
    def is_nearly_over(self) -> bool:
        left = self.left
        return left is not None and left < self.reserve

    def has_room_for(self, seconds: float) -> bool:
        """Whether what takes so long ends before the reserve."""
        left = self.left
        return left is None or left - self.reserve >= seconds

"""How a run stands, in one word that everything that shows runs agrees on."""

from __future__ import annotations

from enum import StrEnum

from qcsc_loop.rules.reason import Reason


class RunStatus(StrEnum):
    """How a run stands; in the order of how much it wants a person."""

    DAMAGED = "damaged"
    NEWER = "newer version"
    GONE = "driver gone"  # without saying how it ended: killed, or its machine was
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    RUNNING = "running"
    NEW = "new"  # no driver has come to it yet
    HANDED_OVER = "handed over"
    CANCELLED = "cancelled"
    OUT_OF_BUDGET = "out of budget"
    OUT_OF_TIME = "out of time"
    LIMIT = "limit reached"
    STOPPED = "stopped"
    PLATEAU = "plateau"
    CONVERGED = "converged"

    @property
    def rank(self) -> int:
        """Low for what wants a person first."""
        return _RANKS[self]

    @property
    def is_trouble(self) -> bool:
        """Whether somebody should look."""
        return self.rank <= RunStatus.INTERRUPTED.rank

    @property
    def is_finished(self) -> bool:
        """Whether a stop rule ended it."""
        return self.rank >= RunStatus.OUT_OF_BUDGET.rank

    @property
    def may_be_resumed(self) -> bool:
        """Whether a driver can go on with it as it is."""
        return self in (
            RunStatus.GONE,
            RunStatus.FAILED,
            RunStatus.INTERRUPTED,
            RunStatus.NEW,
            RunStatus.HANDED_OVER,
            RunStatus.CANCELLED,
        )

    @property
    def sign(self) -> str:
        """A single character for lists: trouble, going on, finished, or neither."""
        if self.is_trouble:
            return "!"
        if self is RunStatus.RUNNING:
            return "▸"
        return "✓" if self in (RunStatus.CONVERGED, RunStatus.PLATEAU) else "·"


_RANKS = {status: rank for rank, status in enumerate(RunStatus)}


OF_REASON = {
    Reason.CONVERGED: RunStatus.CONVERGED,
    Reason.MAX_ITERATIONS: RunStatus.LIMIT,
    Reason.PLATEAU: RunStatus.PLATEAU,
    Reason.WALL_TIME: RunStatus.OUT_OF_TIME,
    Reason.BUDGET: RunStatus.OUT_OF_BUDGET,
    Reason.CUSTOM: RunStatus.STOPPED,
    Reason.HANDED_OVER: RunStatus.HANDED_OVER,
    Reason.INTERRUPTED: RunStatus.INTERRUPTED,
    Reason.CANCELLED: RunStatus.CANCELLED,
    Reason.FAILED: RunStatus.FAILED,
}

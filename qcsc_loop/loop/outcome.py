"""What a run gives back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, TypeVar

from qcsc_loop.plain import Json
from qcsc_loop.rules.reason import Reason, stop_message
from qcsc_loop.values.record import State

S_co = TypeVar("S_co", bound=State, covariant=True)


@dataclass(frozen=True)
class Outcome(Generic[S_co]):
    """How a run ended.

    Attributes:
        state: the last committed state.
        iteration: its iteration.
        reason: why the run stopped.
        because: the fact behind the reason, in a few words.
        resumed_from: the iteration this driver started from; None if it started the run.
        state_sha256: hash of the state, equal for equal bits.
        scalars: `state.scalars()`.
        usage: what all drivers together have spent: `shots`, `qpu_seconds`, `node_hours`.
        seconds: how long this driver took.
        advice: what to do next, as the end of a sentence; empty where nothing is left to do.
    """

    run_id: str
    state: S_co
    iteration: int
    reason: Reason
    because: str
    resumed_from: int | None
    state_sha256: str
    scalars: dict[str, float] = field(default_factory=dict[str, float])
    usage: dict[str, float] = field(default_factory=dict[str, float])
    seconds: float = 0.0
    advice: str = ""

    @property
    def message(self) -> str:
        """One line: why it stopped, after how long, and what to do next."""
        return stop_message(self.reason, self.iteration, self.because, self.advice)

    def summary(self) -> Json:
        """The outcome without the state, as plain JSON; NaN and inf as strings."""
        return {
            "run_id": self.run_id,
            "iteration": self.iteration,
            "reason": str(self.reason),
            "resumed_from": self.resumed_from,
            "state_sha256": self.state_sha256,
            "scalars": json_scalars(self.scalars),
            "usage": self.usage,
            "message": self.message,
            "seconds": round(self.seconds, 3),
        }


def json_scalars(scalars: dict[str, float]) -> dict[str, float | str]:
    """Scalars as JSON holds them: NaN and inf, which it lacks, as strings that float() reads."""
    return {k: v if abs(v) < float("inf") else str(v) for k, v in scalars.items()}

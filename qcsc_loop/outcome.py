"""What a run gives back."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Generic, TypeVar

from qcsc_loop.state import State

S_co = TypeVar("S_co", bound=State, covariant=True)


class Reason(StrEnum):
    """Why a run stopped; `advice` says what to try."""

    CONVERGED = "converged"
    MAX_ITERATIONS = "max_iterations"
    PLATEAU = "plateau"
    WALL_TIME = "wall_time"
    BUDGET = "budget"
    CUSTOM = "custom"
    HANDED_OVER = "handed_over"
    INTERRUPTED = "interrupted"
    FAILED = "failed"

    @property
    def advice(self) -> str:
        """What to do next, as the end of a sentence; empty where nothing is left to do."""
        return _ADVICE.get(self, "")

    @property
    def finished(self) -> bool:
        """Whether a stop rule ended the run, not an interruption or a fault."""
        return self not in (Reason.INTERRUPTED, Reason.FAILED, Reason.HANDED_OVER)


_WORDS = {
    Reason.MAX_ITERATIONS: "stopped",
    Reason.PLATEAU: "on a plateau",
    Reason.WALL_TIME: "out of time",
    Reason.BUDGET: "out of budget",
    Reason.CUSTOM: "stopped",
    Reason.HANDED_OVER: "handed over",
}
_ADVICE = {
    Reason.MAX_ITERATIONS: "to go on: resume with a higher --max-iterations",
    Reason.PLATEAU: "to go on: resume with a smaller tolerance or a longer window",
    Reason.WALL_TIME: "to go on: resume",
    Reason.BUDGET: "to go on: resume with a larger budget",
    Reason.HANDED_OVER: "the next flow run goes on, or: resume",
    Reason.INTERRUPTED: "to go on: resume",
    Reason.FAILED: "after the fix: resume",
}


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

    @property
    def message(self) -> str:
        """One line: why it stopped, after how long, and what to do next."""
        return stop_message(self.reason, self.iteration, self.because)

    def summary(self) -> dict[str, Any]:
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


def stop_message(reason: Reason, iteration: int, because: str) -> str:
    """'converged after 7 iterations', with the fact behind it and what to try."""
    count = f"{iteration} iteration{'' if iteration == 1 else 's'}"
    words = _WORDS.get(reason, str(reason))
    fact = f" ({because})" if because else ""
    return f"{words} after {count}{fact}{f'; {reason.advice}' if reason.advice else ''}"

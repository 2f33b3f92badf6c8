"""Why a run stopped, in a word and in a sentence."""

from __future__ import annotations

from enum import StrEnum


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
    CANCELLED = "cancelled"  # by a person, who does not want it to go on by itself
    FAILED = "failed"

    @property
    def advice(self) -> str:
        """What to do next, as the end of a sentence; empty where nothing is left to do."""
        return _ADVICE.get(self, "")

    @property
    def finished(self) -> bool:
        """Whether a stop rule ended the run, not an interruption or a fault."""
        return self not in _UNFINISHED


_UNFINISHED = (Reason.INTERRUPTED, Reason.CANCELLED, Reason.FAILED, Reason.HANDED_OVER)
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
    Reason.CANCELLED: "to go on: resume",
    Reason.FAILED: "after the fix: resume",
}


def stop_message(reason: Reason, iteration: int, because: str) -> str:
    """'converged after 7 iterations', with the fact behind it and what to try."""
    advice = f"; {reason.advice}" if reason.advice else ""
    return f"{stop_sentence(reason, iteration, because)}{advice}"


def stop_sentence(reason: Reason, iteration: int, because: str) -> str:
    """The same without what to try."""
    count = f"{iteration} iteration{'' if iteration == 1 else 's'}"
    words = _WORDS.get(reason, str(reason))
    fact = f" ({because})" if because else ""
    return f"{words} after {count}{fact}"

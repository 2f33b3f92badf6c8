"""Why a run stopped, in a word and in a sentence."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Why a run stopped."""

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


def stop_message(reason: Reason, iteration: int, because: str, advice: str) -> str:
    """'converged after 7 iterations', with the fact behind it and what to try; see `advice_on`."""
    return stop_sentence(reason, iteration, because) + (f"; {advice}" if advice else "")


def stop_sentence(reason: Reason, iteration: int, because: str) -> str:
    """The same without what to try."""
    count = f"{iteration} iteration{'' if iteration == 1 else 's'}"
    words = _WORDS.get(reason, str(reason))
    fact = f" ({because})" if because else ""
    return f"{words} after {count}{fact}"

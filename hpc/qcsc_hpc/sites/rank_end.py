"""Ranks that a signal ended: their launcher's words, told apart from the program's own.

mpiexec draws a frame around the exit code, tells the reader to ignore what follows, and says last
where there is a FAQ: of all that a person wants one fact, the signal.
"""

from __future__ import annotations

import re
import signal

from qcsc_loop.jobs.outcome import JobOutcome, JobState

_ENDED = re.compile(
    r"EXIT STRING: [^\n]*\(signal (\d+)\)"  # Hydra: MPICH
    r"|KILLED BY SIGNAL: (\d+)"  # Hydra: Intel MPI
    r"|exited on signal (\d+)"  # Open MPI
)
_FRAME = re.compile(
    r"^={20,}\n=\s+BAD TERMINATION OF ONE OF YOUR APPLICATION PROCESSES\n(?:=.*\n)*"
    r"(?:YOUR APPLICATION TERMINATED WITH THE EXIT STRING.*\n?)?"
    r"(?:This typically refers to a problem with your application\.\n?)?"
    r"(?:Please see the FAQ page for debugging suggestions\n?)?",
    re.MULTILINE,
)
_OF_SHELLS = 128  # plus the signal: the exit code that a shell makes of it


def with_output(outcome: JobOutcome, tail: str) -> JobOutcome:
    """The outcome with the end of the job's output, and with the signal that ended a rank."""
    facts: dict[str, object] = {"tail": _FRAME.sub("", tail)}
    if outcome.state is JobState.FAILED and (number := _signal(outcome, tail)) is not None:
        why = f"a rank was killed by signal {number} ({_name(number)})"
        if number == signal.SIGKILL:
            why += ", as the kernel does when memory runs out"
        facts |= {"signal": number, "reason": why}
    return outcome.model_copy(update=facts)


def _signal(outcome: JobOutcome, tail: str) -> int | None:
    """Of the last rank that was killed so; None if that cannot be said."""
    if found := _ENDED.findall(tail):
        return int(next(number for number in found[-1] if number))
    if outcome.exit_code == _OF_SHELLS + signal.SIGKILL:
        return int(signal.SIGKILL)
    return None


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "not known here"

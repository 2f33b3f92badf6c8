"""What a job's bad end means, where the scheduler's words for it are none that help."""

from __future__ import annotations

import re

from qcsc_hpc.script.job_folder import FOLDER_EXIT, UNWRITABLE_EXIT, JobFolder
from qcsc_loop.jobs.outcome import JobOutcome, JobState

# what mpich, Intel MPI and Open MPI write of a rank that signal 9 has ended
_KILLED = re.compile(
    r"EXIT STRING: Killed \(signal 9\)|KILLED BY SIGNAL: 9|exited on signal 9 \(Killed\)"
)
_KILLED_EXIT = 137  # of bash and srun
_CURE = "the store (--store) has to be on a disk that they share with this machine, and may write"


def explain(outcome: JobOutcome, folder: JobFolder, *, recorded: bool) -> JobOutcome:
    """The outcome, with the reason in words.

    Args:
        recorded: the job has left a record of its end: its exit code is the program's own.
    """
    if outcome.state is not JobState.FAILED:
        return outcome
    why = _killed(outcome) if recorded else _never_began(outcome, folder)
    if not why:
        return outcome
    reason = f"{why} ({outcome.reason})" if outcome.reason else why
    return outcome.model_copy(update={"reason": reason})


def _never_began(outcome: JobOutcome, folder: JobFolder) -> str:
    if outcome.exit_code == FOLDER_EXIT:
        return f"the nodes do not see {folder.path}: {_CURE}"
    if outcome.exit_code == UNWRITABLE_EXIT:
        return f"the nodes cannot write {folder.path}, which is read-only or full there: {_CURE}"
    if "JobLaunchFailure" in outcome.reason:  # Slurm, which could not open the output
        return f"the nodes do not see, or cannot write, {folder.path}: {_CURE}"
    return ""


def _killed(outcome: JobOutcome) -> str:
    if outcome.exit_code != _KILLED_EXIT and _KILLED.search(outcome.tail) is None:
        return ""
    return "a process of it was killed (signal 9), as the kernel does when memory runs out"

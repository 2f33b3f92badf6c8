"""Why a job never began, where the scheduler's words for it are none that help."""

from __future__ import annotations

from qcsc_hpc.script.job_folder import FOLDER_EXIT, UNWRITABLE_EXIT, JobFolder
from qcsc_loop.jobs.outcome import JobOutcome, JobState

_CURE = "the store (--store) has to be on a disk that they share with this machine, and may write"


def explain(outcome: JobOutcome, folder: JobFolder) -> JobOutcome:
    """The outcome of a job that left no record of its end, with the reason in words."""
    if outcome.state is not JobState.FAILED or not (why := _never_began(outcome, folder)):
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

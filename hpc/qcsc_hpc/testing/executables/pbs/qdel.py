"""qdel(1B)."""

from __future__ import annotations

from qcsc_hpc.testing.executables.answer import Answer
from qcsc_hpc.testing.executables.ending import end_job
from qcsc_hpc.testing.executables.job import CANCELLED
from qcsc_hpc.testing.executables.options import Grammar
from qcsc_hpc.testing.executables.pbs.history import full_id, is_id, parsed
from qcsc_hpc.testing.executables.pbs.qstat import FINISHED, UNKNOWN_ID
from qcsc_hpc.testing.executables.state import State

GRAMMAR = Grammar(valued="W", flags="x")
USAGE = "qdel [-W force|suppress_email=X] [-x] job_identifier..."
ILLEGAL_ID = 2


def answer(state: State, arguments: list[str]) -> Answer:
    """Nothing, if all goes well; otherwise the last failure's exit code."""
    _, ids = parsed(GRAMMAR, arguments, USAGE)
    error, rc = "", 0
    for id in ids:
        said, code = _delete(state, id)
        error, rc = error + said, code or rc
    return Answer("", error, rc)


def _delete(state: State, id: str) -> tuple[str, int]:
    if not is_id(id):
        return f"qdel: illegally formed job identifier: {id}\n", ILLEGAL_ID
    job = state.job(full_id(state, id))
    if job is None:
        return f"qdel: Unknown Job Id {full_id(state, id)}\n", UNKNOWN_ID
    if job.is_over:
        return f"qdel: Job has finished {job.id}\n", FINISHED
    end_job(state, job, CANCELLED)
    return "", 0

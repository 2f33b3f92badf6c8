"""qdel(1B)."""

from __future__ import annotations

from qcsc_hpc.testing.executables.answer import Answer
from qcsc_hpc.testing.executables.arrays import spread
from qcsc_hpc.testing.executables.ending import end_job
from qcsc_hpc.testing.executables.job import CANCELLED, Job
from qcsc_hpc.testing.executables.options import Grammar
from qcsc_hpc.testing.executables.pbs.history import full_id, is_id, parsed
from qcsc_hpc.testing.executables.pbs.qstat import FINISHED, UNKNOWN_ID
from qcsc_hpc.testing.executables.state import State

GRAMMAR = Grammar(valued="W", flags="x")
USAGE = "qdel [-W force|suppress_email=X] [-x] job_identifier..."
ILLEGAL_ID = 2
FINISHED_ELEMENT = 55


def answer(state: State, arguments: list[str]) -> Answer:
    """Nothing, if all goes well; otherwise the last failure's exit code."""
    _, ids = parsed(GRAMMAR, arguments, USAGE)
    error, rc = "", 0
    ids = spread(ids, r"\d+\[(?P<many>[\d,-]+)\].*")
    arrays = [job for id in ids if "[]" in id for job in _elements(state, id)]
    ids = [id for id in ids if "[]" not in id] + [job.id for job in arrays if not job.is_over]
    for id in ids:
        said, code = _delete(state, id)
        error, rc = error + said, code or rc
    return Answer("", error, rc)


def _elements(state: State, array: str) -> list[Job]:
    """Of an array; none if there is no such one."""
    whole = full_id(state, array) if array else "none"
    return [job for job in state.known_jobs() if job.array == whole]


def _delete(state: State, id: str) -> tuple[str, int]:
    if not is_id(id):
        return f"qdel: illegally formed job identifier: {id}\n", ILLEGAL_ID
    job = state.job(full_id(state, id))
    if job is None:
        return f"qdel: Unknown Job Id {full_id(state, id)}\n", UNKNOWN_ID
    if job.is_over and any(not one.is_over for one in _elements(state, job.array)):
        return f"qdel: Request invalid for finished array subjob {job.id}\n", FINISHED_ELEMENT
    if job.is_over:
        return f"qdel: Job has finished {job.id}\n", FINISHED
    end_job(state, job, CANCELLED)
    return "", 0

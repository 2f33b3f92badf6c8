"""pjdel(1)."""

from __future__ import annotations

from qcsc_hpc.testing.executables.answer import Answer, Refused
from qcsc_hpc.testing.executables.arrays import spread
from qcsc_hpc.testing.executables.ending import end_job
from qcsc_hpc.testing.executables.job import CANCELLED
from qcsc_hpc.testing.executables.options import BadOption, Grammar
from qcsc_hpc.testing.executables.state import State

GRAMMAR = Grammar(valued=("reason",), flags=("k", "z"), permutes=True)


def answer(state: State, arguments: list[str]) -> Answer:
    """A line for each job; exit code 1 if one of them cannot be deleted."""
    try:
        _, ids = GRAMMAR.parse(arguments)
    except BadOption as bad:
        raise Refused(f"[ERR.] PJM 0001 pjdel Invalid option: {bad.option}.\n", 1) from bad
    output, error = "", ""
    ids = spread(ids, r"\d+\[(?P<many>[\d,-]+)\]")
    known = state.known_jobs()
    ids = [one for id in ids for one in [j.id for j in known if j.array == id] or [id]]
    for id in ids:
        job = state.job(id)
        if job is None:
            error += f"[ERR.] PJM 0112 pjdel Job ID does not exist: {id}.\n"
        elif job.is_over:
            error += f"[ERR.] PJM 0113 pjdel Job has already finished: {id}.\n"
        else:
            end_job(state, job, CANCELLED)
            output += f"[INFO] PJM 0100 pjdel Accepted job {id}.\n"
    return Answer(output, error, 1 if error else 0)

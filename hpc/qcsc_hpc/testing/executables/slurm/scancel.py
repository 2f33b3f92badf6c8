"""scancel(1), which is content with an id that nobody knows."""

from __future__ import annotations

from qcsc_hpc.testing.executables.answer import Answer, Refused
from qcsc_hpc.testing.executables.arrays import spread
from qcsc_hpc.testing.executables.ending import end_job
from qcsc_hpc.testing.executables.job import CANCELLED
from qcsc_hpc.testing.executables.options import BadOption, Grammar
from qcsc_hpc.testing.executables.slurm.squeue import remembered
from qcsc_hpc.testing.executables.state import State

GRAMMAR = Grammar(
    valued=("name", "user", "state", "partition", "account"),
    flags=("me", "quiet", "verbose", "full", "batch"),
    short={"n": "name", "u": "user", "t": "state", "Q": "quiet", "v": "verbose", "f": "full"},
    permutes=True,
)


def answer(state: State, arguments: list[str]) -> Answer:
    """Nothing; the jobs will be CANCELLED."""
    try:
        given, ids = GRAMMAR.parse(arguments)
    except BadOption as bad:
        raise Refused(f"scancel: unrecognized option '{bad.option}'\n", 1) from bad
    options = dict(given)
    if not ids and not options:
        raise Refused("scancel: error: No job identification provided\n", 1)
    ids = spread(ids, r"\d+_\[(?P<many>[\d,-]+)\]")
    ids = [id.replace("[", "").replace("]", "") for id in ids]
    for job in remembered(state):
        if (ids and job.id not in ids and job.array not in ids) or job.name != options.get(
            "name", job.name
        ):
            continue
        end_job(state, job, CANCELLED)
    return Answer()

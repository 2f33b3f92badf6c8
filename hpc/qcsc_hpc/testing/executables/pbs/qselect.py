"""qselect(1B)."""

from __future__ import annotations

from qcsc_hpc.testing.executables.answer import Answer
from qcsc_hpc.testing.executables.options import Grammar
from qcsc_hpc.testing.executables.pbs.attributes import letter
from qcsc_hpc.testing.executables.pbs.history import active, ended, parsed
from qcsc_hpc.testing.executables.state import State

GRAMMAR = Grammar(valued="NAqsuP", flags="xH")
USAGE = "qselect [-A account_string] [-N name] [-P project] [-q destination] [-s states] [-x]"


def answer(state: State, arguments: list[str]) -> Answer:
    """The ids of the jobs that all options fit; no id, and exit code 0, if there is none.

    -x: of all jobs; -H: of those that have ended.
    """
    options, _ = parsed(GRAMMAR, arguments, USAGE)
    jobs = state.known_jobs()
    chosen = ended(jobs) if "H" in options else jobs if "x" in options else active(jobs)
    if "N" in options:
        chosen = [job for job in chosen if job.name == options["N"]]
    if "A" in options:
        chosen = [job for job in chosen if job.account == options["A"]]
    if "q" in options:
        chosen = [job for job in chosen if job.queue == options["q"]]
    if "s" in options:
        chosen = [job for job in chosen if letter(job) in options["s"]]
    # an array is one, without -T
    return Answer("".join(f"{id}\n" for id in dict.fromkeys(j.array or j.id for j in chosen)))

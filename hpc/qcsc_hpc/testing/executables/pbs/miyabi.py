"""Miyabi's qstat and qsub, as the site's public documents and its users' scripts have them.

Known: `qstat -f ID` is for jobs that live, `-H -f ID` for those that have ended, by default 100 jobs
of 3 days (`--hnum`, `--hday`); text and no JSON; -u, -Q, -x and -xf are rejected; "No matching job
found"; a notice before scheduled stops; ids such as 2421495.opbs; Exit_status in `-H -f`; a chunk
names no GPUs; no multi-byte paths and names; a user may have 4 jobs in a queue, of which 2 run.

Assumed: that there are no arrays, of which nobody says a word; the exit codes; the notice's text; that
there are no substates; that `-f` without an id lists all jobs of the user; how a chunk's GPUs and
multi-byte names are refused.
"""

from __future__ import annotations

import os

from qcsc_hpc.testing.executables.answer import Answer, Refused
from qcsc_hpc.testing.executables.job import Job
from qcsc_hpc.testing.executables.options import Grammar
from qcsc_hpc.testing.executables.pbs.attributes import attributes, letter
from qcsc_hpc.testing.executables.pbs.history import active, ended, full_id, parsed
from qcsc_hpc.testing.executables.pbs.writing import in_text
from qcsc_hpc.testing.executables.state import State

GRAMMAR = Grammar(valued=("hday", "hnum"), flags="fH", permutes=True)
USAGE = "qstat [-f] [-H [--hday=DAYS] [--hnum=JOBS]] [job_identifier...]"
NOTICE = "Notice: the system stops at 09:00 on the last Friday of the month\n"
NOTHING = "No matching job found\n"
DAY = 86400.0


def listed(state: State, arguments: list[str]) -> Answer:
    """Jobs that live, or jobs that have ended."""
    options, ids = parsed(GRAMMAR, arguments, USAGE)
    jobs = _history(state, options) if "H" in options else active(state.known_jobs())
    wanted = [full_id(state, id) for id in ids]
    jobs = [job for job in jobs if not ids or job.id in wanted]
    if not jobs:
        return Answer(NOTICE + NOTHING)
    if "f" not in options:
        rows = [f"{job.id:<16} {job.name:<16} {letter(job)} {job.queue}\n" for job in jobs]
        return Answer(NOTICE + "".join(rows))
    return Answer(NOTICE + "".join(_full(state, job) for job in jobs))


def check(resources: dict[str, str], options: dict[str, str]) -> None:
    """Of a submission.

    Raises:
        Refused: the site does not take it.
    """
    if any(part.startswith("ngpus=") for part in resources.get("select", "").split(":")):
        raise Refused("qsub: Illegal attribute or resource value Resource_List.select\n", 168)
    if "J" in options:
        raise Refused("qsub: illegal option -- J\n", 2)
    if not (options["N"] + os.getcwd()).isascii():
        raise Refused("qsub: multi-byte characters cannot be used in paths and names\n", 2)


def _history(state: State, options: dict[str, str]) -> list[Job]:
    days, most = float(options.get("hday", 3)), int(options.get("hnum", 100))
    since = state.now - days * DAY
    jobs = [job for job in ended(state.known_jobs()) if (job.ended or 0.0) >= since]
    return jobs[-most:]


def _full(state: State, job: Job) -> str:
    shown = attributes(state, job)
    del shown["substate"]
    return in_text(job.id, shown)

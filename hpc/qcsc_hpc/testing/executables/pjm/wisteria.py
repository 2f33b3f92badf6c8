"""The pjstat of Wisteria/BDEC-01, which is the site's own, as its users show it.

Known: a banner, the titles, the states RUNNING, QUEUED and END, "No unfinished job found.", and that
there is no exit code. Assumed: the widths, that a name is cut to 10 characters, that `-H` lists jobs
that have ended, that no ids are taken.
"""

from __future__ import annotations

import time

from qcsc_hpc.testing.executables.answer import Answer, Refused
from qcsc_hpc.testing.executables.job import RUNNING, Job
from qcsc_hpc.testing.executables.options import BadOption, Grammar
from qcsc_hpc.testing.executables.state import State

GRAMMAR = Grammar(flags="H", permutes=True)
BANNER = "Wisteria/BDEC-01 scheduled stop time: the last Friday of the month\n\n"
TITLES = (
    *(("JOB_ID", 10), ("JOB_NAME", 10), ("STATUS", 8), ("PROJECT", 9), ("RSCGROUP", 12)),
    *(("START_DATE", 15), ("ELAPSE", 11), ("TOKEN", 7), ("NODE", 5), ("GPU", 4)),
)


def listed(state: State, arguments: list[str]) -> Answer:
    """All jobs that live, or all that have ended."""
    try:
        given, ids = GRAMMAR.parse(arguments)
    except BadOption as bad:
        raise Refused(f"pjstat: invalid option: {bad.option}\n", 1) from bad
    if ids:
        raise Refused(f"pjstat: invalid argument: {ids[0]}\n", 1)
    ended = ("H", "") in given
    jobs = [job for job in state.known_jobs() if job.is_over == ended]
    if not jobs:
        return Answer(f"{BANNER}No unfinished job found.\n")
    rows = [{title: title for title, _ in TITLES}, *(_row(state, job) for job in jobs)]
    return Answer(BANNER + "".join(_line(row) for row in rows))


def _line(row: dict[str, str]) -> str:
    return " ".join(f"{row[title][:width]:<{width}}" for title, width in TITLES) + "\n"


def _row(state: State, job: Job) -> dict[str, str]:
    began = job.started
    ran = 0 if began is None else int((job.ended or state.now) - began)
    date = "-" if began is None else time.strftime("%m/%d %H:%M:%S", time.localtime(began))
    return {
        "JOB_ID": job.id,
        "JOB_NAME": job.name,
        "STATUS": "END" if job.is_over else "RUNNING" if job.state == RUNNING else "QUEUED",
        "PROJECT": job.account,
        "RSCGROUP": job.queue,
        "START_DATE": date,
        "ELAPSE": f"{ran // 3600:02}:{ran // 60 % 60:02}:{ran % 60:02}",
        "TOKEN": "0.0",
        "NODE": str(job.nodes),
        "GPU": "-",
    }

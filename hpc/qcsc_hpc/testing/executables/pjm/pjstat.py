"""pjstat(1): a table of fixed columns, whose values can have blanks in them."""

from __future__ import annotations

import time

from qcsc_hpc.testing.executables.answer import Answer, Refused
from qcsc_hpc.testing.executables.job import Job
from qcsc_hpc.testing.executables.options import BadOption, Grammar
from qcsc_hpc.testing.executables.pjm.words import (
    exit_code,
    job_state,
    manager_code,
    previous_state,
    reason,
    shown_signal,
)
from qcsc_hpc.testing.executables.state import State

GRAMMAR = Grammar(
    valued=("choose", "filter", "sort", "rg", "ru"),
    flags=("verbose", "E", "A", "X"),
    either=("history",),
    short={"v": "verbose", "H": "history"},
    permutes=True,
)
# item of --choose, title, width
BRIEF = (
    *(("jid", "JOB_ID", 10), ("jnam", "JOB_NAME", 10), ("md", "MD", 2), ("st", "ST", 3)),
    *(("usr", "USER", 8), ("sdt", "START_DATE", 15), ("elpl", "ELAPSE_LIM", 21)),
    *(("nnumr", "NODE_REQUIRE", 15), ("vnodn", "VNODE", 6), ("core", "CORE", 4)),
    ("vmem", "V_MEM", 12),
)
VERBOSE = (
    *BRIEF[:5],
    ("grp", "GROUP", 8),
    *(("sdt", "START_DATE", 15), ("elp", "ELAPSE_TIM", 10)),
    *BRIEF[6:],
    *(("vpol", "V_POL", 5), ("epol", "E_POL", 5), ("rank", "RANK", 9), ("lst", "LST", 3)),
    *(("ec", "EC", 3), ("pc", "PC", 3), ("sn", "SN", 2), ("pri", "PRI", 3)),
    *(("adt", "ACCEPT", 14), ("rscg", "RSC_GRP", 8), ("ermsg", "REASON", 16)),
)
WIDE = {"ermsg": 31}  # when it is chosen
FILTERS = ("jid", "jnam", "st", "rscg", "usr")

Column = tuple[str, str, int]


def answer(state: State, arguments: list[str]) -> Answer:
    """The jobs asked for, under their titles; the titles alone if there are none."""
    if state.setting("dialect") == "wisteria":
        from qcsc_hpc.testing.executables.pjm import wisteria

        return wisteria.listed(state, arguments)
    try:
        given, ids = GRAMMAR.parse(arguments)
    except BadOption as bad:
        raise Refused(f"[ERR.] PJM 0001 pjstat Invalid option: {bad.option}.\n", 1) from bad
    options = dict(given)
    if not state.setting("chooses"):
        for option in ("choose", "filter"):
            if option in options:
                raise Refused(f"[ERR.] PJM 0001 pjstat Invalid option: --{option}.\n", 1)
    columns = _columns(options)
    rows = [{item: title for item, title, _ in columns}]
    rows += [_row(state, job) for job in _chosen(state, options, ids)]
    return Answer("".join(_line(row, columns) for row in rows))


def _columns(options: dict[str, str]) -> list[Column]:
    if "choose" not in options:
        return list(VERBOSE if "verbose" in options else BRIEF)
    by_item = {column[0]: column for column in VERBOSE}
    chosen = options["choose"].split(",")
    for item in chosen:
        if item not in by_item:
            raise Refused(f"[ERR.] PJM 0201 pjstat Invalid item: {item}.\n", 1)
    return [(item, by_item[item][1], WIDE.get(item, by_item[item][2])) for item in chosen]


def _line(row: dict[str, str], columns: list[Column]) -> str:
    return " ".join(f"{row[item][:width]:<{width}}" for item, _, width in columns) + "\n"


def _chosen(state: State, options: dict[str, str], ids: list[str]) -> list[Job]:
    for id in ids:
        if not id[:1].isdigit():
            raise Refused(f"[ERR.] PJM 0211 pjstat Invalid jobid: {id}.\n", 1)
    wants_history = "history" in options
    jobs = [job for job in state.known_jobs() if job.is_over == wants_history]
    jobs = [job for job in jobs if not job.is_over or _is_seen(state, job)]
    if ids:
        jobs = [job for job in jobs if job.id in ids or job.array in ids]
    if "filter" in options:
        jobs = [job for job in jobs if _fits(job, options["filter"])]
    return jobs if "E" in options else _whole(jobs, ids)


def _whole(jobs: list[Job], ids: list[str]) -> list[Job]:
    """A bulk job is one line, unless a sub job is asked for, or -E."""
    shown: dict[str, Job] = {}
    for job in jobs:
        id = job.array if job.array and job.id not in ids else job.id
        shown.setdefault(id, Job({**job.__dict__, "id": id}))
    return [*shown.values()]


def _is_seen(state: State, job: Job) -> bool:
    """An ended job leaves the one list before it comes to the other."""
    return job.ended is not None and state.now >= job.ended + job.lag


def _fits(job: Job, text: str) -> bool:
    """`jid=1+2`, `jnam=NAME`; the whole name counts, whatever the table shows of it."""
    item, _, wanted = text.partition("=")
    if item not in FILTERS:
        raise Refused(f"[ERR.] PJM 0202 pjstat Invalid filter: {text}.\n", 1)
    has = {
        "jid": job.array or job.id,
        "jnam": job.name,
        "st": job_state(job),
        "rscg": job.queue,
        "usr": "root",
    }
    return has[item] in wanted.replace("+", ",").split(",")


def _row(state: State, job: Job) -> dict[str, str]:
    ran = 0.0 if job.started is None else (job.ended or state.now) - job.started
    return {
        "jid": job.id,
        "jnam": job.name,
        "md": "BU" if job.array else "NM",
        "st": job_state(job),
        "usr": "root",
        "grp": job.account,
        "sdt": _start(job),
        "elp": _clock(ran),
        "elpl": _clock(job.walltime) if job.walltime else "-",
        "nnumr": str(job.nodes),
        "vnodn": "-",
        "core": "-",
        "vmem": "-",
        "vpol": "-",
        "epol": "-",
        "rank": "bychip",
        "lst": previous_state(job),
        "ec": str(exit_code(job)),
        "pc": str(manager_code(job)),
        "sn": str(shown_signal(job)),
        "pri": "127",
        "adt": _date(job.submitted),
        "rscg": job.queue,
        "ermsg": reason(job),
    }


def _start(job: Job) -> str:
    """Of a job that waits, when it may start; it is in brackets, and has no seconds."""
    if job.started is not None:
        return _date(job.started)
    if job.held or job.is_over:
        return "-"
    return time.strftime("(%m/%d %H:%M)", time.localtime(job.submitted))


def _date(when: float) -> str:
    return time.strftime("%m/%d %H:%M:%S", time.localtime(when))


def _clock(seconds: float) -> str:
    whole = int(seconds)
    return f"{whole // 3600:04}:{whole // 60 % 60:02}:{whole % 60:02}"

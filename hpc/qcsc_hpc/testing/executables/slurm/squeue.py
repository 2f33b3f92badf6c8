"""squeue(1)."""

from __future__ import annotations

import re

from qcsc_hpc.testing.executables.answer import Answer, Refused
from qcsc_hpc.testing.executables.arrays import ranges
from qcsc_hpc.testing.executables.job import CANCELLED, PENDING, RUNNING, Job
from qcsc_hpc.testing.executables.options import BadOption, Grammar
from qcsc_hpc.testing.executables.slurm.durations import moment, shown
from qcsc_hpc.testing.executables.slurm.words import (
    COMPACT,
    queue_reason,
    queue_state,
    restarts,
    wait_status,
)
from qcsc_hpc.testing.executables.state import State

GRAMMAR = Grammar(
    valued=("states", "jobs", "Format", "format", "name", "user", "partition", "account", "sort"),
    flags=("noheader", "me", "all", "array", "long", "local"),
    short={
        **{"t": "states", "j": "jobs", "O": "Format", "o": "format", "n": "name", "u": "user"},
        **{"p": "partition", "A": "account", "h": "noheader", "a": "all", "r": "array"},
        **{"l": "long", "S": "sort"},
    },
)
ACTIVE = (PENDING, RUNNING, "COMPLETING")
UNKNOWN_ID = "slurm_load_jobs error: Invalid job id specified\n"
SIGNS = {
    **{
        "i": "jobarrayid",
        "F": "arrayjobid",
        "A": "jobid",
        "T": "state",
        "t": "statecompact",
        "j": "name",
        "k": "comment",
    },
    **{"r": "reason", "R": "reasonlist", "P": "partition", "a": "account", "u": "username"},
    **{"D": "numnodes", "C": "numcpus", "V": "submittime", "S": "starttime", "e": "endtime"},
    **{"Z": "workdir", "l": "timelimit", "N": "nodelist", "M": "timeused"},
}
TITLES = {
    **{"username": "USER", "statecompact": "ST", "timeused": "TIME", "numnodes": "NODES"},
    **{"reasonlist": "NODELIST(REASON)", "numcpus": "CPUS"},
}
DEFAULT = "%.18i %.9P %.8j %.8u %.2t %.10M %.6D %R"


def answer(state: State, arguments: list[str]) -> Answer:
    """The jobs asked for, as far as slurmctld remembers them."""
    try:
        options = dict(GRAMMAR.parse(arguments)[0])
    except BadOption as bad:
        help = 'Try "squeue --help" for more information'
        raise Refused(f"squeue: unrecognized option '{bad.option}'\n{help}\n", 1) from bad
    columns = _columns(options)
    known = remembered(state)
    chosen = sorted(_chosen(known, options), key=lambda job: (job.queue, job.state, job.number))
    shown = chosen if "array" in options else _together(chosen)
    rows = [_row(job, columns) for job in shown]
    if "noheader" not in options:
        rows.insert(0, "".join(_padded(_title(column), *column[1:]) for column in columns))
    return Answer("".join(f"{row}\n" for row in rows))


def _together(jobs: list[Job]) -> list[Job]:
    """Without -r, elements that wait for their first start are one line."""
    waiting = [job for job in jobs if job.array and job.state == PENDING and not job.starts]
    firsts: dict[str, Job] = {}
    for job in waiting:
        numbers = [one.element for one in waiting if one.array == job.array]
        if job.array not in firsts:
            firsts[job.array] = Job({**job.__dict__, "id": f"{job.array}_[{ranges(numbers)}]"})
    return [job for job in jobs if job not in waiting] + [*firsts.values()]


def remembered(state: State) -> list[Job]:
    """slurmctld forgets jobs some time after their end; slurm.conf(5), MinJobAge."""
    oldest = state.now - state.number_setting("min_job_age")
    known = [job for job in state.known_jobs() if not taken_back(job)]
    return [job for job in known if job.ended is None or job.ended >= oldest]


def taken_back(job: Job) -> bool:
    """Of an element that was cancelled before it began there is no record (measured on 22.05)."""
    return bool(job.array) and job.state == CANCELLED and not job.starts


def _chosen(known: list[Job], options: dict[str, str]) -> list[Job]:
    chosen = known
    if "jobs" in options:
        ids = options["jobs"].split(",")
        chosen = [job for job in chosen if job.id in ids or job.array in ids]
        of_arrays = {job.array for job in known}
        if (
            not chosen and len(ids) == 1 and ids[0].partition("_")[0] not in of_arrays
        ):  # of several, those that it does not know are left out
            raise Refused(UNKNOWN_ID, 1)
    if "name" in options:
        chosen = [job for job in chosen if job.name in options["name"].split(",")]
    if "partition" in options:
        chosen = [job for job in chosen if job.queue in options["partition"].split(",")]
    return [job for job in chosen if _has_state(job, options.get("states"))]


def _has_state(job: Job, wanted: str | None) -> bool:
    state = queue_state(job)
    if wanted is None:
        return state in ACTIVE
    names = wanted.upper().split(",")
    return "ALL" in names or state in names or COMPACT[state] in names


Column = tuple[str, int, str, bool]  # name, width (0: none), what follows, flush right


def _columns(options: dict[str, str]) -> list[Column]:
    if "Format" in options:
        return [_column(text) for text in options["Format"].split(",") if text]
    found: list[Column] = []
    for text in re.findall(r"%\.?\d*[a-zA-Z][^%]*", options.get("format", DEFAULT)):
        parts = re.fullmatch(r"%(\.?)(\d*)([a-zA-Z])([^%]*)", text)
        assert parts is not None
        right, width, sign, suffix = parts.groups()
        if sign not in SIGNS:
            raise Refused(f"squeue: error: Invalid job format specification: {sign}\n", 1)
        found.append((SIGNS[sign], int(width or 0), suffix, bool(right)))
    return found


def _column(text: str) -> Column:
    """`Name:[.][width][what follows]`: 20 wide if nothing is said, as wide as needed if only that."""
    name, said, form = text.partition(":")
    parts = re.fullmatch(r"(\.?)(\d*)(.*)", form)
    assert parts is not None
    right, width, suffix = parts.groups()
    if name.lower() not in FIELDS:
        raise Refused(f"squeue: error: Invalid job format specification: {name}\n", 0)
    return name.lower(), int(width or (0 if said and suffix else 20)), suffix, bool(right)


def _title(column: Column) -> str:
    return TITLES.get(column[0], column[0].upper())


def _row(job: Job, columns: list[Column]) -> str:
    return "".join(_padded(_field(job, column[0]), *column[1:]) for column in columns)


def _padded(text: str, width: int, suffix: str, right: bool) -> str:
    if width:
        text = text[:width].rjust(width) if right else text[:width].ljust(width)
    return text + suffix


FIELDS = (
    *(
        "jobid",
        "jobarrayid",
        "arrayjobid",
        "state",
        "statecompact",
        "exit_code",
        "submittime",
        "starttime",
    ),
    *("endtime", "numnodes", "numcpus", "numtasks", "name", "reason", "reasonlist", "comment"),
    *("partition", "account", "username", "restartcnt", "workdir", "nodelist", "timelimit"),
    *("timeused", "stdout", "stderr"),
)


def _field(job: Job, name: str) -> str:
    match name:
        case "state":
            return queue_state(job)
        case "statecompact":
            return COMPACT[queue_state(job)]
        case "submittime" | "starttime" | "endtime" | "timeused" | "timelimit":
            return _time(job, name)
        case "reason":
            return queue_reason(job)
        case "reasonlist":
            return job.allocation or f"({queue_reason(job)})"
        case _:
            return _plain(job, name)


def _plain(job: Job, name: str) -> str:
    values = {
        "jobid": job.number,
        "jobarrayid": job.id,
        "arrayjobid": job.array or job.id,
        "exit_code": wait_status(job),
        "numnodes": job.nodes,
        "numcpus": job.nodes * job.cpus,
        "numtasks": job.tasks,
        "name": job.name,
        "comment": job.option.get("comment", "(null)"),
        "partition": job.queue,
        "account": job.account,
        "username": "root",
        "restartcnt": restarts(job),
        "workdir": job.directory,
        "nodelist": job.allocation,
        "stdout": job.output,
        "stderr": job.error,
    }
    return str(values[name])


def _time(job: Job, name: str) -> str:
    match name:
        case "submittime":
            return moment(job.submitted, "N/A")
        case "starttime":
            return moment(job.started, "N/A")
        case "endtime":
            expected = job.started + job.walltime if job.started and job.walltime else None
            return moment(job.ended or expected, "N/A")
        case "timelimit":
            return shown(job.walltime) if job.walltime else "UNLIMITED"
        case _:
            return (
                "0:00" if job.started is None else shown((job.ended or job.started) - job.started)
            )

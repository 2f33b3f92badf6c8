"""sacct(1), which hears of everything late.

Until a job's records are whole its name is "allocation", by which nobody finds it.
"""

from __future__ import annotations

import time

from qcsc_hpc.testing.executables.answer import Answer, Refused
from qcsc_hpc.testing.executables.arrays import ranges
from qcsc_hpc.testing.executables.job import CANCELLED, PENDING, REQUEUED, RUNNING, Job
from qcsc_hpc.testing.executables.options import BadOption, Grammar
from qcsc_hpc.testing.executables.slurm.durations import moment, point, shown
from qcsc_hpc.testing.executables.slurm.squeue import taken_back
from qcsc_hpc.testing.executables.slurm.words import BY_ITSELF
from qcsc_hpc.testing.executables.state import State

GRAMMAR = Grammar(
    valued=("jobs", "name", "starttime", "endtime", "format", "state", "user", "accounts"),
    flags=("allocations", "noheader", "parsable", "parsable2", "duplicates", "allusers", "long"),
    short={
        **{"X": "allocations", "n": "noheader", "p": "parsable", "P": "parsable2", "j": "jobs"},
        **{"S": "starttime", "E": "endtime", "o": "format", "s": "state", "u": "user"},
        **{"D": "duplicates", "a": "allusers", "A": "accounts", "l": "long"},
    },
)
UNNAMED = "allocation"
DEFAULT = "JobID,JobName,Partition,Account,AllocCPUS,State,ExitCode"


class Record:
    """A job as accounting sees it now, or its batch step.

    Attributes:
        is_late: the end, or the name, has not arrived yet.
    """

    def __init__(self, job: Job, now: float, *, is_step: bool = False) -> None:
        self.job = job
        self.is_step = is_step
        self.end = job.ended if job.ended is not None and now >= job.ended + job.lag else None
        unseen_end = job.ended is not None and self.end is None
        self.is_late = unseen_end or now < job.submitted + 2 * job.lag
        self.started = job.started if job.starts and job.started is not None else None

    @property
    def state(self) -> str:
        """A cancelled job's says by whom, and a step is cancelled by any signal."""
        job = self.job
        if job.ended is not None and self.end is None:
            return RUNNING if self.started is not None else PENDING
        if job.state == PENDING and job.starts:
            return REQUEUED
        if self.is_step and job.signal:
            return CANCELLED
        if job.state == CANCELLED and not self.is_step:
            return "CANCELLED by 0"
        return job.state

    @property
    def name(self) -> str:
        """Which one can look for."""
        return "batch" if self.is_step else UNNAMED if self.is_late else self.job.name


def answer(state: State, arguments: list[str]) -> Answer:
    """The jobs asked for, and their batch steps; nothing at all for ids that are not known."""
    try:
        options = dict(GRAMMAR.parse(arguments)[0])
    except BadOption as bad:
        help = 'Try "sacct --help" for more information'
        raise Refused(f"sacct: unrecognized option '{bad.option}'\n{help}\n", 1) from bad
    fields = [name for name in options.get("format", DEFAULT).split(",") if name]
    rows = [_row(record, fields) for record in _records(state, options)]
    if "noheader" not in options:
        rows.insert(0, [name.partition("%")[0] for name in fields])
    return Answer("".join(f"{_joined(row, options)}\n" for row in rows))


def _joined(row: list[str], options: dict[str, str]) -> str:
    if "parsable2" in options:
        return "|".join(row)
    if "parsable" in options:
        return "".join(f"{text}|" for text in row)
    return "".join(f"{text[:10]:>10} " for text in row)


def _records(state: State, options: dict[str, str]) -> list[Record]:
    known = [job for job in state.known_jobs() if state.now >= job.submitted + job.lag]
    known = [job for job in known if not taken_back(job)]
    ids = options["jobs"].split(",") if "jobs" in options else []
    records = [Record(job, state.now) for job in waiting_together(known, ids)]
    if "jobs" in options:
        records = [record for record in records if {record.job.id, record.job.array} & {*ids}]
    if "name" in options:
        records = [record for record in records if record.name in options["name"].split(",")]
    since = _since(state, options)
    records = [record for record in records if (record.end or state.now) >= since]
    if "allocations" not in options:
        records = [step for record in records for step in _with_step(record, state.now)]
    return records


def waiting_together(jobs: list[Job], ids: list[str]) -> list[Job]:
    """Elements that have not begun are one row, which is shown to who asks for no element."""
    rows = [job for job in jobs if not (job.array and not job.starts and not job.is_over)]
    waiting = [job for job in jobs if job not in rows]
    if any("_" in id for id in ids):
        return rows
    for array in dict.fromkeys(job.array for job in waiting):
        its = [job for job in waiting if job.array == array]
        numbers = ranges([job.element for job in its])
        rows.append(Job({**its[0].__dict__, "id": f"{array}_[{numbers}]"}))
    return rows


def _since(state: State, options: dict[str, str]) -> float:
    """Without --starttime: this midnight, unless ids are given; sacct(1), DEFAULT TIME WINDOW."""
    if "starttime" in options:
        since = point(options["starttime"], state.now)
        if since is None:
            raise Refused(f"sacct: error: Invalid time specification {options['starttime']}\n", 1)
        return since
    if "jobs" in options:
        return 0.0
    today = time.localtime(state.now)
    return time.mktime((*today[:3], 0, 0, 0, 0, 0, -1))


def _with_step(record: Record, now: float) -> list[Record]:
    if record.started is None:
        return [record]
    return [record, Record(record.job, now, is_step=True)]


def _row(record: Record, fields: list[str]) -> list[str]:
    return [_field(record, name.partition("%")[0]) for name in fields]


def _field(record: Record, name: str) -> str:
    job = record.job
    match name.lower():
        case "jobid" | "jobidraw":
            return f"{job.id}.batch" if record.is_step else job.id
        case "state":
            return record.state
        case "jobname":
            return record.name
        case "exitcode":
            return _exit_code(record)
        case "submit" | "start" | "end" | "elapsed" | "elapsedraw" | "timelimit":
            return _time(record, name.lower())
        case "maxrss":
            # known of a step, and only when it has ended
            return f"{job.max_rss}K" if record.is_step and record.end is not None else ""
        case _:
            return _plain(record, name)


def _exit_code(record: Record) -> str:
    job = record.job
    if record.end is None or (job.state not in BY_ITSELF and not record.is_step):
        return "0:0"
    return f"0:{job.signal}" if job.signal else f"{job.exit_code}:0"


def _time(record: Record, name: str) -> str:
    job = record.job
    end = record.end
    match name:
        case "submit":
            return moment(job.submitted, "Unknown")
        case "start":
            return moment(record.started, "None" if end is not None else "Unknown")
        case "end":
            return moment(end, "Unknown")
        case "timelimit":
            return shown(job.walltime) if job.walltime else "UNLIMITED"
    elapsed = 0 if record.started is None else int((end or time.time()) - record.started)
    return str(elapsed) if name == "elapsedraw" else shown(elapsed)


def _plain(record: Record, name: str) -> str:
    job = record.job
    values = {
        "nnodes": job.nodes,
        "ncpus": job.nodes * job.cpus,
        "alloccpus": job.nodes * job.cpus,
        "ntasks": job.tasks if record.is_step else "",
        "partition": "" if record.is_step else job.queue,
        "account": job.account,
        "user": "" if record.is_step else "root",
        "nodelist": job.allocation or "None assigned",
        "workdir": "" if record.is_step else job.directory,
        # it arrives with the end
        "comment": job.option.get("comment", "") if record.end is not None else "",
    }
    if name.lower() not in values:
        raise Refused(f'sacct: error: Invalid field requested: "{name}"\n', 1)
    return str(values[name.lower()])

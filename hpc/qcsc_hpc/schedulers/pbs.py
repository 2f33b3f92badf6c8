"""PBS: OpenPBS and PBS Professional; qsub, qstat, qselect, qdel."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import ClassVar

from qcsc_hpc.schedulers.not_now import never_starts, refusal
from qcsc_hpc.schedulers.scheduler import (
    HYDRA_PER_NODE,
    Answer,
    Argv,
    NotUnderstood,
    Placement,
    Scheduler,
    Status,
)
from qcsc_loop.jobs.outcome import JobMetrics, JobState
from qcsc_loop.plain import Json

_S = JobState
# qstat(1B), "Job States"; F is read from substate and Exit_status
_STATES = {
    "Q": _S.PENDING,
    "H": _S.PENDING,
    "W": _S.PENDING,
    "T": _S.PENDING,
    "M": _S.PENDING,
    "B": _S.RUNNING,
    "R": _S.RUNNING,
    "S": _S.RUNNING,
    "U": _S.RUNNING,
    "E": _S.ENDING,
    "X": _S.ENDING,
}
_ENDED_WELL = (
    92  # substate: finished; 91 is terminated, 93 failed (Reference Guide, "Job Substates")
)
_RERUN = range(60, 64)  # substates of a job that is cleared away to be queued again (the same)
# Exit_status below 0 is PBS's own word (OpenPBS, src/include/job.h)
_OWN_WORDS = {
    -29: _S.TIMEOUT,
    -28: _S.TIMEOUT,  # walltime, CPU time
    -27: _S.OUT_OF_MEMORY,
    -26: _S.OUT_OF_MEMORY,  # memory, virtual memory
    -20: _S.NODE_FAIL,
    -14: _S.NODE_FAIL,
    -4: _S.NODE_FAIL,  # a MOM failed, or was started anew
}
_KILLED = 256  # added to a signal's number

_UNKNOWN, _FINISHED = 153, 35  # exit codes of qstat and qdel


class PBS(Scheduler):
    """OpenPBS 20 and newer, and PBS Professional: qstat speaks JSON."""

    name: ClassVar[str] = "pbs"
    title: ClassVar[str] = "PBS"
    prefix: ClassVar[str] = "#PBS"
    own_id: ClassVar[str] = '"$PBS_JOBID"'
    honoured: ClassVar[frozenset[str]] = frozenset(
        {
            "queue_cpu",
            "queue_gpu",
            "project_cpu",
            "project_gpu",
            "qpu",
            "num_nodes",
            "walltime",
            "extra_directives",
            "resources",
            "exclusive",
            "queue_timeout",
            "memory",
            "gpus_per_node",
            "history_flag",
        }
    )
    refused: ClassVar[Mapping[str, str]] = {
        "gfscache": "PBS has no LLIO cache; leave it out",
        "mpi_options_for_pjm": "give the launcher's options as mpi_options",
        "reservation": "a PBS reservation is a queue; give its name as queue_cpu or queue_gpu",
        "constraint": "name the chunk's features as resources, such as model=a100",
    }
    passed: ClassVar[Sequence[str]] = ("PBS_SERVER", "PBS_CONF_FILE")
    per_node_options: ClassVar[Mapping[str, str]] = HYDRA_PER_NODE

    def directives(self, job: Placement) -> list[str]:
        where, how = job.where, job.how
        project = (where.project_directive or "-A {project}").format(project=where.project(how))
        chunk = [
            str(how.num_nodes),
            f"ncpus={how.mpiprocs * how.ompthreads}",
            f"mpiprocs={how.mpiprocs}",
            f"ompthreads={how.ompthreads}",
        ]
        chunk += [f"mem={how.memory}B"] if how.memory else []
        chunk += [f"ngpus={how.gpus_per_node}"] if how.gpus_per_node else []
        chunk += where.resources
        place = "scatter:excl" if how.exclusive else "scatter"
        lines = [
            f"-N {job.job_name}",
            # PBS would keep the output to itself until the end: the script writes its own
            "-j oe",
            "-o /dev/null",
            f"-l select={':'.join(chunk)}",
            f"-l place={place}",
        ]
        optional = {
            f"-q {where.queue(how)}": where.queue(how),
            project: where.project(how),
            f"-l walltime={how.walltime}": how.walltime,
            where.qpu_directive.format(qpu=where.qpu): where.qpu,
        }
        return (
            lines + [line for line, wanted in optional.items() if wanted] + where.extra_directives
        )

    def submit(self, script: str) -> Argv:
        return ["qsub", script]

    def submitted(self, answer: Answer) -> str:
        words = answer.out.split()
        if answer.code == 0 and len(words) == 1:
            return words[0]
        raise refusal(self.name, answer)

    def status(self, ids: Sequence[str]) -> Argv:
        return ["qstat", self.where.history_flag, "-f", "-F", "json", *ids]

    def statuses(self, answer: Answer) -> dict[str, Status]:
        if answer.code not in (0, _UNKNOWN, _FINISHED):
            raise NotUnderstood(answer.words)
        # unknown ids make the exit code, and leave what is said of the others valid
        return {job_id: _status(job) for job_id, job in _jobs(answer).items()}

    def find(self, job_name: str) -> list[Argv]:
        return [["qselect", self.where.history_flag, "-N", job_name]]

    def found(self, answer: Answer, job_name: str) -> list[str]:
        if answer.code != 0:
            raise NotUnderstood(answer.words)
        return sorted(answer.out.split(), key=_number)

    def place(self, job_id: str) -> list[Argv]:
        return [self.status([job_id])]

    def placed(self, answer: Answer, job_id: str) -> str:
        if answer.code not in (0, _UNKNOWN, _FINISHED):
            raise NotUnderstood(answer.words)
        variables = _jobs(answer).get(job_id, {}).get("Variable_List", {})
        return str(variables.get("PBS_O_WORKDIR", ""))

    def cancel(self, job_id: str) -> Argv:
        return ["qdel", job_id]

    def cancelled(self, answer: Answer) -> None:
        if answer.code not in (0, _FINISHED, _UNKNOWN):
            raise NotUnderstood(answer.words)

    def never_starts(self, status: Status) -> bool:
        return status.state is JobState.PENDING and never_starts(self.name, status.reason)


def _number(job_id: str) -> int:
    digits = job_id.partition(".")[0].partition("[")[0]
    return int(digits) if digits.isdecimal() else 0


def _jobs(answer: Answer) -> dict[str, Json]:
    try:
        # a value with a control character is written as it stands
        found = json.loads(answer.out, strict=False)
        jobs: dict[str, Json] = found.get("Jobs", {})
        return dict(jobs.items())
    except (ValueError, AttributeError) as error:
        raise NotUnderstood(f"its JSON is cut off or damaged ({error})") from error


def _status(job: Json) -> Status:
    letter, comment = str(job.get("job_state", "")), str(job.get("comment", ""))
    if letter != "F":
        if letter not in _STATES:
            raise NotUnderstood(f"the state {letter!r} is not known")
        state = JobState.PENDING if job.get("substate") in _RERUN else _STATES[letter]
        reason = comment if state is JobState.PENDING else ""
        return Status(state, reason, metrics=_metrics(job, ended=False))
    code = job.get("Exit_status")
    state = _final(int(job.get("substate", 0)), code)
    own = isinstance(code, int) and 0 <= code < _KILLED
    signal = code - _KILLED if isinstance(code, int) and code > _KILLED else None
    # "Job run at … and failed" says nothing that the state does not
    reason = "" if state in (JobState.COMPLETED, JobState.FAILED) else comment
    return Status(state, reason, code if own else None, signal, _metrics(job, ended=True))


def _final(substate: int, code: int | None) -> JobState:
    if code is None:  # it never ran
        return JobState.CANCELLED
    if code in _OWN_WORDS:
        return _OWN_WORDS[code]
    if substate == _ENDED_WELL and code == 0:
        return JobState.COMPLETED
    return JobState.CANCELLED if substate == 91 else JobState.FAILED


def _metrics(job: Json, *, ended: bool) -> JobMetrics:
    used, asked = job.get("resources_used", {}), job.get("Resource_List", {})
    started = _time(job.get("stime"))
    run = _span(used.get("walltime"))
    return JobMetrics(
        submitted=_time(job.get("ctime")),
        started=started,
        ended=started + run if ended and started is not None and run is not None else None,
        nodes=asked.get("nodect"),
        cpus=asked.get("ncpus"),
        max_rss_bytes=_bytes(used.get("mem")),
    )


def _time(text: str | None) -> datetime | None:
    """PBS writes local times without a zone, "Fri Nov 20 18:27:03 2026"."""
    if not text:
        return None
    try:
        return datetime.strptime(text, "%a %b %d %H:%M:%S %Y").astimezone(UTC)
    except ValueError:
        return None


def _span(text: str | None) -> timedelta | None:
    try:
        hours, minutes, seconds = (int(part) for part in (text or "").split(":"))
    except ValueError:
        return None
    return timedelta(hours=hours, minutes=minutes, seconds=seconds)


def _bytes(text: str | None) -> int | None:
    scale = {"kb": 1 << 10, "mb": 1 << 20, "gb": 1 << 30}
    number, unit = (text or "")[:-2], (text or "")[-2:].lower()
    if not number.isdecimal() or unit not in scale:
        return None
    return int(number) * scale[unit] or None  # 0: it ended before it was looked at

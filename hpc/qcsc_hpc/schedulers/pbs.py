"""PBS: OpenPBS and PBS Professional; qsub, qstat, qselect, qdel."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cached_property
from typing import ClassVar

from qcsc_hpc.profiles import SHAPE, ExecutionProfile
from qcsc_hpc.schedulers.command_set import CommandSet, command_set, no_arrays
from qcsc_hpc.schedulers.not_now import never_starts, refusal
from qcsc_hpc.schedulers.pbs_answers import jobs_in, variable
from qcsc_hpc.schedulers.scheduler import (
    HYDRA_PER_NODE,
    SCHEDULER_LOG,
    Answer,
    Argv,
    ArrayWords,
    NotUnderstood,
    Placement,
    Scheduler,
    Status,
    read_each,
    runs_of,
)
from qcsc_loop.jobs.outcome import JobMetrics, JobState
from qcsc_loop.plain import Json

_S = JobState
# qstat(1B), "Job States"; F, and X of an element, are read from substate and Exit_status
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
}
_ENDED_WELL = (
    92  # substate: finished; 91 is terminated, 93 failed (Reference Guide, "Job Substates")
)
# an element that has ended and of which only its array's table is left has no Exit_status, and the
# substate says it all (OpenPBS, src/server/stat_job.c, svr_jobfunc.c)
_OF_AN_ELEMENT = {91: _S.CANCELLED, 92: _S.COMPLETED, 93: _S.FAILED}
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
_MAIL = {"begin": "b", "end": "e", "fail": "a"}  # qsub(1B): a job that is aborted
_KILLED = 256  # added to a signal's number
_DELETED = " terminated by "  # in the comment of a job that qdel ended
_ID = re.compile(r"\d+(\[\d*\])?(\.[\w.-]+)?")

_UNKNOWN, _FINISHED = 153, 35  # exit codes of qstat and qdel
_FINISHED_ELEMENT = 55  # of qdel: PBSE_NOHISTARRAYSUBJOB
_ELEMENT = re.compile(r"(\d+)\[(\d+)\](.*)")


class PBS(Scheduler):
    """OpenPBS 20 and newer, PBS Professional, and what sites have made of its commands."""

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
            "chunk",
            "place",
            "select",
            "resources_cpu",
            "resources_gpu",
            "licenses",
            "export",
            "gpus_per_rank",
            "mail_to",
            "mail_on",
            "array",
        }
    )
    refused: ClassVar[Mapping[str, str]] = {
        "gfscache": "PBS has no LLIO cache; leave it out",
        "mpi_options_for_pjm": "give the launcher's options as mpi_options",
        "reservation": "a PBS reservation is a queue; give its name as queue_cpu or queue_gpu",
        "constraint": "name the chunk's features as resources, such as model=a100",
        "constraint_cpu": "name the chunk's features as resources_cpu, such as model=a100",
        "constraint_gpu": "name the chunk's features as resources_gpu, such as model=a100",
        "qos_cpu": "PBS has no QOS, its queues are; give queue_cpu",
        "qos_gpu": "PBS has no QOS, its queues are; give queue_gpu",
        "gpu_bind": "PBS binds no GPUs to ranks; let rank_commands choose, by the rank on the node",
        "warning_seconds": "PBS tells no program of its walltime's end in time; leave it out, and "
        "let the program look at the clock",
    }
    passed: ClassVar[Sequence[str]] = ("PBS_SERVER", "PBS_CONF_FILE")
    per_node_options: ClassVar[Mapping[str, str]] = HYDRA_PER_NODE
    arrays: ClassVar[ArrayWords | None] = ArrayWords(
        number='"$PBS_ARRAY_INDEX"', own_id='"$PBS_JOBID"'
    )

    def directives(self, job: Placement) -> list[str]:
        where, how = job.where, job.how
        project = (where.project_directive or "-A {project}").format(project=where.project(how))
        lines = [
            f"-N {job.job_name}",
            "-j oe",
            f"-l select={self._select(how)}",
        ]
        place = [where.place] if where.place else []
        place += ["excl"] if how.exclusive else []
        lines += [f"-l place={':'.join(place)}"] if place else []
        optional = {
            f"-q {where.queue(how)}": where.queue(how),
            project: where.project(how),
            f"-l walltime={how.walltime}": how.walltime,
            where.qpu_directive.format(qpu=where.qpu): where.qpu,
            f"-M {how.mail_to}": how.mail_to,
            f"-m {''.join(_MAIL[event] for event in how.mail_on)}": how.mail_on,
            f"-v {','.join(where.export)}": where.export,
        }
        lines += [line for line, wanted in optional.items() if wanted]
        lines += [
            f"-l {one.replace(':', '=') if ':' in one else f'{one}=1'}" for one in where.licenses
        ]
        return lines + where.extra_directives

    def _select(self, how: ExecutionProfile) -> str:
        if self.where.select:
            return self.where.select.format(**{name: getattr(how, name) for name in SHAPE})
        return ":".join([str(how.num_nodes), *self._chunk(how)])

    def _chunk(self, how: ExecutionProfile) -> list[str]:
        parts = {
            "ncpus": f"{how.mpiprocs * how.ompthreads}",
            "mpiprocs": f"{how.mpiprocs}",
            "ompthreads": f"{how.ompthreads}",
            "mem": f"{how.memory}B" if how.memory else "",
            "ngpus": f"{how.gpus_per_node or how.gpus_per_rank * how.mpiprocs or ''}",
        }
        said = [f"{part}={parts[part]}" for part in self.where.chunk if parts[part]]
        return said + self.where.resources_of(how)

    def unsayable(self, how: ExecutionProfile) -> dict[str, str]:
        if self.where.select:
            return self._beside_select(how)
        parts = {"memory": "mem", "gpus_per_node": "ngpus", "gpus_per_rank": "ngpus"}
        found = {
            setting: f"a chunk has no {part} there, for its nodes are given with what they have; "
            f'leave it out, or, if the site takes it, add "{part}" to the HPC profile\'s chunk'
            for setting, part in parts.items()
            if getattr(how, setting) and part not in self.where.chunk
        }
        if how.memory == "0":
            found["memory"] = "PBS has no word for all of a node's memory; give exclusive = true"
        return found | self._unexported() | no_arrays(self.where, self.commands)

    def _beside_select(self, how: ExecutionProfile) -> dict[str, str]:
        """What would be lost: the profile's own text of select says all."""
        asked = {name: getattr(how, name) for name in ("memory", "gpus_per_node", "gpus_per_rank")}
        asked["resources"] = self.where.resources_of(how)
        why = "the HPC profile's select says all of it; write it there, or leave select out"
        found = {name: why for name, value in asked.items() if value}
        return found | self._unexported() | no_arrays(self.where, self.commands)

    def _unexported(self) -> dict[str, str]:
        words = [word for word in self.where.export if word in ("NONE", "ALL", "NIL")]
        why = f"{words[0]} is a word of Slurm's; name the variables" if words else ""
        return {"export": why} if why else {}

    @cached_property
    def commands(self) -> CommandSet:
        """How this site is asked."""
        return command_set(self.where)

    @property
    def ids_a_question(self) -> int:
        return self.commands.ids_a_question

    def submit(self, script: str) -> Argv:
        # at the end it writes what the script has not: a login that failed, its own messages. By a
        # bare name, for PBS reads a path with a colon as a host's
        return ["qsub", "-o", SCHEDULER_LOG, script]

    def submitted(self, answer: Answer) -> str:
        if answer.code == 0 and (found := answer.lines_like(_ID)):
            return found[-1][0]
        raise refusal(self.name, answer)

    def status(self, ids: Sequence[str]) -> Argv:
        return self.commands.about(self.commands.status, ids, elements=self.where.array)

    def statuses(self, answer: Answer) -> dict[str, Status]:
        if answer.code == 0 and not answer.out.strip() and not self._denies(answer):
            raise NotUnderstood("it says nothing of the jobs that it was asked for")
        return read_each(self._jobs(answer).items(), lambda job: _status(job, self._zone))

    def history(self, ids: Sequence[str]) -> Argv | None:
        asked = self.commands.history
        return self.commands.about(asked, ids, elements=self.where.array) if asked else None

    def again(self, job_id: str) -> list[Argv]:
        elements = self.where.array
        asked = self.commands.again
        return [self.commands.about(question, [job_id], elements=elements) for question in asked]

    def find(self, job_name: str) -> list[Argv]:
        return [[word.format(name=job_name) for word in one] for one in self.commands.find]

    def found(self, answer: Answer, job_name: str) -> list[str]:
        if "qselect" in answer.argv:
            ids = [line[0] for line in answer.lines_like(_ID)]
            if answer.code != 0 or (answer.out.strip() and not ids):
                raise NotUnderstood(answer.words)
            return sorted(ids, key=_number)
        jobs = self._jobs(answer)
        if unnamed := [job_id for job_id, job in jobs.items() if "Job_Name" not in job]:
            raise NotUnderstood(f"it does not say the name of job {unnamed[0]}")
        ids = [job_id for job_id, job in jobs.items() if str(job["Job_Name"]) == job_name]
        return sorted(ids, key=_number)

    def place(self, job_id: str) -> list[Argv]:
        earlier = self.history([job_id])
        return [self.status([job_id]), *([earlier] if earlier else [])]

    def placed(self, answer: Answer, job_id: str) -> str:
        job, name = self._jobs(answer).get(job_id, {}), f"/{SCHEDULER_LOG}"
        _, _, path = str(job.get("Output_Path", "")).partition(":")  # after the host's name
        if path.endswith(name):
            return path.removesuffix(name)
        return variable(job, "PBS_O_WORKDIR")

    def _jobs(self, answer: Answer) -> dict[str, Json]:
        if self._denies(answer):
            return {}
        # unknown ids make the exit code, and leave what is said of the others valid
        if answer.code not in (0, _UNKNOWN, _FINISHED):
            raise NotUnderstood(answer.words)
        return jobs_in(answer)

    def _denies(self, answer: Answer) -> bool:
        """Whether it says that there is no such job."""
        nothing, said = self.commands.nothing, (answer.err + answer.out).lower()
        return bool(nothing) and nothing in said and "job id:" not in said

    @property
    def _zone(self) -> tzinfo | None:
        return UTC if self.commands.zone else None

    def cancel(self, job_id: str) -> Argv:
        return ["qdel", job_id]

    def cancelled(self, answer: Answer) -> None:
        if answer.code not in (0, _FINISHED, _FINISHED_ELEMENT, _UNKNOWN):
            raise NotUnderstood(answer.words)

    def submit_array(self, script: str, size: int) -> Argv:
        # PBS puts the element's number in that place (OpenPBS, src/server/array_func.c)
        return ["qsub", "-J", f"0-{size - 1}", "-o", "^array_index^.log", script]

    def element(self, array_id: str, number: int) -> str:
        return array_id.replace("[]", f"[{number}]")

    def array_of(self, job_id: str) -> str:
        found = _ELEMENT.fullmatch(job_id)
        return "" if found is None else f"{found[1]}[]{found[3]}"

    def cancel_all(self, job_ids: Sequence[str]) -> Argv:
        words = [job_id for job_id in job_ids if not self.array_of(job_id)]
        numbers: dict[str, list[int]] = {}
        for found in filter(None, map(_ELEMENT.fullmatch, job_ids)):
            numbers.setdefault(f"{found[1]}[]{found[3]}", []).append(int(found[2]))
        for array_id, some in numbers.items():
            words += [array_id.replace("[]", f"[{run}]") for run in runs_of(some)]
        return ["qdel", *words]

    def never_starts(self, status: Status) -> bool:
        return status.state is JobState.PENDING and never_starts(self.name, status.reason)


def _number(job_id: str) -> int:
    digits = job_id.partition(".")[0].partition("[")[0]
    return int(digits) if digits.isdecimal() else 0


def _status(job: Json, zone: tzinfo | None) -> Status:
    letter, comment = str(job.get("job_state", "")), str(job.get("comment", ""))
    if letter not in ("F", "X"):
        if letter not in _STATES:
            raise NotUnderstood(f"the state {letter!r} is not known")
        substate = _integer(job.get("substate"))
        state = JobState.PENDING if substate in _RERUN else _STATES[letter]
        if state is JobState.ENDING and substate is None:
            state = JobState.RUNNING  # it may be cleared away to be queued again
        reason = comment if state is JobState.PENDING else ""
        return Status(state, reason, metrics=_metrics(job, zone, ended=False))
    code, substate = _integer(job.get("Exit_status")), _integer(job.get("substate"))
    if letter == "X" and code is None and substate in _OF_AN_ELEMENT:
        return Status(_OF_AN_ELEMENT[substate], metrics=_metrics(job, zone, ended=True))
    state = _final(substate, code, comment)
    own = isinstance(code, int) and 0 <= code < _KILLED
    signal = code - _KILLED if isinstance(code, int) and code > _KILLED else None
    # "Job run at … and failed" says nothing that the state does not
    reason = "" if state in (JobState.COMPLETED, JobState.FAILED) else comment
    if code is None and not reason:
        reason = "it never ran"
    return Status(state, reason, code if own else None, signal, _metrics(job, zone, ended=True))


def _final(substate: int | None, code: int | None, comment: str) -> JobState:
    if code is None:  # it never ran
        return JobState.CANCELLED
    if code in _OWN_WORDS:
        return _OWN_WORDS[code]
    if substate is None and _DELETED in comment:
        return JobState.CANCELLED
    # a list without substates cannot tell more; it is a success only if the job's record says so
    if code == 0 and substate in (_ENDED_WELL, None):
        return JobState.COMPLETED
    return JobState.CANCELLED if substate == 91 else JobState.FAILED


def _metrics(job: Json, zone: tzinfo | None, *, ended: bool) -> JobMetrics:
    used, asked = job.get("resources_used", {}), job.get("Resource_List", {})
    started = _time(job.get("stime"), zone)
    run = _span(used.get("walltime"))
    return JobMetrics(
        submitted=_time(job.get("ctime"), zone),
        started=started,
        ended=started + run if ended and started is not None and run is not None else None,
        nodes=_integer(asked.get("nodect")),
        cpus=_integer(asked.get("ncpus")),
        max_rss_bytes=_bytes(used.get("mem")),
    )


def _time(text: str | None, zone: tzinfo | None) -> datetime | None:
    """PBS writes times without a zone, "Fri Nov 20 18:27:03 2026"; None: they are local."""
    if not text:
        return None
    try:
        told = datetime.strptime(text, "%a %b %d %H:%M:%S %Y").replace(tzinfo=zone)
        return told.astimezone(UTC)
    except ValueError:
        return None


def _integer(value: str | int | None) -> int | None:
    """What JSON has as a number, and text as it is written."""
    try:
        return None if value is None else int(value)
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

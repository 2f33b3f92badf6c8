"""Slurm: sbatch, squeue, sacct, scancel."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import ClassVar

from qcsc_hpc.profiles import ExecutionProfile, HPCProfile
from qcsc_hpc.schedulers.not_now import never_starts, refusal
from qcsc_hpc.schedulers.scheduler import (
    HYDRA_PER_NODE,
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

_S = JobState
# squeue(1) and sacct(1), JOB STATE CODES; requeued and suspended jobs come back
_STATES = {
    "PENDING": _S.PENDING,
    "CONFIGURING": _S.PENDING,
    "REQUEUED": _S.PENDING,
    "REQUEUE_FED": _S.PENDING,
    "REQUEUE_HOLD": _S.PENDING,
    "SPECIAL_EXIT": _S.PENDING,
    "RESV_DEL_HOLD": _S.PENDING,
    "REVOKED": _S.CANCELLED,
    "RUNNING": _S.RUNNING,
    "SUSPENDED": _S.RUNNING,
    "STOPPED": _S.RUNNING,
    "RESIZING": _S.RUNNING,
    "SIGNALING": _S.RUNNING,
    "COMPLETING": _S.ENDING,
    "STAGE_OUT": _S.ENDING,
    "COMPLETED": _S.COMPLETED,
    "FAILED": _S.FAILED,
    "TIMEOUT": _S.TIMEOUT,
    "DEADLINE": _S.TIMEOUT,
    "OUT_OF_MEMORY": _S.OUT_OF_MEMORY,
    "NODE_FAIL": _S.NODE_FAIL,
    "BOOT_FAIL": _S.NODE_FAIL,
    "PREEMPTED": _S.PREEMPTED,
    "CANCELLED": _S.CANCELLED,
}

_NO_ACCOUNTING = (
    "accounting storage is disabled",
    "permission denied",
    "command disabled",
    "not authorized",
    "not allowed",
    "command not found",
)
_ID = re.compile(r"(\d+)(;.*)?")  # "12;cluster" where there are several
_MANY = re.compile(r"(\d+)_\[([\d,-]+)(?:%\d+)?\]")  # elements in one row: "12_[0,4-9%2]"
_KILLED_FOR_MEMORY = ("memory limit", "oom-kill", "oom_kill")

_COLUMNS = (
    "JobID",
    "State",
    "exit_code",
    "SubmitTime",
    "StartTime",
    "EndTime",
    "NumNodes",
    "NumCPUs",
    "Name",
    "RestartCnt",
    "Reason",
)
_ACCOUNTED = "JobID,State,ExitCode,Submit,Start,End,NNodes,NCPUS,JobName"
_MEASURED = "JobID,Submit,Start,End,NNodes,NCPUS,MaxRSS"
_FIRST_DAY = "--starttime=now-30days"  # sacct looks at today only


# Many short methods: two for each question, its words and what the answer means.
class Slurm(Scheduler):
    """Slurm 20.11 and newer; accounting where there is any."""

    name: ClassVar[str] = "slurm"
    title: ClassVar[str] = "Slurm"
    prefix: ClassVar[str] = "#SBATCH"
    own_id: ClassVar[str] = '"$SLURM_JOB_ID"'
    own_restarts: ClassVar[str] = '"${SLURM_RESTART_COUNT:-0}"'
    writes_output: ClassVar[bool] = True
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
            "reservation",
            "constraint",
            "constraint_cpu",
            "constraint_gpu",
            "resources_cpu",
            "resources_gpu",
            "qos_cpu",
            "qos_gpu",
            "licenses",
            "export",
            "gpus_per_rank",
            "gpu_bind",
            "warning_seconds",
            "mail_to",
            "mail_on",
            "array",
        }
    )
    refused: ClassVar[Mapping[str, str]] = {
        "gfscache": "Slurm has no LLIO cache; leave it out",
        "mpi_options_for_pjm": "give the launcher's options as mpi_options",
    }
    accounting: ClassVar[frozenset[str]] = frozenset({"sacct"})
    passed: ClassVar[Sequence[str]] = ("SLURM_CONF", "SLURM_CLUSTERS")
    per_node_options: ClassVar[Mapping[str, str]] = HYDRA_PER_NODE
    arrays: ClassVar[ArrayWords | None] = ArrayWords(
        number='"$SLURM_ARRAY_TASK_ID"',
        # an element has a number of its own, too, by which nobody asks (sbatch(1), "JOB ARRAYS")
        own_id='"${SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID}'
        '${SLURM_ARRAY_TASK_ID:+_$SLURM_ARRAY_TASK_ID}"',
    )

    def directives(self, job: Placement) -> list[str]:
        where, how = job.where, job.how
        project = (where.project_directive or "--account={project}").format(
            project=where.project(how)
        )
        lines = [
            f"--job-name={job.job_name}",
            f"--comment={_quoted(job.key)}",
            "--open-mode=append",  # a requeued job must not wipe what it wrote
            f"--nodes={how.num_nodes}",
            f"--ntasks={how.ranks}",
            f"--ntasks-per-node={how.mpiprocs}",
            f"--cpus-per-task={how.ompthreads}",
        ]
        optional = {
            f"--partition={where.queue(how)}": where.queue(how),
            project: where.project(how),
            f"--time={how.walltime}": how.walltime,
            f"--mem={how.memory}": how.memory,
            f"--qos={where.qos(how)}": where.qos(how),
            f"--gpus-per-node={how.gpus_per_node}": how.gpus_per_node,
            f"--gpus-per-task={how.gpus_per_rank}": how.gpus_per_rank,
            f"--gpu-bind={how.gpu_bind}": how.gpu_bind,
            f"--gres={','.join(where.resources_of(how))}": where.resources_of(how),
            f"--reservation={where.reservation}": where.reservation,
            f"--constraint={_quoted(where.constraint_of(how))}": where.constraint_of(how),
            "--exclusive": how.exclusive,
            # to the script alone, which tells its ranks, whatever has started them
            f"--signal=B:{how.warning_signal}@{how.warning_seconds}": how.warning_seconds,
            f"--mail-user={how.mail_to}": how.mail_to,
            f"--mail-type={','.join(how.mail_on).upper()}": how.mail_on,
            f"--export={','.join(where.export)}": where.export,
        }
        lines += [line for line, wanted in optional.items() if wanted]
        return lines + _licences_and_qpu(where) + where.extra_directives

    def settings(self) -> list[str]:
        # sbatch's --export is srun's, too, if nobody says otherwise: ranks would get no modules
        return ["export SLURM_EXPORT_ENV=ALL"] if self.where.export else []

    def unsayable(self, how: ExecutionProfile) -> dict[str, str]:
        if how.gpu_bind and not (how.gpus_per_rank or how.gpus_per_node):
            why = "no GPUs are asked for; give gpus_per_rank or gpus_per_node"
            return {"gpu_bind": why}
        words = [word for word in self.where.export if word in ("NONE", "ALL", "NIL")]
        if words and words != self.where.export[:1]:
            return {"export": f"{words[0]} is Slurm's own word, and stands first"}
        return {}

    def submit(self, script: str) -> Argv:
        # no directive, for a folder's name may hold line ends; of two backslashes one is left, and
        # a single one keeps `%` from meaning something (sbatch(1), "filename pattern")
        folder = os.path.dirname(script).replace("\\", "\\\\")
        return ["sbatch", "--parsable", f"--output={folder}/\\output.log", script]

    def submitted(self, answer: Answer) -> str:
        if answer.code == 0 and (found := answer.lines_like(_ID)):
            return found[-1][1]
        raise refusal(self.name, answer)

    def status(self, ids: Sequence[str]) -> Argv:
        arrays = self.where.array
        names = ("JobArrayID", *_COLUMNS[1:]) if arrays else _COLUMNS
        columns = ",".join(f"{name}:|" for name in names)
        return [
            "env",
            "SLURM_TIME_FORMAT=%s",
            "squeue",
            *(["--array"] if arrays else []),  # a line for each element
            "--states=all",
            "--noheader",
            f"--jobs={','.join(ids)}",
            f"--Format={columns}",
        ]

    def statuses(self, answer: Answer) -> dict[str, Status]:
        if answer.code != 0:
            if "Invalid job id" in answer.err:
                return {}
            raise NotUnderstood(answer.words)
        return read_each(_by_id(answer, len(_COLUMNS)), _status)

    def history(self, ids: Sequence[str]) -> Argv | None:
        # of elements that never began it has one row, which it shows to who asks for the array
        whole = dict.fromkeys(self.array_of(job_id) or job_id for job_id in ids)
        return [
            "env",
            "SLURM_TIME_FORMAT=%s",
            "sacct",
            "-X",
            "--noheader",
            "--parsable2",
            f"--jobs={','.join(whole)}",
            _FIRST_DAY,
            f"--format={_ACCOUNTED}",
        ]

    def histories(self, answer: Answer) -> dict[str, Status]:
        if answer.code != 0 and _no_accounting(answer):
            return {}
        _require(answer)
        # the last row of a requeued job is its present one
        return read_each(_by_id(answer, _ACCOUNTED.count(",") + 1), _accounted)

    def find(self, job_name: str) -> list[Argv]:
        """Both: squeue forgets old jobs, and sacct does not know the name of a very new one."""
        return [
            [
                "squeue",
                "--states=all",
                "--noheader",
                f"--name={job_name}",
                f"--Format={'ArrayJobID' if self.where.array else 'JobID'}:|,Name:|",
            ],
            [
                "sacct",
                "-X",
                "--noheader",
                "--parsable2",
                f"--name={job_name}",
                _FIRST_DAY,
                "--format=JobID,JobName",
            ],
        ]

    def found(self, answer: Answer, job_name: str) -> list[str]:
        if answer.code != 0 and answer.argv[0] == "sacct" and _no_accounting(answer):
            return []
        _require(answer)
        # of an array's elements one has the array's
        ids = {row[0].partition("_")[0] for row in _rows(answer, 2) if row[1] == job_name}
        return sorted(ids, key=int)

    def place(self, job_id: str) -> list[Argv]:
        return [
            ["squeue", "--states=all", "--noheader", f"--jobs={job_id}", "--Format=WorkDir:|"],
            [
                "sacct",
                "-X",
                "--noheader",
                "--parsable",  # with a separator at the end, as squeue's
                f"--jobs={job_id}",
                _FIRST_DAY,
                "--format=WorkDir",
            ],
        ]

    def placed(self, answer: Answer, job_id: str) -> str:
        if answer.code != 0:
            unknown = "Invalid job id" in answer.err
            if not unknown and not (answer.argv[0] == "sacct" and _no_accounting(answer)):
                raise NotUnderstood(answer.words)
            return ""
        # after what a login may have said; a folder's name may have several lines, and separators
        found = re.search(r"^(/.*)\|\n*\Z", answer.out, re.MULTILINE | re.DOTALL)
        if found is None and answer.out.strip():
            raise NotUnderstood(f"it names no folder, or not all of it: {answer.out[-40:]!r}")
        return found[1] if found else ""

    def cancel(self, job_id: str) -> Argv:
        return ["scancel", job_id]

    def cancelled(self, answer: Answer) -> None:
        if answer.code != 0 and "Invalid job id" not in answer.err:
            raise NotUnderstood(answer.words)

    def submit_array(self, script: str, size: int) -> Argv:
        # by a name that each element has of its own; a backslash lets no sign mean anything, and
        # then the script's own redirection is all there is
        folder = os.path.dirname(script)
        log = "/dev/null" if "\\" in folder else f"{folder.replace('%', '%%')}/%a.log"
        return ["sbatch", "--parsable", f"--array=0-{size - 1}", f"--output={log}", script]

    def element(self, array_id: str, number: int) -> str:
        return f"{array_id}_{number}"

    def array_of(self, job_id: str) -> str:
        array_id, _, number = job_id.partition("_")
        return array_id if number else ""

    def cancel_all(self, job_ids: Sequence[str]) -> Argv:
        words = [job_id for job_id in job_ids if not self.array_of(job_id)]
        numbers: dict[str, list[int]] = {}
        for job_id in job_ids:
            if array_id := self.array_of(job_id):
                numbers.setdefault(array_id, []).append(int(job_id.partition("_")[2]))
        words += [f"{array_id}_[{','.join(runs_of(some))}]" for array_id, some in numbers.items()]
        return ["scancel", *words]

    def measure(self, ids: Sequence[str]) -> Argv | None:
        return [
            "env",
            "SLURM_TIME_FORMAT=%s",
            "sacct",
            "--noheader",
            "--parsable2",
            f"--jobs={','.join(ids)}",
            _FIRST_DAY,
            f"--format={_MEASURED}",
        ]

    def measured(self, answer: Answer) -> dict[str, JobMetrics]:
        if answer.code != 0 and _no_accounting(answer):  # nothing more will ever be known
            asked = next(word for word in answer.argv if word.startswith("--jobs="))
            return {job_id: JobMetrics() for job_id in asked.partition("=")[2].split(",")}
        _require(answer)
        found: dict[str, JobMetrics] = {}
        for job_id, submit, start, end, nodes, cpus, rss in _rows(answer, 7):
            whole, _, step = job_id.partition(".")
            if not step:
                found[whole] = JobMetrics(
                    submitted=_time(submit),
                    started=_time(start),
                    ended=_time(end),
                    nodes=_number(nodes),
                    cpus=_number(cpus),
                )
            elif whole in found and (size := _bytes(rss)) is not None:
                largest = max(size, found[whole].max_rss_bytes or 0)
                found[whole] = found[whole].model_copy(update={"max_rss_bytes": largest})
        return found

    def never_starts(self, status: Status) -> bool:
        return status.state is JobState.PENDING and never_starts(self.name, status.reason)

    def in_the_light_of(self, status: Status, tail: str) -> Status:
        # without cgroups the accounting plugin kills, and Slurm only says FAILED
        killed = status.state is JobState.FAILED and not status.exit_code
        if killed and any(words in tail for words in _KILLED_FOR_MEMORY):
            return replace(status, state=JobState.OUT_OF_MEMORY)
        return status


def _licences_and_qpu(where: HPCProfile) -> list[str]:
    """One directive of licences: of two, sbatch takes the last."""
    qpu = where.qpu_directive.format(qpu=where.qpu) if where.qpu else ""
    licences = list(where.licenses)
    for option in ("--licenses=", "-L "):
        if licences and qpu.startswith(option):
            licences.append(qpu.removeprefix(option).strip())
            qpu = ""
    lines = [f"--licenses={','.join(licences)}"] if licences else []
    return lines + ([qpu] if qpu else [])


def _quoted(text: str) -> str:
    return shlex.quote(text)


def _require(answer: Answer) -> None:
    if answer.code != 0:
        raise NotUnderstood(answer.words)


def _no_accounting(answer: Answer) -> bool:
    """Whether there is none for us: it is off, or a site lets no user ask it."""
    said = f"{answer.err}\n{answer.out}".lower()
    return answer.code in (126, 127) or any(words in said for words in _NO_ACCOUNTING)


def _rows(answer: Answer, columns: int) -> Iterator[list[str]]:
    """Lines of so many columns; the last one may hold the separator."""
    for line in answer.lines:
        if not line.strip():
            continue
        row = [cell.strip() for cell in line.split("|")]
        if row[columns:] == [""]:  # squeue ends each line with the separator
            row = row[:columns]
        if len(row) < columns or not row[0][:1].isdecimal():
            raise NotUnderstood(f"a line of it is damaged: {line!r}")
        yield [*row[: columns - 1], "|".join(row[columns - 1 :])]


def _by_id(answer: Answer, columns: int) -> Iterator[tuple[str, list[str]]]:
    for row in _rows(answer, columns):
        for job_id in _ids(row[0]):
            yield job_id, row


def _ids(text: str) -> list[str]:
    """Of a row, which may be about several elements that wait, or never began."""
    found = _MANY.fullmatch(text)
    if found is None:
        return [text]
    array_id, parts = found[1], found[2].split(",")
    bounds = [part.partition("-") for part in parts]
    numbers = [n for first, _, last in bounds for n in range(int(first), int(last or first) + 1)]
    return [f"{array_id}_{number}" for number in numbers]


def _state(text: str) -> JobState:
    word = text.partition(" ")[0]  # "CANCELLED by 1000"
    if word not in _STATES:
        raise NotUnderstood(f"the state {text!r} is not known")
    return _STATES[word]


def _status(row: list[str]) -> Status:
    _, state, wait_status, submit, start, end, nodes, cpus, _, restarts, reason = row
    number = int(wait_status or 0)
    return Status(
        state=_state(state),
        reason="" if reason in ("None", "NonZeroExitCode") else reason,
        exit_code=number >> 8,
        signal=number & 0x7F or None,
        restarts=_number(restarts),
        metrics=_metrics(_state(state), submit, start, end, nodes, cpus),
    )


def _accounted(row: list[str]) -> Status:
    _, state, exit_code, submit, start, end, nodes, cpus, _ = row
    code, _, number = exit_code.partition(":")
    return Status(
        state=_state(state),
        reason=state if " " in state else "",
        exit_code=_number(code),
        signal=_number(number) or None,
        metrics=_metrics(_state(state), submit, start, end, nodes, cpus),
    )


def _metrics(
    state: JobState, submit: str, start: str, end: str, nodes: str, cpus: str
) -> JobMetrics:
    waits = state is JobState.PENDING  # its times are forecasts
    return JobMetrics(
        submitted=_time(submit),
        started=None if waits else _time(start),
        ended=_time(end) if state.final else None,
        nodes=_number(nodes),
        cpus=_number(cpus),
    )


def _time(text: str) -> datetime | None:
    return datetime.fromtimestamp(int(text), UTC) if text.isdecimal() else None


def _number(text: str) -> int | None:
    return int(text) if text.isdecimal() else None


def _bytes(text: str) -> int | None:
    scale = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}.get(text[-1:], 1)
    try:
        return int(float(text.rstrip("KMGT")) * scale)
    except ValueError:
        return None

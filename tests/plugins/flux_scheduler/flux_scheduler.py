"""Flux for qcsc-loop: flux batch, flux jobs, flux cancel, flux run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import ClassVar

from qcsc_hpc import Answer, Argv, ExecutionProfile, NotUnderstood, Placement, Scheduler, Status
from qcsc_loop import JobMetrics, JobState

# flux-jobs(1), JOB STATUS; what an inactive job has come to is its result
STATES = {
    "NEW": JobState.PENDING,
    "DEPEND": JobState.PENDING,
    "PRIORITY": JobState.PENDING,
    "SCHED": JobState.PENDING,
    "RUN": JobState.RUNNING,
    "CLEANUP": JobState.ENDING,
}
RESULTS = {
    "COMPLETED": JobState.COMPLETED,
    "FAILED": JobState.FAILED,
    "CANCELED": JobState.CANCELLED,
    "TIMEOUT": JobState.TIMEOUT,
}
FIELDS = (
    "id.dec",
    "state",
    "result",
    "returncode",
    "t_submit",
    "t_run",
    "t_cleanup",
    "nnodes",
    "exception.type",
    "exception.note",
)
BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
AWAY = ("connect", "refused", "timed out", "broker", "lost", "unavailable")


def flux_run(how: ExecutionProfile) -> list[str]:
    return [
        "run",
        f"--nodes={how.num_nodes}",
        f"--ntasks={how.ranks}",
        f"--cores-per-task={how.ompthreads}",
    ]


class Flux(Scheduler):
    """A Flux instance: a system's, or one that was started in an allocation."""

    name: ClassVar[str] = "flux"
    title: ClassVar[str] = "Flux"
    prefix: ClassVar[str] = "#flux:"
    # the instance that runs the script is the job (flux-broker-attributes(7), jobid)
    own_id: ClassVar[str] = '"$(flux job id --to=dec "$(flux getattr jobid)")"'
    passed: ClassVar[Sequence[str]] = ("FLUX_URI",)
    launchers = {"flux": flux_run}
    honoured: ClassVar[frozenset[str]] = frozenset(
        {
            "num_nodes",
            "walltime",
            "exclusive",
            "queue_cpu",
            "queue_gpu",
            "project_cpu",
            "project_gpu",
            "constraint",
            "qpu",
            "extra_directives",
            "queue_timeout",
        }
    )
    refused: ClassVar[Mapping[str, str]] = {
        "memory": "Flux gives out cores and GPUs, no memory; leave it out",
        "gpus_per_node": "Flux counts GPUs by slot; give --gpus-per-slot=N in extra_directives",
    }

    def directives(self, job: Placement) -> list[str]:
        where, how = job.where, job.how
        project = (where.project_directive or "--bank={project}").format(project=where.project(how))
        lines = [
            f"--job-name={job.job_name}",
            "--output=/dev/null",  # Flux would buffer it: the script writes its own
            f"--nodes={how.num_nodes}",
            f"--nslots={how.ranks}",
            f"--cores-per-slot={how.ompthreads}",
        ]
        optional = {
            f"--queue={where.queue(how)}": where.queue(how),
            project: where.project(how),
            f"--time-limit={how.walltime_seconds}s": how.walltime,
            f"--requires='{where.constraint}'": where.constraint,
            "--exclusive": how.exclusive,
            where.qpu_directive.format(qpu=where.qpu): where.qpu,
        }
        lines += [line for line, wanted in optional.items() if wanted]
        return lines + where.extra_directives

    def submit(self, script: str) -> Argv:
        return ["flux", "batch", script]

    def submitted(self, answer: Answer) -> str:
        if answer.code == 0:
            return decimal(answer.out.strip())
        away = any(word in answer.err.lower() for word in AWAY)
        raise NotUnderstood(answer.words, permanent=not away)

    def status(self, ids: Sequence[str]) -> Argv:
        columns = "|".join(f"{{{field}}}" for field in FIELDS)
        return ["flux", "jobs", "-n", f"--format={columns}", *ids]

    def statuses(self, answer: Answer) -> dict[str, Status]:
        require(answer)
        rows = (line.split("|", len(FIELDS) - 1) for line in answer.out.splitlines() if line)
        return {row[0]: status(row) for row in rows}

    def find(self, job_name: str) -> list[Argv]:
        return [["flux", "jobs", "-a", "-n", f"--name={job_name}", "--format={id.dec}|{name}"]]

    def found(self, answer: Answer, job_name: str) -> list[str]:
        require(answer)
        rows = (line.partition("|") for line in answer.out.splitlines())
        return sorted((job_id for job_id, _, name in rows if name == job_name), key=int)

    def cancel(self, job_id: str) -> Argv:
        return ["flux", "cancel", job_id]

    def cancelled(self, answer: Answer) -> None:
        over = any(word in answer.err.lower() for word in ("inactive", "unknown"))
        if answer.code != 0 and not over:
            raise NotUnderstood(answer.words)


def decimal(job_id: str) -> str:
    """A job's id as every locale writes it: F58 begins with a letter that not all have (RFC 19)."""
    if job_id.isdecimal():
        return job_id
    if job_id[:1] not in ("ƒ", "f") or not set(job_id[1:]) <= set(BASE58) or not job_id[1:]:
        raise NotUnderstood(f"{job_id!r} is no job's id")
    number = 0
    for digit in job_id[1:]:
        number = number * 58 + BASE58.index(digit)
    return str(number)


def require(answer: Answer) -> None:
    # of ids that it does not know it says so, and newer ones make an exit code of it
    if answer.code != 0 and "unknown" not in answer.err:
        raise NotUnderstood(answer.words)


def status(row: Sequence[str]) -> Status:
    if len(row) < len(FIELDS):
        raise NotUnderstood(f"a line of it is cut off: {'|'.join(row)!r}")
    _, word, result, code, submitted, started, ended, nodes, kind, note = row
    state = RESULTS.get(result) if word == "INACTIVE" else STATES.get(word)
    if state is None:
        raise NotUnderstood(f"the state {word} {result} is not known")
    if state is JobState.FAILED and kind == "alloc":  # it can never be had
        state = JobState.REJECTED
    number = int(code) if code.lstrip("-").isdecimal() else None
    return Status(
        state=state,
        reason=note if state is not JobState.COMPLETED else "",
        exit_code=number if number is not None and number >= 0 else None,
        # -128: it was cancelled before it began
        signal=-number if number is not None and -128 < number < 0 else None,
        metrics=JobMetrics(
            submitted=moment(submitted),
            started=moment(started),
            ended=moment(ended) if state.final else None,
            nodes=int(nodes) if nodes.isdecimal() else None,
        ),
    )


def moment(seconds: str) -> datetime | None:
    try:
        return datetime.fromtimestamp(float(seconds), UTC) if float(seconds) else None
    except ValueError:  # it has not come yet
        return None

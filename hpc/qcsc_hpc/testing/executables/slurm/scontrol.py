"""scontrol(1): show, update, requeue, hold and release of jobs, and ping."""

from __future__ import annotations

from qcsc_hpc.testing.executables.answer import Answer, Refused
from qcsc_hpc.testing.executables.ending import end_job, wake
from qcsc_hpc.testing.executables.job import REQUEUED, TIMEOUT, Job
from qcsc_hpc.testing.executables.slurm.durations import moment, seconds_of, shown
from qcsc_hpc.testing.executables.slurm.squeue import UNKNOWN_ID, remembered
from qcsc_hpc.testing.executables.slurm.words import (
    queue_reason,
    queue_state,
    restarts,
    wait_status,
)
from qcsc_hpc.testing.executables.state import State


def answer(state: State, arguments: list[str]) -> Answer:
    """What the action says."""
    words = [word for word in arguments if not word.startswith("-")]
    match words:
        case ["ping"]:
            return Answer("Slurmctld(primary) at fake is UP\n")
        case ["show", "job", *ids]:
            found = [_job(state, id) for id in ids] if ids else remembered(state)
            return Answer("".join(_shown(job) for job in found))
        case ["update", *changes]:
            _update(state, dict(_pair(change) for change in changes))
        case ["requeue" | "hold" | "release" as action, *ids]:
            for id in ",".join(ids).split(","):
                unknown = f"Invalid job id specified for job {id}\n"
                _act(state, action, _job(state, id, unknown))
        case _:
            raise Refused(f"invalid keyword: {' '.join(words)}\n", 1)
    return Answer()


def _job(state: State, id: str, unknown: str = UNKNOWN_ID) -> Job:
    found = next((job for job in remembered(state) if job.id == id), None)
    if found is None:
        raise Refused(unknown, 1)
    return found


def _pair(change: str) -> tuple[str, str]:
    name, _, value = change.partition("=")
    return name.lower(), value


def _act(state: State, action: str, job: Job) -> None:
    if action == "requeue":
        end_job(state, job, REQUEUED)
    else:
        job.held = int(action == "hold")
        job.reason = "JobHeldUser" if job.held else ""
        state.save(job)


def _update(state: State, changes: dict[str, str]) -> None:
    job = _job(state, changes.pop("jobid", changes.pop("job", "")))
    for name, value in changes.items():
        match name, value:
            case "endtime", "now":
                end_job(state, job, TIMEOUT)
            case "starttime", "now":
                job.requeue_at = 0.0
                state.save(job)
            case "timelimit", _:
                job.walltime = seconds_of(value)
                state.save(job)
                wake(job)
            case _:
                raise Refused(f"Update of this parameter is not supported: {name}={value}\n", 1)


def _shown(job: Job) -> str:
    status = wait_status(job)
    lines = (
        f"JobId={job.id} JobName={job.name}",
        f"   UserId=root(0) GroupId=root(0) MCS_label=N/A Account={job.account}",
        f"   JobState={queue_state(job)} Reason={queue_reason(job)}",
        f"   Requeue={job.requeueable} Restarts={restarts(job)}"
        f" ExitCode={status >> 8}:{status & 0x7F}",
        f"   TimeLimit={shown(job.walltime) if job.walltime else 'UNLIMITED'}",
        f"   SubmitTime={moment(job.submitted, 'Unknown')}",
        f"   StartTime={moment(job.started, 'Unknown')} EndTime={moment(job.ended, 'Unknown')}",
        f"   Partition={job.queue} NodeList={job.allocation or '(null)'} NumNodes={job.nodes}"
        f" NumCPUs={job.nodes * job.cpus} NumTasks={job.tasks}",
        f"   WorkDir={job.directory} StdErr={job.error} StdOut={job.output}",
        *([f"   Comment={job.option['comment']}"] if "comment" in job.option else []),
    )
    return "\n".join(lines) + "\n\n"

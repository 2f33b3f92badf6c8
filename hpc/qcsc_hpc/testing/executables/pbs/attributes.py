"""A job's attributes as `qstat -f` shows them; which ones there are depends on its history."""

from __future__ import annotations

import json
import time

from qcsc_hpc.testing.executables import job as jobs
from qcsc_hpc.testing.executables.job import Job
from qcsc_hpc.testing.executables.pbs.system import SERVER, directory
from qcsc_hpc.testing.executables.pbs.writing import Value
from qcsc_hpc.testing.executables.state import State

DELETED = (jobs.CANCELLED, jobs.PREEMPTED)
WALLTIME_EXCEEDED = -29  # JOB_EXEC_KILL_WALLTIME
LOST_NODE = -4  # JOB_EXEC_INITABT
MOM_UPDATE_SECONDS = 2.0  # a job that is shorter never gets its session id to the server


def letter(job: Job) -> str:
    """The job_state."""
    if job.is_over:  # of an array, until all are
        return "X" if job.array and "lives" in job.option else "F"
    if job.is_ending:
        return "E"
    if job.state == jobs.RUNNING:
        return "R"
    return "H" if job.reason == "Dependency" or (job.held and not job.reason) else "Q"


def substate(job: Job) -> int:
    """92 is success, which not even Exit_status says alone."""
    if job.is_over and not job.starts and job.dependency:
        return 92  # no success: it never ran
    if job.is_over:
        return 91 if job.state in DELETED else 92 if job.state == jobs.COMPLETED else 93
    if job.is_ending:
        return 60 if job.ending == jobs.REQUEUED else 50
    if job.state == jobs.RUNNING:
        return 41 if job.process is None else 42
    if letter(job) == "H":
        return 22 if job.dependency else 20
    return 10


def hold_types(job: Job) -> str:
    """By the user, or by the server for a dependency."""
    if job.dependency and not job.starts:
        return "s"
    return "u" if letter(job) == "H" or (job.is_over and "h" in job.option) else "n"


def exit_status(job: Job) -> int | None:
    """None for a job that never ran; 0 for one that was deleted while it ran."""
    if not job.is_over or not job.starts:
        return None
    match job.state:
        case jobs.TIMEOUT:
            return WALLTIME_EXCEEDED
        case jobs.NODE_FAIL:
            return LOST_NODE
        case jobs.COMPLETED | jobs.FAILED:
            return 128 + job.signal if job.signal else job.exit_code
        case _:
            return 0


def attributes(state: State, job: Job) -> dict[str, Value]:
    """All of them, in the server's order."""
    if job.array and any(o.array == job.array and not o.is_over for o in state.known_jobs()):
        job.options = json.dumps({**job.option, "lives": "yes"})
    found: dict[str, Value] = {"Job_Name": job.name, "Job_Owner": f"root@{SERVER}"}
    if job.started is not None and (job.is_over or job.process is not None):
        found["resources_used"] = _used(state, job)
    found |= {"job_state": letter(job), "queue": job.queue, "server": SERVER}
    if job.account:
        found["Account_Name"] = job.account
    found |= {
        "Checkpoint": "u",
        "ctime": _date(job.submitted),
        **({"depend": f"{job.dependency}@{SERVER}"} if job.dependency else {}),
        "Error_Path": f"{SERVER}:{_error_path(job)}",
        **_places(job),
    }
    if "W" in job.option and (group := job.option["W"].partition("group_list=")[2]):
        found["group_list"] = group.partition(",")[0]
    found |= {
        "Hold_Types": hold_types(job),
        "Join_Path": job.option.get("j", "n"),
        "Keep_Files": job.option.get("k", "n"),
        "Mail_Points": "a",
        "mtime": _date(job.ended or job.started or job.submitted),
        "Output_Path": f"{SERVER}:{job.output}",
        "Priority": int(job.option.get("p", "0")),
        "qtime": _date(job.submitted),
        "Rerunable": str(bool(job.requeueable)),
        "Resource_List": json.loads(job.option["resources"]),
        "schedselect": json.loads(job.option["resources"])["select"],
        **_run(state, job),
        "substate": substate(job),
        "Variable_List": {**job.environment},
        "euser": "root",
        "egroup": "root",
    }
    if job.starts:
        found["hashname"] = job.id
    found |= {"queue_rank": int(job.submitted * 1e6), "queue_type": "E"}
    return {**found, **_end(state, job)}


def comment(state: State, job: Job) -> str:
    """What the scheduler and the server noted; empty if they had nothing to say."""
    if not job.starts:
        reason = _waiting(state, job)
        return f"{reason} and terminated" if reason and job.is_over else reason
    began = time.strftime("%a %b %d at %H:%M", time.localtime(job.started or job.submitted))
    text = f"Job run at {began} on {_vnodes(job)}" if job.allocation else _waiting(state, job)
    if not job.is_over:
        return text
    match job.state:
        case jobs.COMPLETED:
            return f"{text} and finished"
        case jobs.TIMEOUT:
            return f"{text} and exceeded resource walltime"
        case jobs.CANCELLED | jobs.PREEMPTED:
            return f"{text} and terminated by root@{SERVER}"
        case _:
            return f"{text} and failed"


def _waiting(state: State, job: Job) -> str:
    if job.reason.startswith("Dependency"):
        return ""
    if job.reason == "UserRunLimit":
        return f"Not Running: User has reached queue {job.queue} running job limit."
    if job.held or not job.reason:
        return job.reason
    total = int(state.number_setting("nodes") * state.number_setting("cpus_per_node"))
    wanted = job.nodes * job.cpus
    lacks = f"ncpus (R: {wanted} A: 0 T: {total})"
    return f"Not Running: Insufficient amount of resource: {lacks}"


def _used(state: State, job: Job) -> dict[str, Value]:
    ran = int((job.ended or state.now) - (job.started or state.now))
    return {
        "cpupercent": 0,
        "cput": "00:00:00",
        "mem": "0kb",
        "ncpus": job.nodes * job.cpus,
        "vmem": "0kb",
        "walltime": f"{ran // 3600:02}:{ran // 60 % 60:02}:{ran % 60:02}",
    }


def _places(job: Job) -> dict[str, Value]:
    if not job.allocation:
        return {}
    share = f"0*{job.cpus}" if job.cpus > 1 else "0"
    hosts = "+".join(f"{name}/{share}" for name in job.allocation.split(","))
    return {"exec_host": hosts, "exec_vnode": _vnodes(job)}


def _vnodes(job: Job) -> str:
    return "+".join(f"({name}:ncpus={job.cpus})" for name in job.allocation.split(","))


def _run(state: State, job: Job) -> dict[str, Value]:
    if job.started is None:
        return {}
    found: dict[str, Value] = {"stime": _date(job.started)}
    if job.ended is not None:
        found["obittime"] = _date(job.ended)
        if job.ended - job.started >= MOM_UPDATE_SECONDS:
            found["session_id"] = int(job.option.get("session", "0")) or job.number
        found["jobdir"] = directory(state, job)
    elif job.process is not None:
        found |= {"session_id": job.process, "jobdir": directory(state, job)}
    return found


def _end(state: State, job: Job) -> dict[str, Value]:
    found: dict[str, Value] = {}
    if text := comment(state, job):
        found["comment"] = text
    if hold_types(job) == "n":  # it has been eligible to run
        found["etime"] = _date(job.submitted)
    if job.starts:
        found["run_count"] = job.starts
    status = exit_status(job)
    if status is not None:
        found |= {"Stageout_status": 1, "Exit_status": status}
    found["Submit_arguments"] = job.option["submit_arguments"]
    if job.ended is not None:
        found["history_timestamp"] = int(job.ended)
    found["project"] = job.option.get("P", "_pbs_project_default")
    if job.starts:
        found["run_version"] = job.starts
    return {**found, "Submit_Host": SERVER}


def _error_path(job: Job) -> str:
    """Of its own, even when both outputs are joined in the other file."""
    if job.option.get("j") == "oe" and "e" not in job.option:
        return f"{job.directory}/{job.name}.e{job.number}"
    return job.error


def _date(when: float) -> str:
    return time.strftime("%a %b %d %H:%M:%S %Y", time.localtime(when))

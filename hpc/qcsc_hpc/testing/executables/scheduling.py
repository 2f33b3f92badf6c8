"""Which job starts: first in, first out, as soon as enough CPUs are free."""

from __future__ import annotations

from qcsc_hpc.testing.executables.job import CANCELLED, COMPLETED, PENDING, RUNNING, Job
from qcsc_hpc.testing.executables.state import State

Start = tuple[int, int]  # a job's number, and the how manyeth start it is


def schedule(state: State) -> list[Start]:
    """Gives free nodes to waiting jobs; they have to be launched now."""
    if state.setting("stopped"):
        return []
    jobs = state.every_job()
    free = _free(state, jobs)
    licenses = _free_licenses(state, jobs)
    starts: list[Start] = []
    queue_is_blocked = False
    for job in jobs:
        if not _is_eligible(state, job, jobs):
            continue
        if _user_has_enough(state, jobs):
            job.reason = "UserRunLimit"
            state.save(job)
            break
        nodes = [node for node, cpus in free.items() if cpus >= job.cpus][: job.nodes]
        reason = _waits_for(job, nodes, licenses, queue_is_blocked=queue_is_blocked)
        if reason:
            job.reason = reason
            queue_is_blocked = True
        else:
            _start(state, job, nodes)
            for node in nodes:
                free[node] -= job.cpus
            licenses.discard(job.licenses)
            starts.append((job.number, job.starts))
        state.save(job)
    return starts


def _user_has_enough(state: State, jobs: list[Job]) -> bool:
    most = state.setting("most_running")
    return isinstance(most, int) and sum(job.state == RUNNING for job in jobs) >= most


def _waits_for(job: Job, nodes: list[str], licenses: set[str], *, queue_is_blocked: bool) -> str:
    if queue_is_blocked:
        return "Priority"
    if job.licenses and job.licenses not in licenses:
        return "Licenses"
    return "Resources" if len(nodes) < job.nodes else ""


def _start(state: State, job: Job, nodes: list[str]) -> None:
    job.state, job.reason = RUNNING, ""
    job.started, job.starts = state.now, job.starts + 1
    job.allocation = ",".join(nodes)


def _free(state: State, jobs: list[Job]) -> dict[str, int]:
    prefix = state.text_setting("node_prefix")
    cpus = int(state.number_setting("cpus_per_node"))
    free = {f"{prefix}{n + 1}": cpus for n in range(int(state.number_setting("nodes")))}
    for job in jobs:
        if job.state == RUNNING:
            for node in job.allocation.split(","):
                free[node] -= job.cpus
    return free


def _free_licenses(state: State, jobs: list[Job]) -> set[str]:
    """One of each: what a quantum computer is."""
    taken = {job.licenses for job in jobs if job.state == RUNNING}
    return {"qpu"} - taken


def _is_eligible(state: State, job: Job, jobs: list[Job]) -> bool:
    if job.state != PENDING or job.held or job.hidden:
        return False
    if max(job.submitted, job.requeue_at) > state.now:
        return False
    if job.dependency:
        return _dependency_is_met(state, job, {other.id: other for other in jobs})
    return True


def _dependency_is_met(state: State, job: Job, jobs: dict[str, Job]) -> bool:
    """`afterok:1:2,afterany:3`; one that can never be met holds the job, or cancels it."""
    for condition in job.dependency.split(","):
        kind, *ids = condition.split(":")
        for other in (jobs[id] for id in ids if id in jobs):
            if not other.is_over:
                job.reason = "Dependency"
                state.save(job)
                return False
            if not _is_met(kind, other):
                _can_never_start(state, job)
                return False
    return True


def _is_met(kind: str, other: Job) -> bool:
    if kind == "afterok":
        return other.state == COMPLETED
    return kind != "afternotok" or other.state != COMPLETED


def _can_never_start(state: State, job: Job) -> None:
    job.held, job.reason = 1, "DependencyNeverSatisfied"
    if state.setting("drops_orphans") or job.option.get("kill-on-invalid-dep") == "yes":
        job.state, job.ended = CANCELLED, state.now
    state.save(job)

"""A job, as a fake batch system keeps it."""

from __future__ import annotations

import json
from collections.abc import Mapping

PENDING = "PENDING"
RUNNING = "RUNNING"
COMPLETED = "COMPLETED"
FAILED = "FAILED"
CANCELLED = "CANCELLED"
TIMEOUT = "TIMEOUT"
NODE_FAIL = "NODE_FAIL"
PREEMPTED = "PREEMPTED"
REJECTED = "REJECTED"
ERROR = "ERROR"
REQUEUED = "REQUEUED"  # only as an `ending`: the job is PENDING afterwards

UNSTARTABLE = 4021  # the wait status that Slurm 22.05 gives a job whose output it cannot open


class Job:
    """One row of the table of jobs. Times are seconds since the epoch, or None: not yet.

    Attributes:
        submitted: may lie ahead; until then no command knows the job.
        ending: what a job that is being killed will be, while its processes still live.
        held: it is never started.
        hidden: no command knows it.
        code: the wait status of its script.
        cpus: per node.
        lag: seconds that accounting is late.
        starter: the process that looks after the job's processes.
        options: what only one batch system knows about, as JSON.
        array: the id of the array that it is an element of; empty for a job that is none.
        element: its number there.
        size: of the array; before that is dealt into elements, it is one job.
    """

    number: int
    id: str
    name: str
    key: str
    state: str
    ending: str | None
    reason: str
    held: int
    hidden: int
    submitted: float
    started: float | None
    ended: float | None
    code: int | None
    starts: int
    requeueable: int
    requeue_at: float
    script: str
    directory: str
    output: str
    error: str
    append: int
    spooled: int
    nodes: int
    cpus: int
    tasks: int
    allocation: str
    queue: str
    account: str
    walltime: float | None
    lag: float
    starter: int | None
    process: int | None
    max_rss: int
    dependency: str
    licenses: str
    variables: str
    options: str
    array: str
    element: int
    size: int

    def __init__(self, values: Mapping[str, object]) -> None:
        self.__dict__.update(DEFAULTS)
        self.__dict__.update(values)

    @property
    def is_over(self) -> bool:
        """Whether it has ended, with all its processes."""
        return self.ended is not None

    @property
    def is_ending(self) -> bool:
        """Whether it is being killed."""
        return self.ending is not None and self.ended is None

    @property
    def option(self) -> dict[str, str]:
        """What only one batch system knows about."""
        loaded: dict[str, str] = json.loads(self.options)
        return loaded

    @property
    def environment(self) -> dict[str, str]:
        """What the job asked to have in its environment."""
        loaded: dict[str, str] = json.loads(self.variables)
        return loaded

    @property
    def exit_code(self) -> int:
        """Of its script; 0 if a signal ended it, or nothing yet."""
        return (self.code or 0) >> 8

    @property
    def signal(self) -> int:
        """That ended its script; 0 if none did."""
        return (self.code or 0) & 0x7F


COLUMNS = tuple(Job.__annotations__)

DEFAULTS: dict[str, object] = {
    **dict.fromkeys(COLUMNS, 0),
    **dict.fromkeys(("id", "name", "key", "reason", "script", "directory", "output", "error"), ""),
    **dict.fromkeys(("allocation", "queue", "account", "dependency", "licenses"), ""),
    "array": "",
    **dict.fromkeys(("ending", "started", "ended", "code", "walltime", "starter", "process")),
    "state": PENDING,
    "nodes": 1,
    "cpus": 1,
    "tasks": 1,
    "requeueable": 1,
    "variables": "{}",
    "options": "{}",
}

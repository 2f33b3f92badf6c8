"""What a run's journal is made of. All of it is plain JSON, for people and for other tools."""

from __future__ import annotations

import json
import re
import secrets
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from qcsc_loop.errors import InvalidRunId
from qcsc_loop.parameters.compare import to_plain
from qcsc_loop.plain import Json
from qcsc_loop.rules.reason import Reason
from qcsc_loop.rules.retry import Retry
from qcsc_loop.rules.stop import Committed, MaxIterations, StopRule

RUN_ID = r"^[a-z0-9][a-z0-9-]{0,99}$"
RunId = Annotated[str, StringConstraints(pattern=RUN_ID)]
NO_DRIVER = 0  # the epoch of what no driver of a run has done: a fork has it from its parent


def require_run_id(given: object) -> str:
    """An id as somebody gave it.

    Raises:
        InvalidRunId: no run may have it.
    """
    if not isinstance(given, str) or not re.fullmatch(RUN_ID, given):
        raise InvalidRunId(given)
    return given


def now() -> datetime:
    """The time as records carry it."""
    return datetime.now(UTC)


def new_uid() -> str:
    """What tells a new run from every other one of its id."""
    return secrets.token_hex(16)


def _uid_of_old(values: dict[str, Any]) -> str:
    created: datetime = values["created"]
    return created.isoformat()


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_inf_nan="strings")


def _rule_as_json(rule: object) -> object:
    return to_plain(rule) if isinstance(rule, StopRule) else rule


class Settings(_Record):
    """What a driver runs a run with; a resume takes these unless it is told otherwise.

    Attributes:
        algorithm: how its class is found again, `module:Class` or `/path/file.py:Class`.
        parameters: the algorithm's fields as they were given, as JSON.
        given: the names of those that are not what they are by default, with dots where they are
            nested; None: it is not known.
        resolved: the same with every block's name replaced by the settings it stood for.
        stop: the stop rule as JSON. Reading a record imports nothing: a rule may be the algorithm's
            own, or a plug-in's, and is made of it where it is asked.
        keep: how many of the last iterations keep state, step records and work folders.
        retry: what happens when a hook raises.
    """

    algorithm: str
    parameters: Json = {}
    given: tuple[str, ...] | None = None
    resolved: Json = {}
    stop: Annotated[Json, BeforeValidator(_rule_as_json)] = to_plain(MaxIterations(100))
    keep: Annotated[int, Field(ge=2)] | None = 10
    retry: Retry = Retry()

    def rule(self) -> StopRule:
        """The stop rule.

        Raises:
            ValidationError: nothing that is imported defines it.
        """
        return StopRule.model_validate_json(json.dumps(self.stop))


class ForkedFrom(_Record):
    """Where a run begins that begins with another one's state."""

    run_id: RunId
    uid: str
    iteration: int
    state_sha256: str


class RunRecord(_Record):
    """What a run is: written once, when it is created.

    Attributes:
        settings: what its first driver ran it with.
        seed: the seed all randomness derives from.
        uid: tells it from a run of the same id in another store: ids come again. Of a run from
            before there were uids, the time of its creation, which its jobs' names have, too.
        provenance: versions, threads, host and code revision at the start.
        forked_from: whose state it begins with; None: its own.
    """

    run_id: RunId
    seed: int = Field(ge=0)
    settings: Settings
    created: datetime = Field(default_factory=now)
    uid: str = Field(default_factory=_uid_of_old)
    provenance: Json = {}
    forked_from: ForkedFrom | None = None


class Holder(_Record):
    """Who drives a run: a process, and which of the drivers that it may have had.

    Attributes:
        pid: its number, on that host, in that boot and pid namespace alone.
        pid_started: by a clock, which steps: for people, and for older versions.
        start_ticks: when it was started, in ticks since the boot.
        boot, machine, pid_namespace: where the number means something; see process_life.
        driver: a random name.
    """

    host: str
    pid: int
    pid_started: float
    start_ticks: int = 0
    boot: str = ""
    machine: str = ""
    pid_namespace: str = ""
    driver: str = ""


class EpochRecord(_Record):
    """One driver's hold on a run; the epoch is its fencing token, and newer ones win.

    Attributes:
        seed, created, uid: the run's, again: should its own record be damaged.
    """

    epoch: int = Field(ge=1)
    holder: Holder
    since: datetime = Field(default_factory=now)
    lease_seconds: float
    settings: Settings
    seed: int | None = None
    created: datetime | None = None
    uid: str = ""
    provenance: Json = {}


class EndRecord(_Record):
    """How an epoch ended; there is none for a driver that was killed."""

    epoch: int
    reason: Reason
    because: str = ""
    iteration: int
    ended: datetime = Field(default_factory=now)
    error: str = ""
    traceback: str = ""


class CancelOrder(_Record):
    """That a driver is to end; written by whoever wants that, and may not see its process.

    Attributes:
        by: who that is, `user on host`.
        leave_jobs: its remote jobs are left to the driver that resumes the run.
    """

    by: str
    leave_jobs: bool = False
    at: datetime = Field(default_factory=now)


class Commit(_Record):
    """One committed iteration, without its state: a line of the history, kept for ever.

    Attributes:
        seconds: time spent per step; steps taken from records of an earlier driver have none.
        usage: what its steps reported that they cost; jobs' costs are in the ledger.
        spent: the same of all iterations up to this one, so that no resume has to add them up;
            None in what version 0.1.0 wrote.
        best: the iteration of the best headline up to this one, and its value, so that no resume has
            to look for it; None where no value is better, or a version before it wrote this.
        state_sha256: hash of the state that was committed with it.
    """

    iteration: int
    epoch: int
    converged: bool = False
    scalars: dict[str, float] = {}
    seconds: dict[str, float] = {}
    usage: dict[str, float] = {}
    spent: dict[str, float] | None = None
    best: tuple[int, float] | None = None
    state_sha256: str
    committed: datetime = Field(default_factory=now)

    @property
    def rank(self) -> tuple[int, int]:
        """Of two commits the newer one has the higher; of one iteration, that of the newer driver."""
        return self.iteration, self.epoch

    def seen_by_rules(self) -> Committed:
        """The part that stop rules may look at."""
        return Committed(self.iteration, self.converged, self.scalars)


class StepNote(_Record):
    """What is known of a step record, beside the value itself."""

    iteration: int
    step: str
    epoch: int
    state_sha256: str  # of the state the step started from: the record is good for no other
    seconds: float
    usage: dict[str, float] = {}
    replayed: bool = False  # of another run, whose samples are taken whatever the state

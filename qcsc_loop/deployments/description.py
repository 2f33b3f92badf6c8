"""A deployment as a TOML file describes it: what runs, when, and what brings it back.

name = "nightly"
flow = "sqd"                       # a known name, or package.module:function
work_pool = "login"                # empty: `qcsc-loop serve` runs it

[algorithm]                        # the flow's first parameter, as `--set` has it
max_strings = 300

[run]                              # its second: qcsc_loop.deployments.RunSettings
max_iterations = 20
drive = "chain"

[[schedules]]
cron = "0 22 * * 1-5"
timezone = "Asia/Tokyo"

[[triggers]]
event = "lab.calibrated"
algorithm = { shots = "{{ event.payload.shots }}" }
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from qcsc_loop.deployments.run_settings import RunSettings
from qcsc_loop.errors import InvalidParameters
from qcsc_loop.plain import Json

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
_COMMIT = "qcsc-loop.iteration."
_OURS = "qcsc-loop."


def _known_zone(name: str) -> str:
    if name not in available_timezones():
        near = difflib.get_close_matches(name, available_timezones(), n=1)
        hint = f"; did you mean {near[0]}?" if near else "; take one such as Asia/Tokyo"
        raise ValueError(f"{name!r} is no time zone{hint}")
    return name


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ScheduleTable(_Table):
    """When a deployment runs by the clock; one of `cron`, `interval` and `rrule`.

    Attributes:
        cron: five fields, as in crontab(5).
        interval: seconds.
        rrule: a recurrence rule of RFC 5545.
        timezone: in which cron and rrule count, and the anchor stands.
        anchor: a time from which the interval counts; empty: midnight.
        active: whether it is on.
        algorithm, run: parameters that runs of this schedule have instead.
    """

    cron: str | None = None
    interval: float | None = Field(default=None, gt=0)
    rrule: str | None = None
    timezone: Annotated[str, AfterValidator(_known_zone)] = "UTC"
    anchor: datetime | None = None
    active: bool = True
    algorithm: Json = {}
    run: Json = {}

    @model_validator(mode="after")
    def _one_kind(self) -> ScheduleTable:
        given = [name for name in ("cron", "interval", "rrule") if getattr(self, name) is not None]
        if len(given) != 1:
            said = " and ".join(given) or "none"
            raise ValueError(f"give one of cron, interval and rrule, not {said}")
        if self.anchor is not None and self.interval is None:
            raise ValueError("anchor: only an interval has one")
        return self

    @property
    def every(self) -> timedelta:
        """The interval."""
        assert self.interval is not None
        return timedelta(seconds=self.interval)

    @property
    def first(self) -> datetime:
        """The anchor in the schedule's time zone; without one a midnight."""
        anchor = self.anchor or datetime(2020, 1, 1)
        return anchor if anchor.tzinfo else anchor.replace(tzinfo=ZoneInfo(self.timezone))


class TriggerTable(_Table):
    """Which event starts a run.

    Attributes:
        event: its name; `*` stands for any ending.
        about: the id of the resource it is about; `*` as above; empty: any.
        labels: what the resource's labels must be, such as `qcsc-loop.state = "FAILED"`.
        times, within: fires at so many events within so many seconds.
        payload: lays the event's whole payload over the algorithm's parameters.
        algorithm, run: parameters of the started run. A value that is one template, such as
            `"{{ event.payload.shots }}"`, keeps the type that it has in the event.
        active: whether it is on.
    """

    event: str
    about: str | None = None
    labels: dict[str, str] = {}
    times: int = Field(default=1, ge=1)
    within: float = Field(default=0, ge=0)
    payload: bool = False
    algorithm: Json = {}
    run: Json = {}
    active: bool = True

    @model_validator(mode="after")
    def _feeds_on_nothing_of_its_own(self) -> TriggerTable:
        head = self.event.rstrip("*")
        if any(_may_match(self.event, name) for name in (_COMMIT, "prefect.")) or not head:
            raise ValueError(
                f"event: {self.event!r} would fire at every iteration or task of a run, its own "
                "included; name an event such as lab.calibrated or qcsc-loop.run.converged"
            )
        if _may_match(self.event, _OURS) and self.about is None and _DEPLOYMENT not in self.labels:
            raise ValueError(
                f"event: {self.event!r} of any run would include those that this starts; say of "
                'which run, as in about = "qcsc-loop.run.NAME"'
            )
        return self


_DEPLOYMENT = "qcsc-loop.deployment"


def _may_match(pattern: str, prefix: str) -> bool:
    """Whether an event whose name begins so may match."""
    if pattern.endswith("*"):
        head = pattern.rstrip("*")
        return head.startswith(prefix) or prefix.startswith(head)
    return pattern.startswith(prefix)


class Deployment(_Table):
    """A deployment.

    Attributes:
        name: of the deployment, within its flow.
        flow: a name of the entry points `qcsc_loop.flows`, or `package.module:function`.
        work_pool: whose workers run it; empty: the process `qcsc-loop serve`.
        work_queue: in that pool.
        job_variables: for the pool's base job template: `env`, `working_dir`.
        concurrency: flow runs at a time; more wait, or are cancelled.
        paused: whether schedules are off.
        algorithm: the flow's first parameter.
        run: the flow's second parameter.
    """

    name: Name
    flow: str
    description: str = ""
    tags: tuple[str, ...] = ()
    work_pool: str | None = None
    work_queue: str | None = None
    job_variables: Json = {}
    concurrency: int | None = Field(default=None, ge=1)
    collisions: Literal["wait", "cancel"] = "wait"
    paused: bool = False
    algorithm: Json = {}
    run: RunSettings = RunSettings()
    schedules: tuple[ScheduleTable, ...] = ()
    triggers: tuple[TriggerTable, ...] = ()

    @model_validator(mode="after")
    def _possible(self) -> Deployment:
        if self.work_pool is None and (self.work_queue or self.job_variables):
            raise ValueError("work_queue and job_variables belong to a work_pool; name it too")
        if self.run.run_id is not None and (self.schedules or self.triggers):
            raise ValueError(
                "run.run_id: every start would be the same run; leave it out, or give each "
                'trigger its own, as in run = { run_id = "cal-{{ event.payload.day }}" }'
            )
        return self


def read_description(content: Mapping[str, Any], file: str) -> Deployment:
    """The deployment that a file describes.

    Raises:
        InvalidParameters: with one clause for everything that is wrong in it.
    """
    try:
        return Deployment.model_validate(content)
    except ValidationError as error:
        clauses = [_clause(problem) for problem in error.errors(include_url=False)]
        raise InvalidParameters(file, clauses, list(Deployment.model_fields)) from error


def _clause(problem: Any) -> str:
    place = ".".join(str(part) for part in problem["loc"])
    what = re.sub(r"^(Value error, )", "", problem["msg"])
    what = what[:1].lower() + what[1:]
    if problem["type"] == "missing":
        return f"{place} is required"
    if problem["type"] == "extra_forbidden":
        return f"there is no {place}"
    if not place or problem["type"] == "value_error":
        return f"{place}: {what}" if place else what
    return f"{place}: {what} (given: {problem['input']!r})"

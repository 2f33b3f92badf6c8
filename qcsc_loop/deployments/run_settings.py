"""How a deployed flow drives a run: its second parameter, beside the algorithm."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SerializeAsAny, model_validator

from qcsc_loop.loop.options import RunOptions
from qcsc_loop.parameters.environment import environment
from qcsc_loop.parameters.forms import in_short
from qcsc_loop.prefect.driver_facts import Granularity
from qcsc_loop.rules.limits import Limits
from qcsc_loop.rules.retry import Retry
from qcsc_loop.rules.stop import StopRule, WallTime
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.records import RunId


class AutoResume(BaseModel):
    """How often a run whose driver is gone is resumed by `qcsc-loop supervise`.

    Attributes:
        times: how often at most, before an iteration is committed; then the count begins anew.
        delay: seconds before the second attempt at an iteration; doubles each time.
        longest_delay: seconds.
        start_within: seconds after which a flow run that claimed no run counts as gone.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_extra=in_short)

    times: int = Field(default=3, ge=0, description="per iteration; 0 = never")
    delay: float = Field(default=10.0, ge=0, description="seconds; doubles each time")
    longest_delay: float = Field(default=600.0, ge=0, description="seconds")
    start_within: float = Field(default=300.0, gt=0, description="seconds")

    def wait(self, attempt: int) -> float:
        """Seconds before this attempt, counted from 1."""
        return 0.0 if attempt <= 1 else min(self.longest_delay, self.delay * 2 ** (attempt - 2))


class _WhichRun(BaseModel):
    """Which run it is; apart, so that a form asks for it before it asks for the limits.

    Attributes:
        run_id: lower-case letters, digits and dashes; empty: made from the flow run's id. The id
            of an existing run resumes it.
        seed: what all randomness derives from; empty: 0, or the existing run's.
    """

    run_id: RunId | None = Field(default=None, description="empty: from the flow run's id")
    seed: int | None = Field(default=None, ge=0, description="of all randomness; empty: 0")


class RunSettings(Limits, _WhichRun):
    """How a run is driven; nothing here changes its results but the seed.

    Attributes:
        stop: more stop rules, of which any stops it.
        store: the folder that holds all runs; empty: QCSC_LOOP_STORE where the flow runs.
        keep: how many of the last iterations keep their state, steps and files; empty: 10.
        retry: what happens when a hook raises.
        tasks: what becomes a Prefect task.
        drive: `loop`, one flow run from start to end; `chain`, a flow run for every so many
            iterations, each started by the one before it.
        iterations: of a flow run in a chain.
        after: goes on after this iteration of `run_id`, with the algorithm and the settings that
            the run has; the other parameters are not read.
        resume: by whom a run is brought back whose driver was killed.
        skip_if_late: seconds; a run that a schedule starts so much later than it was due, as after
            an outage of the server or its workers, is skipped. Empty: all that was missed is done.
        pause: waits for a person, suspended, when the run fails or has spent its budget.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_extra=in_short)

    stop: tuple[SerializeAsAny[StopRule], ...] = Field(
        default=(), description="more rules, of which any stops the run"
    )
    store: str | None = Field(default=None, description="folder; empty: QCSC_LOOP_STORE")
    keep: int | None = Field(default=None, ge=2, description="iterations whose files stay")
    retry: Retry | None = Field(default=None, description="when a hook raises; empty: never")
    tasks: Granularity = Field(default="step", description="what becomes a Prefect task")
    drive: Literal["loop", "chain"] = Field(
        default="loop", description="one flow run, or one for every few iterations"
    )
    iterations: int = Field(default=1, ge=1, description="of a flow run in a chain")
    after: int | None = Field(
        default=None, ge=-1, description="go on with run_id after this iteration, as it was begun"
    )
    resume: AutoResume = Field(default=AutoResume(), description="what a supervisor may do")
    skip_if_late: float | None = Field(
        default=None, gt=0, description="seconds; empty: missed runs are caught up"
    )
    pause: bool = Field(default=False, description="wait for a person after a failure")

    @model_validator(mode="after")
    def _consistent(self) -> RunSettings:
        if self.after is not None and self.run_id is None:
            raise ValueError("after: which run? give its run_id too")
        if self.drive == "chain" and any(_counts_time(rule) for rule in self.stop):
            raise ValueError(
                "stop: wall-time is a driver's, and a chain has many; limit its iterations or costs"
            )
        return self

    @classmethod
    def without_rules(cls, written: Mapping[str, Any]) -> RunSettings:
        """As a driver wrote them, but for its stop rules: only the algorithm's module knows those.

        Raises:
            ValueError: a newer version wrote them.
        """
        return cls.model_validate({**written, "stop": ()})

    def place(self) -> DirectoryStore:
        """Where the run is kept."""
        return DirectoryStore(Path(self.store) if self.store else environment().store)

    def options(self) -> RunOptions:
        """As `run_in_flow` takes them; what is not given stays as it was."""
        options: RunOptions = {"store": self.place()}
        rule = self.stop_rule(*self.stop)
        if rule is not None:
            options["stop"] = rule
        if self.run_id is not None:
            options["run_id"] = self.run_id
        if self.seed is not None:
            options["seed"] = self.seed
        if self.keep is not None:
            options["keep"] = self.keep
        if self.retry is not None:
            options["retry"] = self.retry
        return options


def _counts_time(rule: StopRule) -> bool:
    return isinstance(rule, WallTime) or any(_counts_time(part) for part in rule.parts())

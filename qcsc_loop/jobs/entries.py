"""A ledger's lines, and what they say together of one job."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from qcsc_loop.jobs.key import JobKey
from qcsc_loop.jobs.outcome import JobMetrics, JobOutcome, JobState
from qcsc_loop.plain import Json
from qcsc_loop.store.records import now

if TYPE_CHECKING:
    pass


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_inf_nan="strings")

    key: JobKey
    epoch: int
    at: datetime = Field(default_factory=now)


class Intent(_Line):
    """About to be submitted.

    Attributes:
        site: settings from which `site_from` makes the site again.
        folder: the job's own, as the driver names it.
        input_sha256: over the command and all its input files.
    """

    kind: Literal["intent"] = "intent"
    site: Json
    folder: str
    input_sha256: str


class Submitted(_Line):
    """The site has it under this id.

    Attributes:
        folder: where it works, if a driver on another disk submitted it; None: as intended.
    """

    kind: Literal["submitted"] = "submitted"
    job_id: str
    folder: str | None = None


class Cancelling(_Line):
    """It is to end; its outcome will not be used."""

    kind: Literal["cancelling"] = "cancelling"


class Finished(_Line):
    """How it ended, as its site says."""

    kind: Literal["finished"] = "finished"
    outcome: JobOutcome


class Collected(_Line):
    """Its results were read, or could not be.

    Attributes:
        fault: why they are given up for good; empty if they are not.
        unread: why they could not be read this time; empty if they are good. A version that does
            not know it reads them again, which is right.
    """

    kind: Literal["collected"] = "collected"
    fault: str = ""
    unread: str = ""


class Holding(_Line):
    """Its site holds something for the run that costs by the clock, such as a session.

    Attributes:
        held: the site's name for it.
        what: for whom it is good, as the site has it.
    """

    kind: Literal["holding"] = "holding"
    held: str
    what: str = ""


class Released(_Line):
    """It is held no more."""

    kind: Literal["released"] = "released"
    held: str


class Measured(_Line):
    """What the site's accounting said later."""

    kind: Literal["measured"] = "measured"
    metrics: JobMetrics


Line = Annotated[
    Intent | Submitted | Cancelling | Finished | Collected | Holding | Released | Measured,
    Field(discriminator="kind"),
]
LINE: TypeAdapter[Line] = TypeAdapter(Line)


@dataclass(frozen=True)
class JobRecord:
    """All that the ledger says of one job."""

    intent: Intent
    job_id: str | None = None
    cancelling: bool = False
    outcome: JobOutcome | None = None
    elsewhere: str | None = None  # its folder, where it is not the intended one
    fault: str | None = None  # None: not collected; empty: good
    unread: str = ""  # why its results could not be read when that was last tried
    metrics: JobMetrics = field(default_factory=JobMetrics)
    holding: tuple[Holding, ...] = ()  # opened for it, and not released yet

    @property
    def key(self) -> JobKey:
        return self.intent.key

    @property
    def folder(self) -> Path:
        """Where it works."""
        return Path(self.intent.folder if self.elsewhere is None else self.elsewhere)

    @property
    def over(self) -> bool:
        """Whether nothing of it runs, waits or may turn up any more."""
        return self.outcome is not None

    @property
    def spoilt(self) -> bool:
        """Whether it ended otherwise than well: another attempt is a new job."""
        if self.outcome is None:
            return False
        return self.outcome.state is not JobState.COMPLETED or bool(self.fault)

    @property
    def state(self) -> str:
        """In a word, for people."""
        if self.outcome is not None:
            return "FAILED" if self.fault else str(self.outcome.state)
        if self.cancelling:
            return "cancelling"
        return "submitted" if self.job_id else "intended"

    def _holding_after(self, line: Holding | Released) -> tuple[Holding, ...]:
        left = tuple(one for one in self.holding if one.held != line.held)
        return (*left, line) if isinstance(line, Holding) else left

    def lines(self) -> list[Line]:
        """Lines that say this again, without what was said on the way to it."""
        key, epoch = self.key, self.intent.epoch
        said: list[Line] = [self.intent]
        if self.job_id is not None:
            said.append(Submitted(key=key, epoch=epoch, job_id=self.job_id, folder=self.elsewhere))
        if self.cancelling:
            said.append(Cancelling(key=key, epoch=epoch))
        if self.outcome is not None:
            said.append(Finished(key=key, epoch=epoch, outcome=self.outcome))
        if self.fault is not None:
            said.append(Collected(key=key, epoch=epoch, fault=self.fault))
        if self.unread:
            said.append(Collected(key=key, epoch=epoch, unread=self.unread))
        if any(value is not None for _, value in self.metrics):
            said.append(Measured(key=key, epoch=epoch, metrics=self.metrics))
        return [*said, *self.holding]

    def after(self, line: Line) -> JobRecord:
        """With one more line."""
        match line:
            case Submitted():
                return replace(self, job_id=line.job_id, elsewhere=line.folder)
            case Cancelling():
                return replace(self, cancelling=True)
            case Finished():
                metrics = line.outcome.metrics.over(self.metrics)
                return replace(self, outcome=line.outcome, metrics=metrics)
            case Collected():
                fault = self.fault if line.unread else line.fault
                return replace(self, fault=fault, unread=line.unread)
            case Holding() | Released():
                return replace(self, holding=self._holding_after(line))
            case Measured():
                return replace(self, metrics=line.metrics.over(self.metrics))
            case _:
                return self

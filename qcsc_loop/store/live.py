"""What a driver leaves for people who look on: nothing relies on it, and a resume reads none of it.

live.json       LiveRecord: what the driver is doing; at most once a second, seldomer if it is long
chart.json      ChartRecord: how the run is looked at
log.jsonl       a LogLine each for troubles, retries, jobs' changes and what hooks log
log.1.jsonl     the lines before those
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from qcsc_loop.plain import Json
from qcsc_loop.store.records import now
from qcsc_loop.store.store import Store

LIVE, CHART, LOG, OLDER_LOG = "live.json", "chart.json", "log.jsonl", "log.1.jsonl"
# phases that are no hook's
STARTING, COMMITTING = "starting", "commit"
LOG_BYTES = 5_000_000  # of each of the two

Level = Literal["info", "warning", "error"]


class _Seen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_inf_nan="strings")


R = TypeVar("R", bound=_Seen)


class ChartRecord(_Seen):
    """The state's `Chart`, with its references' values; see `values.chart.Chart`.

    Attributes:
        headline: the scalar's name, "" only where the state has none.
        references: values by name, in the headline's unit.
    """

    headline: str = ""
    better: Literal["lower", "higher", ""] = ""
    unit: str = ""
    beside: tuple[str, ...] = ()
    error: str = ""
    references: dict[str, float] = {}


class LiveJob(_Seen):
    """A job that waits or runs.

    Attributes:
        what: the step's part and the job's name.
        since: when it came into this state.
        submitted: when this driver first heard of it.
    """

    key: str
    what: str
    site: str
    job_id: str = ""
    state: str
    reason: str = ""
    since: datetime
    submitted: datetime
    nodes: int | None = None


class LiveParts(_Seen):
    """How many of a step's parts are done."""

    label: str = ""
    done: int
    total: int


class LiveRecord(_Seen):
    """What a driver is doing; all times by its own clock.

    Attributes:
        iteration: the one that is being worked at.
        phase: a hook's name, or what else is being done, such as "commit".
        since: when the phase began.
        attempt: how often the hook was called before.
        warnings: the last ones, oldest first.
        warned: how many there were.
        at: when this was written.
    """

    epoch: int
    iteration: int = 0
    phase: str = STARTING
    since: datetime = Field(default_factory=now)
    attempt: int = 0
    jobs: tuple[LiveJob, ...] = ()
    parts: tuple[LiveParts, ...] = ()
    warnings: tuple[str, ...] = ()
    warned: int = 0
    at: datetime = Field(default_factory=now)


class LogLine(_Seen):
    """Something that a person may want to know afterwards.

    Attributes:
        kind: "trouble", "retry", "job", or "hook" for what the algorithm itself logs.
        iteration: None: of the run as a whole.
    """

    at: datetime = Field(default_factory=now)
    epoch: int
    level: Level = "info"
    kind: Literal["trouble", "retry", "job", "hook"]
    iteration: int | None = None
    step: str = ""
    text: str


class SideFiles:
    """The files of one run, for their one writer and any number of readers."""

    def __init__(self, store: Store, run_id: str) -> None:
        self._store, self._run_id = store, run_id
        self._written: tuple[bytes, LiveRecord] | None = None

    def write_live(self, record: LiveRecord) -> None:
        """Replaces what is said of the driver."""
        content = record.model_dump_json().encode()
        self._store.leave(f"{self._run_id}/{LIVE}", content)
        self._written = content, record

    def write_chart(self, record: ChartRecord) -> None:
        """Replaces how the run is looked at."""
        self._store.leave(f"{self._run_id}/{CHART}", record.model_dump_json().encode())

    def add_to_log(self, lines: list[LogLine]) -> None:
        """Adds lines; the oldest ones go where there are too many."""
        log, older = f"{self._run_id}/{LOG}", f"{self._run_id}/{OLDER_LOG}"
        content = b"".join(line.model_dump_json().encode() + b"\n" for line in lines)
        self._store.leave_more(log, content, older, LOG_BYTES)

    def live(self) -> LiveRecord | None:
        """What the newest driver that could say it was doing; None: nothing is known."""
        content = self._store.left(f"{self._run_id}/{LIVE}")
        if self._written is not None and content == self._written[0]:
            return self._written[1]  # of ten thousand jobs, which take long to be read
        return _record(LiveRecord, content)

    def chart(self) -> ChartRecord | None:
        """How the run is looked at; None: no driver has said."""
        return _record(ChartRecord, self._store.left(f"{self._run_id}/{CHART}"))

    def log(self, last: int | None = None) -> Iterator[LogLine]:
        """What was logged, oldest first; what cannot be read is left out.

        Args:
            last: how many lines; None: all.
        """
        lines: list[bytes] = []
        for name in (LOG, OLDER_LOG):
            if last is None or len(lines) < last:
                content = self._store.left(f"{self._run_id}/{name}") or b""
                lines = content.splitlines() + lines
        for line in lines if last is None else lines[max(0, len(lines) - last) :]:
            if (found := _line(line)) is not None:
                yield found


def _record(kind: type[R], content: bytes | None) -> R | None:
    try:
        return None if content is None else kind.model_validate_json(content)
    except ValidationError:  # another version's, or damaged: it is not relied on
        return None


def _line(content: bytes) -> LogLine | None:
    try:
        return LogLine.model_validate_json(content)
    except ValidationError:
        return None


def as_facts(record: _Seen) -> Json:
    """As plain JSON."""
    return record.model_dump(mode="json")

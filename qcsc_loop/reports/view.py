"""One reader of runs, behind the command line, notebooks and pages.

It reads what is on disk and nothing else: no algorithm is imported, nothing is locked, and a run that
is being driven, damaged, half written or another version's is told as it is.
"""

from __future__ import annotations

import math
import statistics
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from itertools import zip_longest

from qcsc_loop.errors import DamagedDocument, NewerDocument, QcscLoopError
from qcsc_loop.jobs.entries import JobRecord
from qcsc_loop.jobs.ledger import JobsReader
from qcsc_loop.plain import Json
from qcsc_loop.reports.columns import Columns, HistoryReader
from qcsc_loop.reports.status import OF_REASON, RunStatus
from qcsc_loop.rules.reason import stop_message
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.history import History
from qcsc_loop.store.journal import Journal
from qcsc_loop.store.lease import Hold
from qcsc_loop.store.live import ChartRecord, LiveRecord, LogLine, SideFiles
from qcsc_loop.store.records import EndRecord, EpochRecord, RunRecord, Settings

FORETOLD_FROM = 20  # iterations


@dataclass(frozen=True)
class Best:
    """The iteration of the best headline."""

    iteration: int
    value: float


@dataclass(frozen=True)
class View:
    """A run as it stood when it was looked at.

    Attributes:
        status: in a word.
        trouble: why it cannot be read, or what is damaged in it; empty: nothing is.
        record: what it is; None only where `trouble` says why.
        driver: the newest one; None: there was none, or its record is damaged.
        end: how that one ended; None while it lives, or if it did not say.
        hold: how it holds the run, if it has not ended.
        live: what it is doing, or was when it could last say so; None: nothing is known.
        seen: when `live` was written, in seconds before this look.
        chart: how the run is looked at; its headline is "" where the state has no scalars.
        jobs: of all drivers, in the order of their submission.
    """

    run_id: str
    folder: str
    status: RunStatus
    trouble: str = ""
    record: RunRecord | None = None
    settings: Settings | None = None
    driver: EpochRecord | None = None
    end: EndRecord | None = None
    hold: Hold | None = None
    live: LiveRecord | None = None
    seen: float = math.inf
    chart: ChartRecord = field(default_factory=ChartRecord)
    history: Columns = field(default_factory=Columns)
    jobs: Sequence[JobRecord] = ()
    drivers: int = 0

    @property
    def algorithm(self) -> str:
        """The name of its class; "?" where that is not known."""
        settings = self.settings
        return settings.algorithm.rpartition(":")[2] if settings is not None else "?"

    @property
    def iteration(self) -> int:
        """The last committed one; 0 before there is one."""
        return self.history.iterations[-1] if self.history.iterations else 0

    @property
    def headline(self) -> float:
        """The newest value of the headline; NaN before there is one."""
        return self.history.last(self.chart.headline)

    @property
    def values(self) -> Sequence[float]:
        """The headline over the iterations; NaN where there is none."""
        return self.history.scalars.get(self.chart.headline, ())

    @cached_property
    def best(self) -> Best | None:
        """Where the headline was best; None where no value is better than another."""
        sign = {"lower": 1.0, "higher": -1.0}.get(self.chart.better)
        known = [(v, k) for k, v in zip(self.history.iterations, self.values, strict=False)]
        finite = [(sign * v, k) for v, k in known if math.isfinite(v)] if sign else []
        if sign is None or not finite:
            return None
        value, iteration = min(finite)
        return Best(iteration, sign * value)

    @property
    def reference(self) -> tuple[str, float] | None:
        """The reference that the headline is nearest to, by name and value."""
        known = [(n, v) for n, v in self.chart.references.items() if math.isfinite(v)]
        if not known:
            return None
        value = self.headline if math.isfinite(self.headline) else 0.0
        return min(known, key=lambda pair: abs(pair[1] - value))

    @property
    def live_jobs(self) -> list[JobRecord]:
        """Jobs that may be waiting or running."""
        return [job for job in self.jobs if not job.over]

    @property
    def spent(self) -> dict[str, float]:
        """By name: `shots`, `qpu_seconds`, `node_hours`; failed jobs cost as well."""
        total: Counter[str] = Counter(self.history.spent)
        for job in self.jobs:
            total.update(job.metrics.costs)
        return dict(total)

    @property
    def limits(self) -> dict[str, float]:
        """The bounds of its stop rule, by the name of what they bound; see `limits_of`."""
        return limits_of(self.settings.stop) if self.settings is not None else {}

    @property
    def seconds_left(self) -> float | None:
        """Until the last iteration that its stop rule allows, by the pace of the last ones.

        None where it is not running, or only convergence ends it.
        """
        last = self.limits.get("iterations")
        took = [t for t in self.history.tail(FORETOLD_FROM + 1).took if math.isfinite(t)]
        if self.status is not RunStatus.RUNNING or last is None or not took:
            return None
        return max(0.0, last - self.iteration) * statistics.median(took)

    @property
    def message(self) -> str:
        """How it stands, in a sentence without its id."""
        if self.status in (RunStatus.DAMAGED, RunStatus.NEWER):
            return self.trouble
        if self.end is not None:
            return stop_message(self.end.reason, self.end.iteration, self.end.because)
        at = self.live.iteration if self.live is not None else self.iteration
        phase = f"in {self.live.phase} of iteration {at}" if self.live is not None else ""
        if self.status is RunStatus.GONE:
            return f"its driver is gone without a word{f', {phase}' if phase else ''}"
        return f"running, {phase or f'after iteration {at}'}" if self.driver else "not started"

    @property
    def next_command(self) -> str:
        """What to type next, without `--store`; empty where nothing is left to do."""
        if self.status.may_be_resumed:
            return f"qcsc-loop resume {self.run_id}"
        if self.status is RunStatus.RUNNING:
            return f"qcsc-loop watch {self.run_id}"
        return ""


class RunReader:
    """Looks at one run again and again; each look reads what has changed since the last one."""

    def __init__(self, store: DirectoryStore, run_id: str) -> None:
        self.journal, self._store = Journal(store, run_id), store
        self._history = HistoryReader(store.root / run_id / "history.jsonl")
        self._files, self._jobs = SideFiles(store, run_id), JobsReader(store, run_id)
        self._live: LiveRecord | None = None
        self._live_seen = -math.inf  # by the monotonic clock

    def look(self) -> View:
        """The run as it stands.

        Raises:
            RunNotFound: the store has no such run.
            StoreError: the store cannot be read.
        """
        return self._look(self._history.read())

    def glance(self) -> View:
        """The same with the last iteration alone for a history, for lists of many runs."""
        return self._look(_newest(self.journal.commits))

    def log(self, last: int | None = None) -> list[LogLine]:
        """What went wrong and what hooks logged, oldest first; or the last so many lines of it."""
        return list(self._files.log(last))

    def _look(self, history: Columns) -> View:
        journal, run_id = self.journal, self.journal.run_id
        folder = f"{self._store.place}/{run_id}"
        try:
            record = journal.record()
            settings = journal.settings()
        except (DamagedDocument, NewerDocument) as error:
            newer = isinstance(error, NewerDocument)
            status = RunStatus.NEWER if newer else RunStatus.DAMAGED
            return View(run_id, folder, status, str(error), history=history)
        epoch, driver, end, hold = journal.newest_epoch(), None, None, None
        status = RunStatus.NEW
        trouble = journal.assumed()
        if epoch:
            end, status = journal.end(epoch), RunStatus.GONE
            try:
                driver = journal.epoch(epoch)
                hold = None if end is not None else journal.hold(driver)
            except QcscLoopError:  # damaged, or a newer version's: whoever it was
                driver = None
            if end is not None:
                status = OF_REASON[end.reason]
            elif hold is not None and not hold.is_free:
                status = RunStatus.RUNNING
        live = self._look_at_live()
        return View(
            run_id=run_id,
            folder=folder,
            status=status,
            trouble=trouble,
            record=record,
            settings=settings,
            driver=driver,
            end=end,
            hold=hold,
            live=live if live is not None and live.epoch == epoch else None,
            seen=time.monotonic() - self._live_seen,
            chart=self._chart(history),
            history=history,
            jobs=self._jobs.read(),
            drivers=epoch,
        )

    def _chart(self, history: Columns) -> ChartRecord:
        """As the driver said; by the first scalar where that cannot be."""
        chart = self._files.chart() or ChartRecord()
        if not history.scalars or chart.headline in history.scalars:
            return chart
        return ChartRecord(headline=next(iter(history.scalars)))

    def _look_at_live(self) -> LiveRecord | None:
        """What the driver does; its age is counted by this reader's clock, since clocks differ."""
        live = self._files.live()
        if live is not None and (self._live is None or live.at != self._live.at):
            first = self._live is None
            age = max(0.0, time.time() - live.at.timestamp()) if first else 0.0
            self._live, self._live_seen = live, time.monotonic() - age
        return live


def _newest(history: History) -> Columns:
    commit = history.newest()
    if commit is None:
        return Columns()
    return Columns(
        iterations=[commit.iteration],
        epochs=[commit.epoch],
        committed=[commit.committed.timestamp()],
        scalars={name: [value] for name, value in commit.scalars.items()},
        seconds={name: [value] for name, value in commit.seconds.items()},
        usage={name: [value] for name, value in commit.usage.items()},
        spent=dict(commit.spent or {}),
    )


# the field that bounds something in each rule of `rules.stop`, and what it bounds
_BOUNDS = {
    "max-iterations": ("iterations", "iterations"),
    "wall-time": ("seconds", "seconds"),
    "shots": ("limit", "shots"),
    "qpu-seconds": ("limit", "qpu_seconds"),
    "node-hours": ("limit", "node_hours"),
}


def limits_of(rule: Json) -> dict[str, float]:
    """The bounds that a stop rule, as JSON, has by itself or as one of several that each end a run."""
    several = rule.get("rules") if rule.get("type") == "any" else None
    found: dict[str, float] = {}
    for each in several if isinstance(several, list) else [rule]:
        name, what = _BOUNDS.get(str(each.get("type")), ("", ""))
        if isinstance(value := each.get(name), int | float):
            found[what] = min(value, found.get(what, math.inf))
    return found


def driver_ends(journal: Journal) -> Iterator[tuple[EpochRecord, str]]:
    """Every driver, oldest first, and how it ended, in words."""
    drivers = journal.epochs()
    following = [driver.epoch for driver in drivers[1:]]
    for driver, successor in zip_longest(drivers, following):
        yield driver, _how_it_ended(journal, driver, successor)


def _how_it_ended(journal: Journal, driver: EpochRecord, successor: int | None) -> str:
    if (by := journal.superseded_by(driver.epoch)) is not None:
        return f"superseded by driver {by}"
    if (end := journal.end(driver.epoch)) is not None:
        return str(end.reason)
    if successor is not None:
        return f"gone without a word; driver {successor} went on"
    return "gone without a word" if journal.hold(driver).is_free else "at work"


def when(moment: datetime) -> str:
    """A time as people read it: local, with its offset from UTC."""
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S %z}"

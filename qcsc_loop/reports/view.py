"""One reader of runs, behind the command line, notebooks and pages.

It reads what is on disk and nothing else: no algorithm is imported, nothing is locked, and a run that
is being driven, damaged, half written or another version's is told as it is.
"""

from __future__ import annotations

import math
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from itertools import zip_longest

from qcsc_loop.errors import DamagedDocument, NewerDocument
from qcsc_loop.jobs.entries import JobRecord
from qcsc_loop.jobs.ledger import JobsReader
from qcsc_loop.jobs.site import outlives_driver
from qcsc_loop.plain import Json
from qcsc_loop.reports.columns import Columns, HistoryReader
from qcsc_loop.reports.status import OF_REASON, RunStatus
from qcsc_loop.rules.going_on import advice_on, limits_of, resume_command
from qcsc_loop.rules.reason import Reason, stop_sentence
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.history import History
from qcsc_loop.store.journal import Journal
from qcsc_loop.store.lease import Hold
from qcsc_loop.store.live import (
    COMMITTING,
    STARTING,
    ChartRecord,
    LiveRecord,
    LogLine,
    SideFiles,
)
from qcsc_loop.store.records import (
    NO_DRIVER,
    Commit,
    EndRecord,
    EpochRecord,
    RunRecord,
    Settings,
)

FORETOLD_FROM = 20  # iterations
_FACTS = {
    "CancelledError": "cancelled",
    "KeyboardInterrupt": "Ctrl-C",
    "HookFailed": "a hook raised",
}


@dataclass(frozen=True)
class Best:
    """The iteration of the best headline."""

    iteration: int
    value: float


# Many short properties: one for each thing that every view shows.
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
        successor: the driver that has the run now; 0: this is the newest one. See `left_by`.
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
    successor: int = 0

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
        """What the headline is on its way to, by name and value; None where there is no reference.

        The one that lies furthest in the better way, such as FCI and not MP2; where no way is better,
        the nearest.
        """
        known = [(name, v) for name, v in self.chart.references.items() if math.isfinite(v)]
        if not known:
            return None
        sign = {"lower": 1.0, "higher": -1.0}.get(self.chart.better)
        if sign is not None:
            return min(known, key=lambda pair: sign * pair[1])
        value = self.headline if math.isfinite(self.headline) else 0.0
        return min(known, key=lambda pair: abs(pair[1] - value))

    @property
    def live_jobs(self) -> list[JobRecord]:
        """Jobs that may be waiting or running."""
        return [job for job in self.jobs if not job.over]

    @cached_property
    def left_jobs(self) -> list[JobRecord]:
        """Those of them that may be so without a driver; what it runs itself goes down with it."""
        return [job for job in self.live_jobs if outlives_driver(job.intent.site)]

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
    def last_seen(self) -> datetime | None:
        """When it last gave a sign of itself, by its driver's clock; None: nothing says."""
        seen = [self.record.created] if self.record is not None else []
        if self.driver is not None:
            seen.append(self.driver.since)
        seen += [datetime.fromtimestamp(t, UTC) for t in self.history.committed[-1:] if t == t]
        if self.live is not None:
            seen.append(self.live.at)
        if self.end is not None:
            seen.append(self.end.ended)
        return max(seen, default=None)

    @property
    def fact(self) -> str:
        """Why it stands so, in a few words; empty: its status says all."""
        if self.end is None:
            return ""
        # as versions wrote it that named the class of what was raised
        return _FACTS.get(self.end.because, self.end.because)

    @property
    def message(self) -> str:
        """How it stands, in a sentence without its id."""
        return self.told()

    def told(self, more: str = "") -> str:
        """The same, with what stands behind each command, as `--store DIR`."""
        advice = self.advice(more)
        return f"{self.sentence}; {advice}" if advice else self.sentence

    def advice(self, more: str = "") -> str:
        """What to do next with a run that has ended, as the end of a sentence."""
        if self.end is None or self.successor:
            return ""
        return advice_on(self.run_id, self.end.reason, self.next_command, more)

    @property
    def sentence(self) -> str:
        """The same without what to try, for where `next_command` stands beside it."""
        if self.status in (RunStatus.DAMAGED, RunStatus.NEWER):
            return self.trouble
        return self._how + (f"; driver {self.successor} has the run" if self.successor else "")

    @property
    def _how(self) -> str:
        if self.end is not None:
            return stop_sentence(self.end.reason, self.end.iteration, self.fact)
        doing = self._doing
        if self.status is RunStatus.GONE:
            return f"its driver is gone without a word{f', {doing}' if doing else ''}"
        if self.driver is None:
            return "not started"
        return f"running, {doing or f'after iteration {self.iteration}'}"

    @property
    def heading(self) -> str:
        """How it stands, for where `next_command` stands below it, if there is one."""
        return self.sentence if self.next_command else self.message

    @property
    def _doing(self) -> str:
        """'in evaluate of iteration 7'; empty: nothing is known."""
        if self.live is None:
            return ""
        if self.live.phase == STARTING:
            return f"{STARTING} after iteration {self.iteration}" if self.iteration else STARTING
        return f"in {self.live.phase} of iteration {self.live.iteration}"

    @property
    def next_command(self) -> str:
        """What to type next, without `--store`; empty where nothing is left to do."""
        if self.successor:
            return ""
        rule = self.settings.stop if self.settings is not None else None
        if self.end is not None:
            return resume_command(self.run_id, self.end.reason, rule, self.spent)
        if self.driver is None and rule is not None and self._is_at_its_last(rule):
            return resume_command(self.run_id, Reason.MAX_ITERATIONS, rule, self.spent)
        if self.status.may_be_resumed:
            return f"qcsc-loop resume {self.run_id}"
        if self.status is RunStatus.RUNNING:
            return f"qcsc-loop watch {self.run_id}"
        return ""

    def _is_at_its_last(self, rule: Json) -> bool:
        """Whether the iteration that it begins with is the last one, as a fork's may be."""
        return self.iteration >= limits_of(rule).get("iterations", math.inf)


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

    def skim(self) -> View:
        """What a list of many runs needs: the newest iteration, the jobs that may be alive.

        Of one that is being driven, as many as foretell its end. `View.spent` has not what jobs
        cost, nor `View.best` what is not among those iterations.
        """
        view = self._look(_newest(self.journal.commits), self._jobs.unfinished)
        if view.status is not RunStatus.RUNNING:
            return view
        return replace(view, history=_last(self.journal.commits, FORETOLD_FROM))

    def log(self, last: int | None = None) -> list[LogLine]:
        """What went wrong and what hooks logged, oldest first; or the last so many lines of it."""
        return list(self._files.log(last))

    def _look(
        self,
        history: Columns,
        read_jobs: Callable[[], Sequence[JobRecord]] | None = None,
    ) -> View:
        journal, run_id = self.journal, self.journal.run_id
        folder = f"{self._store.place}/{run_id}"
        try:
            own, _ = journal.own_record()
            record = journal.record() if own is None else own
            epoch = journal.newest_epoch()
            driver = _driver(journal, epoch)
            settings = journal.settings() if driver is None else driver.settings
            end = journal.end(epoch) if epoch else None
        except (DamagedDocument, NewerDocument) as error:
            newer = isinstance(error, NewerDocument)
            status = RunStatus.NEWER if newer else RunStatus.DAMAGED
            return View(run_id, folder, status, str(error), history=history)
        hold, status = None, RunStatus.NEW
        trouble = "" if own and (driver or not epoch) else journal.assumed()
        if epoch:
            status = RunStatus.GONE
            if end is None and driver is not None:
                hold = journal.hold(driver)
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
            live=_caught_up(live, history) if live is not None and live.epoch == epoch else None,
            seen=time.monotonic() - self._live_seen,
            chart=self._chart(history),
            history=history,
            jobs=(read_jobs or self._jobs.read)(),
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


def _caught_up(live: LiveRecord, history: Columns) -> LiveRecord:
    """What a driver says that it does, once a second, no earlier than what it has committed since."""
    newest = history.iterations[-1] if history.iterations else 0
    if live.iteration >= newest:
        return live
    if history.epochs[-1] != live.epoch:  # an earlier driver's: this one has yet to begin
        return live.model_copy(update={"iteration": newest})
    since = datetime.fromtimestamp(history.committed[-1], UTC)
    later = {"iteration": newest, "phase": COMMITTING, "since": since, "attempt": 0, "parts": ()}
    return live.model_copy(update=later)


def _driver(journal: Journal, epoch: int) -> EpochRecord | None:
    """The newest driver's record; None: there was none, or it is damaged."""
    try:
        return journal.epoch(epoch) if epoch else None
    except (DamagedDocument, KeyError):
        return None


def _newest(history: History) -> Columns:
    commit = history.newest()
    return Columns() if commit is None else _columns([commit])


def _last(history: History, count: int) -> Columns:
    newest = history.newest()
    return Columns() if newest is None else _columns(history.last(count, newest.iteration))


def _columns(commits: Sequence[Commit]) -> Columns:
    """Of a few commits, the newest of which says which scalars there are."""
    newest = commits[-1]
    return Columns(
        iterations=[commit.iteration for commit in commits],
        epochs=[commit.epoch for commit in commits],
        committed=[commit.committed.timestamp() for commit in commits],
        scalars={n: [c.scalars.get(n, math.nan) for c in commits] for n in newest.scalars},
        seconds={n: [_seconds(c).get(n, math.nan) for c in commits] for n in _seconds(newest)},
        usage={n: [c.usage.get(n, 0.0) for c in commits] for n in newest.usage},
        spent=dict(newest.spent or {}),
    )


def _seconds(commit: Commit) -> Mapping[str, float]:
    """What its steps took; nothing of what is another run's."""
    return {} if commit.epoch == NO_DRIVER else commit.seconds


def left_by(view: View, driver: EpochRecord, end: EndRecord | None, successor: int) -> View:
    """A run as an earlier driver has left it; what was done since is in it, too.

    Args:
        end: how it ended; None: it did not say, and is gone.
        successor: the driver that has the run now; 0: none has.
    """
    return replace(
        view,
        status=RunStatus.GONE if end is None else OF_REASON[end.reason],
        settings=driver.settings,
        driver=driver,
        end=end,
        hold=None,
        live=None,
        successor=successor,
    )


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

"""A run's remote jobs, in a log that is only added to.

A line each: the intent to submit, the id it got, that it is being cancelled, how it ended, whether
its results were good, what it took. Each is on disk before the next thing happens to the job; lines of
several jobs that come while the disk is busy are written together.
"""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from threading import Lock

from qcsc_loop.concurrency.uncancelled import run_uncancelled
from qcsc_loop.events import Event
from qcsc_loop.jobs.carried import CARRY_BYTES, add_lines, carried, read_log, records_of
from qcsc_loop.jobs.entries import Intent, JobRecord, Line
from qcsc_loop.jobs.key import JobKey, Work
from qcsc_loop.jobs.site import JobSite, PlacedJob
from qcsc_loop.store.checksum import add_checksum
from qcsc_loop.store.memory import MemoryStore
from qcsc_loop.store.store import Store

LOG = "jobs.jsonl"
ELSEWHERE = "elsewhere"  # a run's document: drivers on other disks have worked at it
KEPT_ITERATIONS = 4
TIMES = 4  # its own length, after which another line that says all before it is worth while


def job_records(store: Store, run_id: str) -> list[JobRecord]:
    """A run's jobs, in the order of their submission. Reading needs no lease."""
    return list(records_of(store.lines(f"{run_id}/{LOG}")).values())


class JobsReader:
    """Reads one run's jobs again and again; what was read before is not parsed anew."""

    def __init__(self, store: Store, run_id: str) -> None:
        self._store, self._run_id = store, run_id
        self._seen, self._records = 0, dict[JobKey, JobRecord]()

    def read(self) -> list[JobRecord]:
        """They, in the order of their submission."""
        lines = self._store.lines(f"{self._run_id}/{LOG}")
        if len(lines) < self._seen:  # another log by now
            self._seen, self._records = 0, {}
        add_lines(self._records, lines[self._seen :])
        self._seen = len(lines)
        return list(self._records.values())

    def unfinished(self) -> list[JobRecord]:
        """Those that may be alive; of the others nothing is read but that they ended."""
        lines = self._store.lines(f"{self._run_id}/{LOG}")
        ended = {_key_of(line) for line in lines if b'"kind":"finished"' in line}
        records: dict[JobKey, JobRecord] = {}
        add_lines(records, (line for line in lines if _key_of(line) not in ended))
        return [record for record in records.values() if not record.over]


def _key_of(line: bytes) -> bytes:
    """A line's beginning, which is the same in all lines of a job."""
    return line.partition(b'},"epoch":')[0]


@dataclass
class _Waiting:
    """A line on its way, and what became of it."""

    line: Line
    record: JobRecord | None = None
    error: BaseException | None = None


@dataclass
class Ledger:
    """The one writer's view of a run's jobs.

    Attributes:
        run_uid: goes into every key.
        check: raises LeaseLost where this driver may not write any more.
        leave_jobs: whether a driver that is told to go leaves its jobs to the next one.
        complete: it knows all jobs that the run may have.
        loaded: when that was read, by the monotonic clock.
        endings: what a site wants done when the run ends, by a name of its own.
        measure: asks for what accounting knows of a finished job; None: nobody asks.
    """

    run_id: str
    run_uid: str
    store: Store
    epoch: int = 1
    check: Callable[[], None] = lambda: None
    observe: Callable[[Event], None] = lambda _event: None
    leave_jobs: Callable[[], bool] = lambda: False
    measure: Callable[[JobSite, PlacedJob], None] | None = None
    endings: dict[str, Callable[[], Awaitable[None]]] = field(
        default_factory=dict[str, Callable[[], Awaitable[None]]]
    )
    _records: dict[JobKey, JobRecord] = field(default_factory=dict[JobKey, JobRecord])
    _newest: dict[Work, JobKey] = field(default_factory=dict[Work, JobKey])
    _forgotten: Counter[str] = field(default_factory=Counter[str])
    _waiting: list[_Waiting] = field(default_factory=list[_Waiting])
    _one_at_a_time: Lock = field(default_factory=Lock)
    complete: bool = True
    loaded: float = 0.0
    _since: int = 0  # the first iteration of which all jobs are among the records
    _end: int = 0  # the byte of the log at which the next line will stand, if nobody else writes
    _uncarried: int = 0  # bytes of the log since what it says was last written into it
    _worth: int = CARRY_BYTES  # so many of them are worth that
    _whole: bool = True

    def load(self, first: int = 0) -> None:
        """Reads what earlier drivers wrote. Blocks.

        Args:
            first: the first iteration whose jobs will be asked for; what that costs does not grow
                with the run.
        """
        found = read_log(self.store, self._log, first)
        self._keep(found.records)
        self._forgotten = found.costs
        self._since, self._end, self._whole = found.since, found.end, found.whole
        self._uncarried, self.loaded = found.read, time.monotonic()
        # a run that came from somewhere else may have jobs that this log does not know
        elsewhere = ELSEWHERE in self.store.names(self.run_id)
        self.complete = found.whole and not elsewhere and (self.epoch == 1 or found.end > 0)

    @property
    def _log(self) -> str:
        return f"{self.run_id}/{LOG}"

    @classmethod
    def standalone(cls) -> Ledger:
        """For a hook that is called outside a loop."""
        return cls("standalone", secrets.token_hex(8), MemoryStore())

    def latest(self, key: JobKey) -> JobRecord | None:
        """The newest attempt at the key's work."""
        newest = self._newest.get(key.work)
        return None if newest is None else self._records[newest]

    def of(self, iteration: int, step: str, label: str) -> list[JobRecord]:
        """The jobs of one step, oldest first."""
        wanted = iteration, step, label
        known = self._records.values()
        return [r for r in known if (r.key.iteration, r.key.step, r.key.label) == wanted]

    def recent(self) -> list[JobRecord]:
        """The jobs of the last iterations, and all that may be alive."""
        return list(self._records.values())

    def holding(self) -> list[JobRecord]:
        """Jobs for which something was opened that is not released yet."""
        return [record for record in self._records.values() if record.holding]

    def unfinished(self) -> list[JobRecord]:
        """Jobs that may be alive."""
        return [record for record in self._records.values() if not record.over]

    @property
    def waiting(self) -> int:
        """Lines that are to be written once the disk is free."""
        return len(self._waiting)

    async def write(self, line: Line) -> JobRecord:
        """Adds a line; durable when it returns, and not torn by a cancellation."""
        record: JobRecord = await run_uncancelled(self._write, line)
        return record

    def write_blocking(self, line: Line) -> JobRecord:
        """As `write`, for a thread."""
        return self._write(line)

    def _write(self, line: Line) -> JobRecord:
        own = _Waiting(line)
        self._waiting.append(own)
        with self._one_at_a_time:
            if own.record is None and own.error is None:  # nobody has taken it along
                self._write_all()
        if own.record is None:
            assert own.error is not None
            raise own.error
        return own.record

    def _write_all(self) -> None:
        """Writes what waits; where that fails, any of it may be on the disk."""
        taken = self._waiting[:]
        del self._waiting[: len(taken)]  # more may have come meanwhile
        try:
            self.check()
            if begun := [
                each.line.key.iteration for each in taken if isinstance(each.line, Intent)
            ]:
                self._forget(max(begun) - KEPT_ITERATIONS)
            self._append([add_checksum(each.line.model_dump_json().encode()) for each in taken])
            for each in taken:
                each.record = self._noted(each.line)
        except BaseException as error:
            for each in taken:
                if each.record is None:
                    each.error = error

    def _noted(self, line: Line) -> JobRecord:
        if isinstance(line, Intent):
            record = JobRecord(line)
            self._note_newest(line.key)
        else:
            record = self._records[line.key].after(line)
        self._records[line.key] = record
        return record

    def _keep(self, records: dict[JobKey, JobRecord]) -> None:
        self._records, self._newest = records, {}
        for key in records:
            self._note_newest(key)

    def _note_newest(self, key: JobKey) -> None:
        known = self._newest.get(key.work)
        if known is None or known.attempt <= key.attempt:
            self._newest[key.work] = key

    def _append(self, lines: list[bytes]) -> None:
        self.store.append(self._log, lines)
        written = sum(len(line) + 1 for line in lines)
        self._end += written
        self._uncarried += written

    def _forget(self, before: int) -> None:
        """Leaves those that a hook may ask for, that may be alive or foretell costs.

        What is left is written into the log once that has grown, so that no driver needs to read all.
        """
        if before > self._since:  # not for each of an iteration's many jobs
            self._forget_all(before)
            self._since = before
        if self._uncarried >= self._worth:
            known, costs, since = self._records.values(), self._forgotten, self._since
            line = carried(known, costs, at=self._end, since=since, whole=self._whole)
            self._append([line])
            self._uncarried, self._worth = 0, max(CARRY_BYTES, TIMES * len(line))

    def _forget_all(self, before: int) -> None:
        recent: dict[JobKey, JobRecord] = {}
        for key, record in self._records.items():
            # iteration 0: what belongs to the run as a whole
            if key.iteration >= before or not key.iteration or not record.over or record.holding:
                recent[key] = record
            else:
                self._forgotten.update(record.metrics.costs)
        self._keep(recent)

    def costs(self, iteration: int | None = None) -> Counter[str]:
        """What jobs have cost, by name: all of them, or those of one iteration."""
        if iteration is None:
            return self._costs(self._forgotten, lambda _record: True)
        return self._costs({}, lambda record: record.key.iteration == iteration)

    def costs_to_be_used(self, iteration: int) -> Counter[str]:
        """What those of one iteration's jobs have cost that need not be done again."""
        return self._costs(
            {}, lambda record: record.key.iteration == iteration and not record.spoilt
        )

    def _costs(
        self, before: Mapping[str, float], counts: Callable[[JobRecord], bool]
    ) -> Counter[str]:
        total = Counter[str]()
        total.update(before)
        for record in list(self._records.values()):
            if counts(record):
                total.update(record.metrics.costs)
        return total

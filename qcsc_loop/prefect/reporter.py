"""What people see of a run beside its flow run: a report and a table of its jobs, kept up to date."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from uuid import UUID

from anyio import to_thread
from prefect.client.orchestration import PrefectClient

from qcsc_loop.errors import QcscLoopError
from qcsc_loop.events import Event
from qcsc_loop.jobs.entries import JobRecord
from qcsc_loop.jobs.events import JobChanged, JobMeasured
from qcsc_loop.loop.events import IterationCommitted, RunStopped
from qcsc_loop.prefect.artifacts import RunArtifacts
from qcsc_loop.reports.job import job_row
from qcsc_loop.reports.markdown import markdown
from qcsc_loop.reports.view import RunReader, View, left_by
from qcsc_loop.store.directory import DirectoryStore, behind_commands
from qcsc_loop.store.journal import Journal
from qcsc_loop.store.records import EndRecord, EpochRecord

EVERY_SECONDS = 15.0
AGAIN_SECONDS = 0.5  # after a server did not take the last one
JOBS = 200  # rows of the table, the last ones; the run's ledger has them all
_FIRST = ("iteration", "step", "key", "job id", "state", "exit code", "reason")

Row = dict[str, object]


@dataclass(frozen=True)
class _Shown:
    """What is to stand on the server."""

    message: str
    report: str
    rows: list[Row]
    jobs: int


class Reporter:
    """Of one driver; what it shows is read from the disk, where it is true.

    A run that is kept in memory has no report.
    """

    def __init__(self, artifacts: RunArtifacts, journal: Journal) -> None:
        store = journal.store
        self._artifacts = artifacts
        self._reader = (
            RunReader(store, journal.run_id) if isinstance(store, DirectoryStore) else None
        )
        self._more = behind_commands(store) or ""
        self._report: UUID | None = None
        self._jobs: UUID | None = None
        self._rows: dict[str, tuple[JobRecord, Row]] = {}
        self._changes, self._shown = 0, 0
        self._committed, self._ended = False, False
        self._next = -math.inf

    def observe(self, event: Event) -> None:
        """An observer of the run."""
        match event:
            case IterationCommitted():
                self._committed = True
            case JobChanged(remote=True) | JobMeasured():
                pass
            case RunStopped():
                self._ended, self._next = True, -math.inf
            case _:
                return
        self._changes += 1

    @property
    def is_behind(self) -> bool:
        """Whether something has happened that the server does not show."""
        begun = self._committed or self._ended
        return self._reader is not None and begun and self._shown < self._changes

    @property
    def due_in(self) -> float:
        """Seconds until it is to show what has happened; infinity where nothing has."""
        if not self.is_behind:
            return math.inf
        return max(0.0, self._next - time.monotonic())

    async def show(self) -> None:
        """Shows the run as it stands now.

        Raises:
            httpx.HTTPError, PrefectHTTPStatusError: the server does not take it.
        """
        wait = AGAIN_SECONDS if self._ended else EVERY_SECONDS
        self._next = time.monotonic() + wait  # also after a failure
        seen = self._changes
        await self._show_view(_as_it_is)
        self._shown = seen

    async def show_for_good(self, seen_as: Callable[[View], View]) -> None:
        """The last report of a driver that is gone, for what its flow run has of it.

        Raises:
            httpx.HTTPError, PrefectHTTPStatusError: the server does not take it.
        """
        self._report, self._jobs = await self._artifacts.shown()
        await self._show_view(seen_as)

    async def _show_view(self, seen_as: Callable[[View], View]) -> None:
        read = to_thread.run_sync(self._read, seen_as, abandon_on_cancel=True)  # a disk may hang
        if (shown := await read) is None:
            return
        page = shown.message, shown.report
        self._report = await self._artifacts.show_report(*page, self._report)
        if shown.jobs:
            self._jobs = await self._artifacts.show_jobs(shown.rows, shown.jobs, self._jobs)

    def _read(self, seen_as: Callable[[View], View]) -> _Shown | None:
        """None where the disk does not say: the loop will hear of that."""
        if self._reader is None:
            return None
        try:
            view = seen_as(self._reader.look())
        except (QcscLoopError, OSError):
            return None
        rows = [self._row(job) for job in reversed(view.jobs[-JOBS:])]
        page = view.told(self._more), markdown(view, self._more)
        return _Shown(*page, _even(rows), len(view.jobs))

    def _row(self, job: JobRecord) -> Row:
        before, row = self._rows.get(str(job.key), (None, None))
        if before != job or row is None:
            row = job_row(job)
            self._rows[str(job.key)] = job, row
        return row


async def show_what_is_left(
    client: PrefectClient,
    journal: Journal,
    flow_run: UUID,
    driver: EpochRecord,
    end: EndRecord | None = None,
    successor: int = 0,
) -> None:
    """Shows the run as a driver that is gone has left it, in that one's flow run.

    Args:
        end: how it ended; None: it did not say.
        successor: the driver that has the run now; 0: none has.

    Raises:
        httpx.HTTPError, PrefectHTTPStatusError: the server does not take it.
    """
    reporter = Reporter(RunArtifacts(client, journal.run_id, flow_run), journal)
    left = partial(left_by, driver=driver, end=end, successor=successor)
    await reporter.show_for_good(left)


def _as_it_is(view: View) -> View:
    return view


def _even(rows: list[Row]) -> list[Row]:
    """Rows with the same columns: a page shows those of the first."""
    names = dict.fromkeys([*_FIRST, *(name for row in rows for name in row)])
    known = [name for name in names if any(name in row for row in rows)]
    return [{name: _plain(row.get(name, "")) for name in known} for row in rows]


def _plain(value: object) -> object:
    """JSON has no NaN."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value

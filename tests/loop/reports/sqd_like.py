"""A run as SQD leaves it, without SQD: a look at it while it runs, always the same."""

from __future__ import annotations

import math
import random
from datetime import UTC, datetime, timedelta
from typing import Any

from qcsc_loop.reports.columns import Columns
from qcsc_loop.reports.looking import Look
from qcsc_loop.reports.status import RunStatus
from qcsc_loop.reports.view import View
from qcsc_loop.rules.reason import Reason
from qcsc_loop.rules.stop import Converged, MaxIterations, Shots
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.journal import Journal
from qcsc_loop.store.live import ChartRecord, LiveJob, LiveParts, LiveRecord, SideFiles
from qcsc_loop.store.records import Commit, EndRecord, EpochRecord, Holder, RunRecord, Settings

BEGAN = datetime(2026, 3, 1, 2, 13, tzinfo=UTC)
NOW = 1000.0  # by the monotonic clock
CHART = ChartRecord(
    headline="energy",
    better="lower",
    unit="hartree",
    beside=("current",),
    references={"FCI": -76.1210871},
)


def history(iterations: int = 110) -> Columns:
    """So many committed iterations of two seconds each."""
    chance = random.Random(7)
    energy, current, spread = [], [], []
    best = -76.0982
    for k in range(iterations):
        now = -76.1012 + chance.gauss(0, 0.0013) + 0.003 * math.exp(-k / 9)
        best = min(best, now)
        energy.append(best)
        current.append(now)
        spread.append(abs(chance.gauss(0.0012, 0.0005)))
    still = {"strings": 40.0, "dimension": 1600.0, "carried": 19.0, "valid": 1.0}
    return Columns(
        iterations=list(range(iterations)),
        epochs=[1] * (iterations // 2) + [2] * (iterations - iterations // 2),
        committed=[BEGAN.timestamp() + 2.0 * k for k in range(iterations)],
        scalars={
            "energy": energy,
            "current": current,
            "spread": spread,
            "error": [math.nan] * iterations,
            **{name: [value] * iterations for name, value in still.items()},
        },
        seconds={
            "sample": [1.31] * iterations,
            "evaluate": [0.56] * iterations,
            "update": [0.024] * iterations,
            "converged": [0.0001] * iterations,
        },
        usage={"shots": [8000.0] * iterations},
        spent={"shots": 8000.0 * iterations},
    )


def settings() -> Settings:
    rule: Any = Converged() | MaxIterations(2000) | Shots(20_000_000)
    return Settings(algorithm="qcsc_algorithms.sqd:SQD", stop=rule)


def live(**changes: object) -> LiveRecord:
    at = BEGAN + timedelta(seconds=221)
    jobs = (
        LiveJob(
            key="a",
            what="walker-0/solve",
            site="Slurm",
            job_id="48213",
            state="RUNNING",
            since=at - timedelta(seconds=38),
            submitted=at - timedelta(seconds=60),
            nodes=2,
        ),
        LiveJob(
            key="b",
            what="walker-3/solve",
            site="Slurm",
            job_id="48214",
            state="PENDING",
            reason="Priority",
            since=at - timedelta(seconds=185),
            submitted=at - timedelta(seconds=185),
        ),
    )
    record = LiveRecord(
        epoch=2,
        iteration=110,
        phase="evaluate",
        since=at - timedelta(seconds=0.4),
        jobs=jobs,
        parts=(LiveParts(done=7, total=12),),
        at=at,
    )
    return record.model_copy(update=changes)


def driver() -> EpochRecord:
    holder = Holder(host="vm", pid=22037, pid_started=0.0)
    return EpochRecord(epoch=2, holder=holder, since=BEGAN, lease_seconds=30, settings=settings())


def view(iterations: int = 110, **changes: object) -> View:
    """The run, while it runs."""
    given: dict[str, object] = {
        "run_id": "sqd-long",
        "folder": "/runs/sqd-long",
        "status": RunStatus.RUNNING,
        "record": RunRecord(run_id="sqd-long", seed=0, settings=settings()),
        "settings": settings(),
        "driver": driver(),
        "live": live(),
        "seen": 0.0,
        "chart": CHART,
        "history": history(iterations),
        "drivers": 2,
    }
    return View(**{**given, **changes})  # type: ignore[arg-type]


def look(iterations: int = 110, silent: float = math.nan, **changes: object) -> Look:
    """A look at it, at `NOW`."""
    return Look(view(iterations, **changes), NOW, silent)


class Actor:
    """A driver that acts: it holds the run, and leaves what one leaves."""

    def __init__(
        self, store: DirectoryStore, run_id: str = "sqd-long", iterations: int = 110
    ) -> None:
        self.journal, self._files = Journal(store, run_id), SideFiles(store, run_id)
        self.journal.create(RunRecord(run_id=run_id, seed=0, settings=settings()))
        self._lease = self.journal.claim(settings(), {}, 30.0)
        self._columns, self._count = history(10 * iterations), 0
        self._files.write_chart(CHART)
        self.commit(iterations)
        self.act()

    def commit(self, count: int = 1) -> None:
        """Commits so many iterations."""
        first, self._count = self._count, self._count + count
        self.journal.add_history([self._commit(k) for k in range(first, self._count)])

    def _commit(self, k: int) -> Commit:
        columns = self._columns
        return Commit(
            iteration=k,
            epoch=self._lease.epoch,
            scalars={name: values[k] for name, values in columns.scalars.items()},
            seconds={name: values[k] for name, values in columns.seconds.items()},
            usage={"shots": 8000.0},
            spent={"shots": 8000.0 * (k + 1)},
            state_sha256="0" * 64,
            committed=BEGAN + timedelta(seconds=2 * k),
        )

    def act(self, **changes: object) -> None:
        """Says what it is doing."""
        at = datetime.now(UTC)
        before = live()
        jobs = [
            job.model_copy(update={"since": at - (before.at - job.since)}) for job in before.jobs
        ]
        given = {"epoch": self._lease.epoch, "at": at, "since": at, "jobs": tuple(jobs), **changes}
        self._files.write_live(live(iteration=self._count, **given))

    def end(self, reason: Reason = Reason.CONVERGED) -> None:
        """Gives the run back."""
        self._lease.release(
            EndRecord(epoch=self._lease.epoch, reason=reason, iteration=self._count - 1)
        )

    def vanish(self) -> None:
        """Gives it back without a word."""
        self._lease.release(None)

"""Runs on disk that nobody drove: as long, as odd and as broken as a test asks for."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import BaseModel

from qcsc_loop.jobs.entries import Finished, Intent, Submitted
from qcsc_loop.jobs.key import JobKey
from qcsc_loop.jobs.outcome import JobMetrics, JobOutcome, JobState
from qcsc_loop.plain import Json
from qcsc_loop.rules.reason import Reason
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.journal import Journal
from qcsc_loop.store.live import ChartRecord, SideFiles
from qcsc_loop.store.records import (
    Commit,
    EndRecord,
    EpochRecord,
    ForkedFrom,
    Holder,
    RunRecord,
    Settings,
)

BEGUN = datetime(2026, 11, 29, 9, 2, tzinfo=UTC)
REFERENCES = {"MP2": -76.1117, "CCSD": -76.1184, "FCI": -76.1199}
ENERGY = ChartRecord(
    headline="energy",
    better="lower",
    unit="hartree",
    beside=("current",),
    error="error",
    references=REFERENCES,
)


def energies(iterations: int) -> dict[str, list[float]]:
    """Scalars of a run that converges."""
    current = [-76.1 + 0.3 * math.exp(-k) + 2e-3 * math.sin(k * k) for k in range(iterations)]
    energy = [min(current[: k + 1][-200:]) for k in range(iterations)]
    return {"energy": energy, "current": current, "error": [1e-3] * iterations}


class StoredRun:
    """A run in a store, made file by file."""

    def __init__(
        self,
        root: Path,
        run_id: str = "water",
        *,
        parameters: Json | None = None,
        stop: Json | None = None,
        forked_from: ForkedFrom | None = None,
    ) -> None:
        self.store, self.run_id = DirectoryStore(root), run_id
        self.journal = Journal(self.store, run_id)
        self.settings = Settings(
            algorithm="package.module:Water",
            parameters=parameters or {},
            resolved=parameters or {},
            stop=stop or {"type": "max-iterations", "iterations": 2000},
        )
        provenance = {"host": "node01", "python": "3.11", "versions": {"qcsc-loop": "0.1.0"}}
        record = RunRecord(
            run_id=run_id,
            seed=7,
            settings=self.settings,
            created=BEGUN,
            provenance=provenance,
            forked_from=forked_from,
        )
        assert self.journal.create(record)

    def driver(
        self, epoch: int = 1, reason: Reason | None = Reason.INTERRUPTED, **end: object
    ) -> StoredRun:
        """A driver that ended so; None: without a word."""
        record = EpochRecord(
            epoch=epoch,
            holder=Holder(host="node01", pid=2**22 + epoch, pid_started=0.0),
            since=BEGUN + timedelta(hours=epoch - 1),
            lease_seconds=60,
            settings=self.settings,
        )
        facts = {"iteration": 0, "ended": BEGUN + timedelta(hours=epoch)} | end
        ended = (
            None
            if reason is None
            else EndRecord.model_validate({"epoch": epoch, "reason": reason} | facts)
        )
        self.journal.adopt_driver(record, ended)
        return self

    def history(
        self,
        scalars: Mapping[str, Sequence[float]],
        *,
        resumed: int = 0,
        chart: ChartRecord | None = ENERGY,
    ) -> StoredRun:
        """As many iterations as there are values, from 1 on.

        Args:
            resumed: the iteration at which a second driver went on; 0: none did.
        """
        count = max(map(len, scalars.values()), default=0)
        commits = [
            Commit(
                iteration=k + 1,
                epoch=2 if resumed and k + 1 >= resumed else 1,
                scalars={name: values[k] for name, values in scalars.items()},
                seconds={"sample": 1.0 + k % 3, "evaluate": 0.5, "update": 0.01},
                usage={"shots": 1000.0},
                spent={"shots": 1000.0 * (k + 1)},
                state_sha256="0" * 64,
                committed=BEGUN + timedelta(seconds=3 * k),
            )
            for k in range(count)
        ]
        self.journal.add_history(commits)
        if chart is not None:
            SideFiles(self.store, self.run_id).write_chart(chart)
        return self

    def job(
        self,
        iteration: int,
        state: JobState | None = JobState.COMPLETED,
        *,
        name: str = "solve",
        reason: str = "",
        tail: str = "",
        queue_seconds: float = 2.0,
        site: str = "slurm",
    ) -> StoredRun:
        """A job that ended so; None: that runs."""
        key = JobKey(
            run_id=self.run_id, run_uid="u", iteration=iteration, step="evaluate", name=name
        )
        begun = BEGUN + timedelta(seconds=3 * iteration)
        started = begun + timedelta(seconds=queue_seconds)
        metrics = JobMetrics(
            submitted=begun, started=started, ended=started + timedelta(seconds=4), nodes=2
        )
        intent = Intent(key=key, epoch=1, site={"type": site}, folder="/x", input_sha256="0")
        lines: list[BaseModel] = [
            intent,
            Submitted(key=key, epoch=1, job_id=f"{48000 + iteration}"),
        ]
        if state is not None:
            outcome = JobOutcome(
                state=state, exit_code=1, reason=reason, tail=tail, metrics=metrics
            )
            lines.append(Finished(key=key, epoch=1, outcome=outcome))
        self.store.append(
            f"{self.run_id}/jobs.jsonl", [line.model_dump_json().encode() for line in lines]
        )
        return self

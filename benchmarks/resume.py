"""Whether a resume costs what the first did, however long the run and its history have become."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import anyio
import psutil

from benchmarks.figures import MB, Figure, at_most, medians, seconds, show
from benchmarks.idle import Idle
from qcsc_loop import DirectoryStore, MaxIterations, Reason
from qcsc_loop.jobs.entries import Collected, Finished, Intent, Submitted
from qcsc_loop.jobs.key import JobKey
from qcsc_loop.jobs.ledger import Ledger
from qcsc_loop.jobs.outcome import JobMetrics, JobOutcome, JobState
from qcsc_loop.store.heartbeat import Heartbeat
from qcsc_loop.store.journal import Journal, Lease
from qcsc_loop.store.records import EndRecord
from qcsc_loop.values.document import Document
from qcsc_loop.values.encodings import to_json

SHORT, LONG, FEW, MANY = 300, 300_000, 3, 10_000
REPEATS, CHECKS = 9, 200
RUN = "idle"


def make_run(folder: str, iterations: int, epochs: int) -> None:
    """A run that has been through so many iterations and drivers, without going through them."""
    anyio.run(lambda: Idle().run(store=DirectoryStore(folder), run_id=RUN, stop=MaxIterations(0)))
    journal = Journal(DirectoryStore(folder), RUN)
    first, state = journal.checkpoint(journal.checkpoints()[0])
    commits = [
        first.model_copy(update={"iteration": k, "epoch": 1 + (epochs - 1) * k // iterations})
        for k in range(1, iterations + 1)
    ]
    journal.add_history(commits)
    journal.add_checkpoint(commits[-1], state)
    place, epoch = Path(folder) / RUN / "epochs", journal.epoch(1)
    for number in range(2, epochs + 1):  # no syncing: ten thousand of these take minutes
        body = epoch.model_copy(update={"epoch": number}).model_dump_json().encode()
        (place / f"{number:04d}.json").write_bytes(to_json(Document(body), ""))
        (place / f"{number:04d}-end.json").touch()
        (place / f"{number:04d}.beat").touch()
    last = EndRecord(epoch=epochs, reason=Reason.MAX_ITERATIONS, iteration=iterations)
    written = to_json(Document(last.model_dump_json().encode()), "")
    (place / f"{epochs:04d}-end.json").write_bytes(written)


def add_jobs(folder: str, jobs: int) -> None:
    """As if each iteration had one, which is done; written as its drivers write it."""
    journal = Journal(DirectoryStore(folder), RUN)
    record = journal.record()
    ledger = Ledger(run_id=RUN, run_uid=record.uid, store=_Unsynced(folder))
    for number in range(1, jobs + 1):
        key = JobKey(run_id=RUN, run_uid=record.uid, iteration=number, step="evaluate", name="job")
        outcome = JobOutcome(state=JobState.COMPLETED, metrics=JobMetrics(qpu_seconds=0.5))
        for line in (
            Intent(key=key, epoch=1, site={"type": "none"}, folder="/f", input_sha256="0"),
            Submitted(key=key, epoch=1, job_id=str(number)),
            Finished(key=key, epoch=1, outcome=outcome),
            Collected(key=key, epoch=1),
        ):
            ledger.write_blocking(line)


class _Unsynced(DirectoryStore):
    """Syncing a million lines takes an hour."""

    def append(self, name: str, lines: Iterable[bytes]) -> None:
        with (self.root / name).open("ab") as log:
            log.writelines(line + b"\n" for line in lines)


def resume(folder: str, iteration: int) -> None:
    """Goes on with the run, and finds that it is at its end."""
    anyio.run(
        lambda: Idle().run(store=DirectoryStore(folder), run_id=RUN, stop=MaxIterations(iteration))
    )


def resident(folder: str, iteration: int) -> float:
    """MB that the process of a resume needs; called in a process of its own."""
    resume(folder, iteration)
    return psutil.Process().memory_info().rss / MB


def figures() -> list[Figure]:
    """A long run's resumes beside a short one's, and the checks of their leases."""
    with tempfile.TemporaryDirectory() as root:
        short, long, old = (str(Path(root) / name) for name in ("short", "long", "old"))
        make_run(short, SHORT, FEW)
        make_run(long, LONG, FEW)
        make_run(old, SHORT, MANY)
        add_jobs(short, SHORT)
        add_jobs(long, LONG)
        took = medians(
            REPEATS,
            {
                "short": lambda: 1e3 * seconds(lambda: resume(short, SHORT)),
                "long": lambda: 1e3 * seconds(lambda: resume(long, LONG)),
                "old": lambda: 1e3 * seconds(lambda: resume(old, SHORT)),
                "few": lambda: 1e6 * _check(short),
                "many": lambda: 1e6 * _check(old),
            },
        )
        memory = [_elsewhere(short, SHORT), _elsewhere(long, LONG)]
    return [
        _beside(
            f"resume at {LONG:,} iterations and jobs",
            took["long"],
            "ms",
            f"at {SHORT}",
            took["short"],
        ),
        _beside(
            f"memory at {LONG:,} iterations and jobs", memory[1], "MB", f"at {SHORT}", memory[0]
        ),
        _beside(f"resume after {MANY:,} drivers", took["old"], "ms", f"after {FEW}", took["short"]),
        _beside(f"lease check after {MANY:,}", took["many"], "us", f"after {FEW}", took["few"]),
    ]


def _check(folder: str) -> float:
    """Seconds of one check of a lease."""
    journal = Journal(DirectoryStore(folder), RUN)
    newest = journal.epoch(journal.newest_epoch())
    lease = Lease(journal, newest, Heartbeat(journal.store, f"{RUN}/epochs/x.beat", 60))

    def check() -> None:
        for _ in range(CHECKS):
            lease.check()

    return seconds(check) / CHECKS


def _elsewhere(folder: str, iteration: int) -> float:
    call = f"from benchmarks.resume import resident; print(resident({folder!r}, {iteration}))"
    done = subprocess.run([sys.executable, "-c", call], capture_output=True, text=True, check=True)
    return float(done.stdout)


def _beside(what: str, value: float, unit: str, beside: str, floor: float) -> Figure:
    return Figure(what, value, unit, beside, floor, at_most(1.5, value / floor, " x"))


if __name__ == "__main__":
    show("Resumes of runs with a past", figures())

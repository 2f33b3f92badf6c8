"""`list` and `show`: what a store knows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich.text import Text

from qcsc_loop.errors import DamagedDocument, NewerDocument, QcscLoopError
from qcsc_loop.jobs.entries import JobRecord
from qcsc_loop.jobs.ledger import job_records
from qcsc_loop.jobs.site import site_from
from qcsc_loop.loop.outcome import json_scalars
from qcsc_loop.parameters.environment import environment
from qcsc_loop.plain import Json
from qcsc_loop.printing import printable, say, say_json
from qcsc_loop.reports.placement_cost import placement_cost
from qcsc_loop.reports.run import curve, headline, number, phases, scalars_line
from qcsc_loop.reports.tables import PlainConsole, plain_table, wide_console
from qcsc_loop.reports.view import driver_ends
from qcsc_loop.rules.reason import stop_message
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.journal import Journal, journals
from qcsc_loop.store.records import Commit

LAST = 10


def list_runs(*, store: Path | None, as_json: bool) -> None:
    """Prints the runs of a store, newest last."""
    found = DirectoryStore(store or environment().store)
    rows = sorted((_row(journal) for journal in journals(found)), key=lambda row: row["created"])
    if as_json:
        say_json(rows)
        return
    if not rows:
        say(f"no runs in {found.place}; start one with: qcsc-loop run bitcount")
        return
    columns = ("run", "algorithm", "status", "iteration", "scalars", "created")
    table = plain_table(*columns, left={"run", "algorithm", "status", "scalars", "created"})
    for row in rows:
        scalars = scalars_line({k: float(v) for k, v in row["scalars"].items()})
        created = row["created"][:19].replace("T", " ")
        table.add_row(
            row["run_id"], row["algorithm"], row["status"], str(row["iteration"]), scalars, created
        )
    wide_console().print(table)


def _row(journal: Journal) -> Json:
    try:
        record = journal.record()
        last = journal.commits.newest()
        return {
            "run_id": journal.run_id,
            "algorithm": record.settings.algorithm.rpartition(":")[2],
            "status": run_status(journal) + (" (damaged, resumable)" if journal.assumed() else ""),
            "iteration": last.iteration if last else 0,
            "scalars": json_scalars(last.scalars) if last else {},
            "created": record.created.isoformat(),
        }
    except QcscLoopError as error:
        how = "newer" if isinstance(error, NewerDocument) else "damaged"
        return {
            "run_id": journal.run_id,
            "algorithm": "?",
            "status": f"{how}: {error}",
            "iteration": 0,
            "scalars": {},
            "created": "",
        }


def run_status(journal: Journal) -> str:
    """'running', 'crashed', 'new', or why the last driver stopped."""
    epoch = journal.newest_epoch()
    if not epoch:
        return "new"
    end = journal.end(epoch)
    if end is not None:
        return str(end.reason)
    try:
        return "crashed" if journal.hold(journal.epoch(epoch)).is_free else "running"
    except DamagedDocument:  # whoever it was
        return "crashed"


def open_run(run_id: str, store: Path | None) -> Journal:
    """A run's journal.

    Raises:
        RunNotFound: there is no such run.
    """
    journal = Journal(DirectoryStore(store or environment().store), run_id)
    journal.record()
    return journal


def show_run(journal: Journal, *, as_json: bool) -> None:
    """Prints one run."""
    if as_json:
        say_json(_facts(journal))
    else:
        _print(journal, wide_console())


def _facts(journal: Journal) -> Json:
    jobs = job_records(journal.store, journal.run_id)
    return {
        **_row(journal),
        "record": _plain(journal.record()),
        "settings": _plain(journal.settings()),
        "drivers": [
            {**_plain(epoch), "end": _plain(journal.end(epoch.epoch)), "how": how}
            for epoch, how in driver_ends(journal)
        ],
        "history": [_plain(commit) for commit in journal.history()],
        "jobs": [_job_facts(job) for job in jobs],
        "placement": cost.facts() if (cost := placement_cost(jobs)) else None,
    }


def _job_facts(job: JobRecord) -> Json:
    return {
        **_plain(job.key),
        "job_id": job.job_id,
        "state": job.state,
        "fault": job.fault,
        "unread": job.unread,
        "site": job.intent.site,
        "folder": str(job.folder),
        "outcome": _plain(job.outcome),
        "metrics": _plain(job.metrics),
    }


def _plain(record: Any) -> Any:
    return None if record is None else json.loads(record.model_dump_json())


def _print(journal: Journal, console: PlainConsole) -> None:
    record, settings, history = journal.record(), journal.settings(), journal.history()
    facts = {
        "run": journal.run_id,
        "algorithm": settings.algorithm,
        "status": _status_line(journal),
        "seed": record.seed,
        "created": f"{record.created.astimezone():%Y-%m-%d %H:%M:%S}",
        "stop": json.dumps(settings.stop),
        "parameters": json.dumps(settings.parameters),
        "folder": f"{journal.store.place}/{journal.run_id}",
    }
    if assumed := journal.assumed():
        facts["damaged"] = assumed
    for name, value in facts.items():
        console.say_fact(name, str(value))
    _print_drivers(journal, console)
    _print_history(history, console)
    jobs = job_records(journal.store, journal.run_id)
    _print_jobs(jobs, console)
    if (cost := placement_cost(jobs)) is not None:
        console.print()
        console.say(cost.words(), style="dim")
    end = journal.end(journal.newest_epoch()) if journal.newest_epoch() else None
    if end is not None and end.error:
        console.print()
        console.say(end.error)
    if end is not None and end.traceback:
        console.print()
        console.say(end.traceback)


def _status_line(journal: Journal) -> str:
    end = journal.end(journal.newest_epoch()) if journal.newest_epoch() else None
    if end is None:
        now = run_status(journal)
        return f"{now}; to go on: qcsc-loop resume {journal.run_id}" if now == "crashed" else now
    return stop_message(end.reason, end.iteration, end.because)


def _print_drivers(journal: Journal, console: PlainConsole) -> None:
    for epoch, how in driver_ends(journal):
        who = f"process {epoch.holder.pid} on {epoch.holder.host}"
        since = f"{epoch.since.astimezone():%Y-%m-%d %H:%M:%S}"
        console.say_fact("driver", f"{epoch.epoch}: {who} since {since}, {how}")


def _print_jobs(jobs: list[JobRecord], console: PlainConsole) -> None:
    """The last jobs that were somebody's queue's, and all that may be alive."""
    remote = [job for job in jobs if _is_remote(job)]
    shown = [job for job in remote[:-LAST] if not job.over] + remote[-LAST:]
    if not shown:
        return
    table = plain_table(
        "job", "id", "state", "queue (s)", "run (s)", "nodes", left={"job", "id", "state"}
    )
    for job in shown:
        times = (job.metrics.queue_seconds, job.metrics.run_seconds)
        seconds = ["" if time is None else f"{max(0.0, time):.1f}" for time in times]
        nodes = "" if job.metrics.nodes is None else str(job.metrics.nodes)
        table.add_row(str(job.key), job.job_id or "", job.state, *seconds, nodes)
    console.print()
    console.print(table)


def _is_remote(job: JobRecord) -> bool:
    try:
        return site_from(job.intent.site).remote
    except QcscLoopError:  # of a distribution that is not here: it was no child of this driver
        return True


def _print_history(history: list[Commit], console: PlainConsole) -> None:
    if not history:
        return
    name, values = headline(history)
    names = list(history[-1].scalars)
    steps = phases(history[-LAST:])
    table = plain_table("iteration", *names, *(f"{step} (s)" for step in steps))
    for commit in history[-LAST:]:
        scalars = [number(commit.scalars[n]) if n in commit.scalars else "" for n in names]
        seconds = [f"{commit.seconds[s]:.3f}" if s in commit.seconds else "" for s in steps]
        table.add_row(str(commit.iteration), *scalars, *seconds)
    console.print()
    console.print(table)
    if console.has_blocks and (line := curve(values)):
        console.print(Text.assemble((printable(name), "dim"), " ", (line, "cyan")))

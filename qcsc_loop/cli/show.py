"""`show`: one run on a terminal or as JSON, and its log."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from qcsc_loop.cli.run_page import RunPage, Showing, log_line
from qcsc_loop.jobs.entries import JobRecord
from qcsc_loop.jobs.ledger import job_records
from qcsc_loop.parameters.environment import environment
from qcsc_loop.plain import Json
from qcsc_loop.printing import say, say_json
from qcsc_loop.reports.listing import facts_of
from qcsc_loop.reports.placement_cost import placement_cost
from qcsc_loop.reports.tables import wide_console
from qcsc_loop.reports.view import RunReader, driver_ends
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.journal import Journal
from qcsc_loop.store.live import as_facts

LAST_WARNINGS = 10


def open_run(run_id: str, store: Path | None) -> Journal:
    """A run's journal.

    Raises:
        RunNotFound: there is no such run.
    """
    journal = Journal(DirectoryStore(store or environment().store), run_id)
    journal.record()
    return journal


def show_run(run_id: str, asked: Showing) -> None:
    """Prints one run.

    Raises:
        RunNotFound: there is no such run.
        DamagedDocument, NewerDocument: it cannot be read.
    """
    journal = open_run(run_id, asked.store)
    store = DirectoryStore(asked.store or environment().store)
    reader = RunReader(store, run_id)
    if asked.as_json:
        say_json(_facts(journal, reader))
    else:
        RunPage(reader, asked, wide_console()).print()


def show_log(run_id: str, asked: Showing) -> None:
    """Prints what went wrong in one run, and what its hooks logged, oldest first.

    Raises:
        RunNotFound: there is no such run.
    """
    open_run(run_id, asked.store)
    lines = RunReader(DirectoryStore(asked.store or environment().store), run_id).log()
    if asked.as_json:
        say_json({"run_id": run_id, "log": [as_facts(line) for line in lines]})
        return
    console = wide_console()
    for line in lines:
        console.say(log_line(line), style="" if line.level == "info" else "yellow")
    if not lines:
        say(
            f"{run_id} has logged nothing: no hook called current_step().logger, nothing went wrong"
        )


def _facts(journal: Journal, reader: RunReader) -> Json:
    jobs = job_records(journal.store, journal.run_id)
    warnings = [line for line in reader.log() if line.level != "info"]
    return {
        **facts_of(reader.look()),
        "record": _plain(journal.record()),
        "settings": _plain(journal.settings()),
        "drivers": [
            {**_plain(epoch), "end": _plain(journal.end(epoch.epoch)), "how": how}
            for epoch, how in driver_ends(journal)
        ],
        "history": [_plain(commit) for commit in journal.history()],
        "jobs": [_job_facts(job) for job in jobs],
        "placement": cost.facts() if (cost := placement_cost(jobs)) else None,
        "warnings": [as_facts(line) for line in warnings[-LAST_WARNINGS:]],
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

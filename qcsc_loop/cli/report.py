"""`report`: a run as one HTML file."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from qcsc_loop.cli.plot import write_file
from qcsc_loop.errors import QcscLoopError
from qcsc_loop.parameters.environment import environment
from qcsc_loop.plain import Json
from qcsc_loop.printing import say
from qcsc_loop.reports.page import run_page
from qcsc_loop.reports.page_sections import Reported
from qcsc_loop.reports.view import RunReader, View
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.journal import Journal
from qcsc_loop.store.records import EndRecord, EpochRecord


def write_report(run_id: str, *, output: Path | None, store: Path | None) -> None:
    """Writes a run's page, whole; by default RUN.html here.

    Raises:
        RunNotFound: there is none of that id.
        InputError: the file cannot be written there.
    """
    reader = RunReader(DirectoryStore(store or environment().store), run_id)
    view = reader.look()
    run = Reported(
        view=view,
        at=datetime.now(UTC),
        drivers=_drivers(reader.journal),
        log=reader.log(),
        more=f" --store {shlex.quote(str(store))}" if store is not None else "",
        defaults=_defaults(view),
        state_sha256=_state_sha256(reader.journal),
    )
    target = output or Path(f"{run_id}.html")
    write_file(target, run_page(run))
    say(f"{target}: {run_id}, {view.message}")


def _drivers(journal: Journal) -> Sequence[tuple[EpochRecord, EndRecord | None]]:
    try:
        return [(epoch, journal.end(epoch.epoch)) for epoch in journal.epochs()]
    except QcscLoopError:  # a newer version's, or damaged: the page says so of the run
        return ()


def _state_sha256(journal: Journal) -> str:
    try:
        newest = journal.commits.newest()
    except QcscLoopError:
        return ""
    return newest.state_sha256 if newest is not None else ""


def _defaults(view: View) -> Json:
    """Of an installed algorithm's parameters; a file that somebody named is not run for it."""
    from qcsc_loop.catalog import find_algorithm, is_installed
    from qcsc_loop.parameters.compare import to_plain

    if view.settings is None or not is_installed(view.settings.algorithm):
        return {}
    try:
        found = to_plain(find_algorithm(view.settings.algorithm)())
    except Exception:  # it may have parameters that have to be given, and code that is not here
        return {}
    return found if isinstance(found, dict) else {}

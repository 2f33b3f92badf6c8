"""`report`: a run as one HTML file."""

from __future__ import annotations

from pathlib import Path

from qcsc_loop.cli.to_stdout import is_in_file
from qcsc_loop.notebook import reported
from qcsc_loop.parameters.environment import environment
from qcsc_loop.printing import say, store_option
from qcsc_loop.reports.page import run_page
from qcsc_loop.reports.view import RunReader
from qcsc_loop.store.directory import DirectoryStore


def write_report(run_id: str, *, output: Path | None, store: Path | None) -> None:
    """Writes a run's page, whole; by default RUN.html here, and to stdout where that is `-`.

    Raises:
        RunNotFound: there is none of that id.
        InputError: the file cannot be written there.
    """
    reader = RunReader(DirectoryStore(store or environment().store), run_id)
    more = store_option(store)
    run = reported(reader, more, with_tables=True)
    target = output or Path(f"{run_id}.html")
    if is_in_file(target, run_page(run)):
        say(f"{target}: {run_id}, {run.view.told(more)}")

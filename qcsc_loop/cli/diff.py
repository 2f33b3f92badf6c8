"""`diff`: how two runs differ."""

from __future__ import annotations

from pathlib import Path

from qcsc_loop.cli.plot import form_of, look_at, picture, write_file
from qcsc_loop.errors import InputError
from qcsc_loop.parameters.environment import environment
from qcsc_loop.printing import say, say_json
from qcsc_loop.reports.comparing import compare_runs
from qcsc_loop.reports.figure import runs_figure
from qcsc_loop.reports.tables import plain_table, wide_console
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.journal import Journal


def diff_runs(
    one: str, other: str, *, plot: Path | None, store: Path | None, as_json: bool
) -> None:
    """Prints what differs, and draws both curves.

    Args:
        plot: the picture's file; None: there is to be none.

    Raises:
        RunNotFound: one of them is not there.
        InputError: no picture of that kind can be written there.
    """
    form = form_of(plot) if plot is not None else ""
    if one == other:
        raise InputError(f"{one!r} is one run; diff compares two: qcsc-loop diff {one} OTHER")
    mine, theirs = look_at([one, other], store)
    found = DirectoryStore(store or environment().store)
    compared = compare_runs(mine, theirs, (Journal(found, one), Journal(found, other)))
    title = ""
    if plot is not None:
        figure = runs_figure([mine, theirs])
        write_file(plot, picture(figure, form), "--plot")
        title = figure.title
    if as_json:
        say_json(compared.facts())
        return
    console = wide_console()
    table = plain_table("", one, other, " ", left={"", one, other, " "})
    for row in compared.rows:
        table.add_row(row.name, row.one, row.other, row.note)
    if compared.rows:
        console.print(table)
    console.say(compared.last_line)
    if plot is not None:
        say(f"{plot}: {title}")

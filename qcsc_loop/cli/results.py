"""Prints what a run has come to."""

from __future__ import annotations

import json

from pydantic_core import to_json

from qcsc_loop.catalog import AlgorithmType, recorded_algorithm
from qcsc_loop.concurrency.loading import class_reference
from qcsc_loop.errors import QcscLoopError
from qcsc_loop.loop.hooks import Table
from qcsc_loop.printing import say, say_json
from qcsc_loop.reports.tables import (
    PlainConsole,
    cell_text,
    columns_of,
    plain_table,
    wide_console,
)
from qcsc_loop.results import read_tables, tables_of
from qcsc_loop.store.journal import Journal
from qcsc_loop.values.record import State

FIRST_ROWS = 3


def show_tables(journal: Journal, *, as_json: bool) -> None:
    """Prints all tables of a run's last state, whole.

    Raises:
        InputError: there is no state yet, or it cannot be read.
        ResultsNotMade: the algorithm's `tables` raises.
    """
    iteration, tables = read_tables(journal)
    if as_json:
        plain = json.loads(to_json(tables, inf_nan_mode="strings", fallback=str))
        say_json({"run_id": journal.run_id, "iteration": iteration, "tables": plain})
        return
    if not tables:
        say(f"{journal.run_id} has no tables: its algorithm's tables() gives none")
    for key, rows in tables.items():
        _print_table(wide_console(), key, rows, len(rows))


def say_first_rows(
    journal: Journal, named: AlgorithmType | None, state: State, console: PlainConsole
) -> bool:
    """Whether a run has results, of which it says how they begin.

    What keeps them from being shown is said, and does no harm.

    Args:
        named: its class, if a person named it: the run's record may say where it was before.
        state: the last one.
    """
    try:
        # with the parameters that it ran with: of some only a server's variables knew
        code = None if named is None else class_reference(named)
        tables = tables_of(recorded_algorithm(journal, named=code), state)
    except QcscLoopError as error:
        console.say(str(error), style="dim")
        return True
    for key, rows in tables.items():
        _print_table(console, key, rows, FIRST_ROWS)
    return bool(tables)


def _print_table(console: PlainConsole, key: str, rows: Table, most: int) -> None:
    columns = columns_of(rows)
    shown = min(most, len(rows))
    console.print()
    console.say(f"{key}, {shown} of {len(rows)} rows" if shown < len(rows) else key, style="dim")
    if not columns:
        return
    table = plain_table(*columns, left={name for name, is_words in columns.items() if is_words})
    for row in rows[:shown]:
        table.add_row(*(cell_text(row.get(column)) for column in columns))
    console.print(table)

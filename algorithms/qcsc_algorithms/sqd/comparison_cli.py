"""A comparison of SQD's optimiser with its controls, on the terminal."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

import anyio
from rich.progress import Progress, TimeElapsedColumn
from rich.table import Table

from qcsc_algorithms.sqd.comparison import ARMS, Comparison, Row, compare
from qcsc_algorithms.sqd.sqd import SQD
from qcsc_loop.errors import InvalidParameters
from qcsc_loop.parameters.build import build, merge, parse_settings
from qcsc_loop.parameters.environment import environment
from qcsc_loop.printing import say, say_json
from qcsc_loop.reports.tables import PlainConsole, plain_table, wide_console
from qcsc_loop.store.directory import DirectoryStore

INTERRUPTED = 130


def print_comparison(
    settings: Sequence[str],
    machine: str | None,
    arms: Sequence[str],
    seeds: int,
    iterations: int,
    store: Path | None,
    as_json: bool,
) -> None:
    """Runs the arms, with a progress bar on stderr; prints what came out on stdout.

    Raises:
        InvalidParameters: there is no such arm, or a parameter is wrong.
    """
    if unknown := [arm for arm in arms if arm not in ARMS]:
        raise InvalidParameters("--arms", [f"there is no arm {arm!r}" for arm in unknown], ARMS)
    given = parse_settings(settings)
    sqd = build(SQD, given if machine is None else merge(given, {"machine": machine}))
    place = DirectoryStore(store or environment().store)
    columns = (*Progress.get_default_columns()[:-1], TimeElapsedColumn())
    with Progress(*columns, console=PlainConsole(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)

        def tell(done: int, total: int, run_id: str) -> None:
            bar.update(task, completed=done, total=total, description=run_id)

        call = partial(
            compare,
            sqd,
            store=place,
            arms=arms,
            seeds=seeds,
            iterations=iterations,
            progress=tell,
        )
        try:
            found = anyio.run(call)
        except KeyboardInterrupt:
            bar.stop()
            say("interrupted; the same command goes on where it was", to_stderr=True)
            sys.exit(INTERRUPTED)
    if as_json:
        say_json(asdict(found))
    else:
        _print(found, list(arms), iterations)


def _print(found: Comparison, arms: list[str], iterations: int) -> None:
    console = wide_console()
    runs = f"median of {found.seeds} seeds, {iterations} iterations"
    console.print(f"At most {found.limit} strings of each spin ({runs}):")
    console.print(_table(found.free))
    if found.matched_limit < found.limit:
        console.print(f"\nAt most {found.matched_limit} strings, which every arm reaches:")
        console.print(_table(found.matched))
    for arm, wins in found.wins.items():
        console.print(f"{arm} is below {arms[0]} in {wins} of {found.seeds} seeds")


def _table(rows: list[Row]) -> Table:
    table = plain_table(
        "arm",
        "energy (hartree)",
        "lowest",
        "highest",
        "above FCI (mHa)",
        "strings",
        "shots",
        left={"arm"},
    )
    for row in rows:
        table.add_row(
            row.arm,
            f"{row.median:.6f}",
            f"{row.lowest:.6f}",
            f"{row.highest:.6f}",
            f"{1e3 * row.above_exact:.3f}",
            f"{row.strings:g}",
            f"{row.shots:g}",
        )
    return table

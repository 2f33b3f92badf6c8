"""A comparison of SQD's optimiser with its controls, on the terminal."""

from __future__ import annotations

import asyncio
import math
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from pydantic import TypeAdapter
from rich.table import Table

from qcsc_algorithms.sqd.comparison import ARMS, Arms, Comparison, ComparisonFacts, compare
from qcsc_algorithms.sqd.sqd import SQD
from qcsc_loop.cli.progress import show_hook_logs
from qcsc_loop.cli.signals import Interrupted, Signals, leave
from qcsc_loop.cli.sweep_progress import sweep_progress
from qcsc_loop.errors import InvalidParameters
from qcsc_loop.parameters.build import build, merge, parse_settings
from qcsc_loop.parameters.environment import environment
from qcsc_loop.printing import say, say_json
from qcsc_loop.reports.tables import PlainConsole, plain_table, wide_console
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.sweeping.plan import Plan
from qcsc_loop.sweeping.running import Manner
from qcsc_loop.sweeping.signed_rank import NAME
from qcsc_loop.sweeping.summary import claim


def print_comparison(
    settings: Sequence[str],
    machine: str | None,
    arms: Sequence[str],
    seeds: int,
    iterations: int,
    store: Path | None,
    as_json: bool,
) -> None:
    """Runs the arms, with what goes on on stderr; prints what came out on stdout.

    Raises:
        InvalidParameters: there is no such arm, or a parameter is wrong.
    """
    if unknown := [arm for arm in arms if arm not in ARMS]:
        raise InvalidParameters("--arms", [f"there is no arm {arm!r}" for arm in unknown], ARMS)
    given = parse_settings(settings)
    sqd = build(SQD, given if machine is None else merge(given, {"machine": machine}))
    place = DirectoryStore(store or environment().store)
    try:
        with Signals() as signals, ExitStack() as shown:
            manner = _Shown(signals, shown)
            call = compare(
                sqd, store=place, arms=arms, seeds=seeds, iterations=iterations, manner=manner
            )
            found = asyncio.run(signals.supervise(call))
    except Interrupted as interrupted:
        say(f"{interrupted}; the same command goes on where it was", to_stderr=True)
        leave(interrupted.exit_code)  # a simulation may still hold a thread
        return
    if not any(math.isfinite(row.value) for row in found.free.rows):
        why = next((m.why for m in found.free.standing.members if m.why), "none has a result")
        say(f"no member came to an energy: {why}", to_stderr=True)
        sys.exit(1)
    if as_json:
        say_json(TypeAdapter(ComparisonFacts).dump_python(found.facts(), mode="json"))
    else:
        _print(found, iterations)
    if not found.is_done:
        sys.exit(1)


class _Shown:
    """How each sweep is driven: with a picture of its own."""

    def __init__(self, signals: Signals, shown: ExitStack) -> None:
        self._signals, self._shown = signals, shown

    def __call__(self, plan: Plan) -> Manner:
        self._shown.close()  # that of the sweep before
        view = self._shown.enter_context(sweep_progress(PlainConsole(stderr=True), plan, None))
        self._shown.enter_context(show_hook_logs(view))
        return Manner(
            observers=[view],
            leave_jobs=self._signals.leaves_jobs,
            ended_by=self._signals.words,
        )


def _print(found: Comparison, iterations: int) -> None:
    console = wide_console()
    runs = f"median of {found.seeds} seeds, {iterations} iterations"
    console.say(f"At most {found.free.limit} strings of each spin ({runs}):")
    console.print(_table(found.free))
    if found.matched is not found.free:
        console.print()
        console.say(f"At most {found.matched.limit} strings, which every member reaches:")
        console.print(_table(found.matched))
    if not found.matched.is_matched:
        console.say(
            "warning: the members do not have one number of strings; what follows compares dimensions, "
            "too",
            style="yellow",
        )
    console.say(f"{NAME}; p of all comparisons together (Holm).", style="dim")
    others = len(found.matched.rows) - 1
    console.say(
        f"With {others} comparison{'s' if others > 1 else ''} a claim takes at least "
        f"{found.seeds_at_least} seeds, however clear a difference is; there are {found.seeds}:",
        style="dim",
    )
    for row in found.matched.rows:
        if row.against is not None:
            console.say(claim(row))
    names = dict.fromkeys([found.free.name, found.matched.name])
    console.print()
    for name in names:
        console.say(f"  qcsc-loop sweep show {name}")


def _table(arms: Arms) -> Table:
    table = plain_table(
        "arm",
        "energy (hartree)",
        "lowest",
        "highest",
        "above FCI (mHa)",
        "strings",
        "shots",
        "taken",
        left={"arm"},
    )
    for row in arms.rows:
        table.add_row(
            row.setting,
            f"{row.value:.6f}",
            f"{row.lowest:.6f}",
            f"{row.highest:.6f}",
            f"{1e3 * row.above:.3f}" if row.reference == "FCI" else "-",
            f"{median(arms.strings(row.setting) or [0.0]):g}",
            f"{row.spent['shots']:g}",
            f"{taken:.0%}" if math.isfinite(taken := arms.taken(row.setting)) else "-",
        )
    return table

"""`sweep list`, `show`, `plot`, `report`: sweeps in a store."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from qcsc_loop.cli.plot import form_of, picture, write_file
from qcsc_loop.cli.to_stdout import is_in_file
from qcsc_loop.errors import InputError, QcscLoopError, did_you_mean
from qcsc_loop.parameters.environment import environment
from qcsc_loop.printing import say, say_json, store_option
from qcsc_loop.reports.tables import PlainConsole, plain_table, wide_console
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.sweeping.facts import csv_of, facts_of, listed_facts, warnings_of
from qcsc_loop.sweeping.page import spent_words, sweep_page
from qcsc_loop.sweeping.picture import group_figure
from qcsc_loop.sweeping.standing import MemberStanding, MemberStatus, Standing, read_standing
from qcsc_loop.sweeping.summary import Row, claim, rows_of
from qcsc_loop.sweeping.sweep_journal import sweep_names
from qcsc_loop.sweeping.table import LEFT, cells_of, fitting

WIDTH, HEIGHT = 960, 440  # of a picture, in pixels
MEMBERS = 10  # in trouble, that are named


def list_sweeps(*, store: Path | None, as_json: bool) -> None:
    """Prints the sweeps of a store."""
    place = _place(store)
    found: list[Standing] = []
    for name in sweep_names(place):
        try:
            found.append(read_standing(place, name))
        except QcscLoopError as error:
            say(f"{name}: {error}", to_stderr=True)
    found.sort(key=lambda standing: standing.plan.created, reverse=True)
    if as_json:
        say_json([listed_facts(standing).model_dump(mode="json") for standing in found])
        return
    if not found:
        say(f"no sweeps in {place.place}; begin one with: qcsc-loop sweep FILE.toml")
        return
    table = plain_table("sweep", "status", "members", left={"sweep", "status", "members"})
    for standing in found:
        table.add_row(standing.plan.name, str(standing.status), standing.sentence)
    wide_console().print(table)


def show_sweep(name: str, *, as_csv: bool, all_: bool, store: Path | None, as_json: bool) -> None:
    """Prints one sweep.

    Raises:
        SweepNotFound: there is no such sweep.
        InputError: two forms were asked for.
    """
    if as_csv and as_json:
        raise InputError("--csv and --json are two forms of the same; give one of them")
    standing = read_standing(_place(store), name)
    if as_json:
        say_json(facts_of(standing).model_dump(mode="json"))
        return
    if as_csv:
        say(csv_of(facts_of(standing)).rstrip("\n"))
        return
    console = wide_console()
    console.say(f"{name}: {standing.status}. {standing.sentence}", style="bold")
    say_table(standing, console, all_=all_)
    if standing.next_command:
        console.print()
        console.say(f"next: {standing.next_command}{_more(store)}")


def say_table(standing: Standing, console: PlainConsole, *, all_: bool = False) -> None:
    """What was spent, who wants a person, the table, and what may be claimed."""
    for words in spent_words(standing):
        console.say(f"spent: {words}", style="dim")
    for words in warnings_of(standing):
        console.say(f"warning: {words}", style="yellow")
    _say_members(standing, console, all_=all_)
    rows = rows_of(standing)
    for group in standing.plan.groups:
        console.print()
        if len(standing.plan.groups) > 1:
            console.say(group, style="bold")
        _say_rows([row for row in rows if row.group == group], console)
        for rung in standing.stopped:
            if rung.group == group and rung.settings:
                words = f"rung {rung.rung + 1} stopped: {', '.join(rung.settings)}"
                console.say(words, style="dim")


def _say_rows(rows: Sequence[Row], console: PlainConsole) -> None:
    """One group's table, and what may be claimed of it."""
    heads, cells = cells_of(rows)
    if console.is_terminal:
        heads, cells = fitting(heads, cells, console.width)
    table = plain_table(*heads, left=LEFT)
    for texts in cells:
        table.add_row(*texts)
    console.print(table)
    for row in rows:
        if row.against is not None:
            console.say(claim(row))


def _say_members(standing: Standing, console: PlainConsole, *, all_: bool) -> None:
    ordered = sorted(standing.members, key=lambda each: each.status.rank)
    trouble = [each for each in ordered if each.status.rank <= MemberStatus.NO_BUDGET.rank]
    shown: Sequence[MemberStanding] = ordered if all_ else trouble[:MEMBERS]
    for each in shown:
        sign = each.status.sign if console.has_blocks else "!"
        why = f": {each.why}" if each.why else ""
        console.say(f"{sign} {each.member.run_id} {each.status}{why}")
    if not all_ and len(trouble) > MEMBERS:
        console.say(f"  and {len(trouble) - MEMBERS} more: --all", style="dim")


def plot_sweep(name: str, *, group: str | None, output: Path | None, store: Path | None) -> None:
    """Writes a sweep's picture.

    Raises:
        SweepNotFound: there is no such sweep.
        InputError: no such group, or no file of that kind can be written.
    """
    standing = read_standing(_place(store), name)
    chosen = _group(standing, group)
    target = output or Path(f"{name}.svg")
    form = form_of(target)
    figure = group_figure(standing, chosen)
    write_file(target, picture(figure, form, width=WIDTH, height=HEIGHT))
    say(f"{target}: {figure.title}")


def _group(standing: Standing, group: str | None) -> str:
    groups = standing.plan.groups
    if group is None and len(groups) == 1:
        return groups[0]
    if group not in groups:
        hint = did_you_mean(group, groups) if group is not None else ""
        asked = f"there is no group {group!r}{hint}" if group is not None else "which group?"
        raise InputError(f"--group: {asked} {standing.plan.name} has {', '.join(groups)}")
    return group


def report_sweep(name: str, *, output: Path | None, store: Path | None) -> None:
    """Writes a sweep's page, whole; by default SWEEP.html here, and to stdout where that is `-`.

    Raises:
        SweepNotFound: there is no such sweep.
        InputError: the file cannot be written there.
    """
    standing = read_standing(_place(store), name)
    target = output or Path(f"{name}.html")
    if is_in_file(target, sweep_page(standing, datetime.now(UTC), _more(store))):
        say(f"{target}: {name}, {standing.sentence}")


def _place(store: Path | None) -> DirectoryStore:
    return DirectoryStore(store or environment().store)


def _more(store: Path | None) -> str:
    return store_option(store)

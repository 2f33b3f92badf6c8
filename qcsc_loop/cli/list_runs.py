"""`list`: the runs of a store, a line each, and what to type next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from qcsc_loop.parameters.environment import environment
from qcsc_loop.printing import printable, say, say_json, store_option
from qcsc_loop.reports.listing import (
    NEWEST,
    Line,
    Order,
    Wanted,
    details,
    facts_of,
    line_of,
    newest,
    next_commands,
    parse_since,
    read_entries,
)
from qcsc_loop.reports.remembered import Entry
from qcsc_loop.reports.tables import PlainConsole, wide_console
from qcsc_loop.reports.view import View
from qcsc_loop.reports.words import in_letters
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.records import now

GAP = "  "
ANY_WIDTH = 1_000_000  # of a pipe: nothing is cut for a program that reads us
HEADS = Line("run", " ", "algorithm", "status", "iter", ("", "headline"), "last", "")
NARROWEST = {"note": 10, "status": 7, "run": 12}
STYLES = {"!": "red", "▸": "cyan", "✓": "green"}


@dataclass(frozen=True, kw_only=True)
class Listing:
    """What was asked for.

    Attributes:
        all: more than the newest ones.
        long: a second line each.
    """

    store: Path | None
    all: bool
    statuses: Sequence[str]
    algorithms: Sequence[str]
    since: str | None
    order: Order | None
    long: bool
    as_json: bool


def list_runs(asked: Listing) -> None:
    """Prints the runs of a store.

    Raises:
        InvalidParameters: there is no such status, or no such time.
    """
    store = DirectoryStore(asked.store or environment().store)
    wanted = Wanted(
        statuses=asked.statuses,
        algorithms=asked.algorithms,
        since=None if asked.since is None else parse_since(asked.since),
        order=asked.order or "trouble",
        whole=asked.long or asked.as_json,
    )
    found = read_entries(store, wanted)
    if asked.as_json:
        _say_json([entry.view for entry in found], ordered=asked.order is not None)
    elif found:
        _show(found, asked)
    elif wanted.is_everything:
        say(f"no runs in {store.place}; start one with: qcsc-loop run bitcount{_where(asked)}")
    else:
        say(f"no such runs in {store.place}; all there are: qcsc-loop list --all{_where(asked)}")


def _say_json(found: Sequence[View], *, ordered: bool) -> None:
    rows = [facts_of(view) for view in found]
    say_json(rows if ordered else sorted(rows, key=lambda row: str(row["created"])))


def _show(found: Sequence[Entry], asked: Listing) -> None:
    console, at = wide_console(), now()
    views = [entry.view for entry in (found if asked.all else newest(found, NEWEST))]
    lines = [line_of(view, at) for view in views]
    if not console.has_blocks:
        lines = [_ascii(line) for line in lines]
    table = _Table(console, [HEADS, *lines])
    console.print(table.row(HEADS, head=True), soft_wrap=True)
    for view, line in zip(views, lines, strict=True):
        console.print(table.row(line), soft_wrap=True)
        if asked.long:
            console.say(f"    {details(view)}", style="dim")
    if len(views) < len(found):
        console.say(_left_out(found, views, asked), style="dim")
    _say_next(console, next_commands(views), _where(asked))


def _where(asked: Listing) -> str:
    return store_option(asked.store)


def _left_out(found: Sequence[Entry], views: Sequence[View], asked: Listing) -> str:
    shown = {view.run_id for view in views}
    older = [entry for entry in found if entry.run_id not in shown]
    trouble = sum(entry.status.is_trouble for entry in older)
    said = f", {trouble} of them in trouble" if trouble else ""
    return f"and {len(older)} older{said}: qcsc-loop list --all{_where(asked)}"


def _say_next(console: PlainConsole, commands: Sequence[str], where: str) -> None:
    """In one line where they fit, else a line each: they are there to be copied."""
    between = " · " if console.has_blocks else " | "
    words = [f"{command}{where}" for command in commands]
    line = f"next: {between.join(words)}"
    if cell_len(line) <= console.width:
        console.say(line)
        return
    for number, command in enumerate(words):
        console.say(f"{'next:' if not number else '     '} {command}")


def _ascii(line: Line) -> Line:
    return replace(
        line, sign=in_letters(line.sign), status=in_letters(line.status), note=in_letters(line.note)
    )


class _Table:
    """Lines of one width: words are cut where it is narrow, and numbers never."""

    def __init__(self, console: PlainConsole, lines: Sequence[Line]) -> None:
        self._cut_sign = "…" if console.has_blocks else "~"
        self._lines, self._named = lines, True
        self._width = console.width if console.is_terminal else ANY_WIDTH
        self._longest = max(cell_len(printable(line.headline[0])) for line in lines)
        self._widths = self._natural()
        self._fit()

    def _natural(self) -> dict[str, int]:
        found = {
            name: max(cell_len(cell) for cell in cells)
            for name, cells in self._cells(self._lines).items()
        }
        return {name: width for name, width in found.items() if width}

    def _fit(self) -> None:
        """What says least gives way first; numbers are never cut, and a run's id last of all."""
        self._leave_out("algorithm")
        if self._over > 0:
            self._named = False
            self._widths |= {"headline": self._natural().get("headline", 0)}
        self._cut("note")
        self._leave_out("last")
        self._cut("status")
        self._leave_out("note")
        self._cut("run")
        self._leave_out("iter")
        if "note" in self._widths:  # what was left out since has made room
            room = self._widths["note"] - self._over
            self._widths["note"] = min(self._natural()["note"], room)

    def _leave_out(self, name: str) -> None:
        if self._over > 0:
            self._widths.pop(name, None)

    def _cut(self, name: str) -> None:
        if self._over > 0 and name in self._widths:
            width = self._widths[name]
            self._widths[name] = max(min(width, NARROWEST[name]), width - self._over)

    @property
    def _over(self) -> int:
        """By how much it is too wide; below 0: what room is left."""
        gaps = len(GAP) * (len(self._widths) - 1)
        return 2 + sum(self._widths.values()) + gaps - self._width

    def row(self, line: Line, *, head: bool = False) -> Text:
        """The line's parts, each under its head."""
        cells = {name: texts[0] for name, texts in self._cells([line]).items()}
        text = Text(f"{line.sign} ", style="dim" if head else "")
        if not head:
            text.stylize(_style(line.sign), 0, 1)
        for number, (name, width) in enumerate(self._widths.items()):
            cell = self._fitted(cells[name], width, right=name == "last")
            text.append(GAP * (number > 0) + cell, style="dim" if head or name == "last" else "")
        text.rstrip()
        return text

    def _fitted(self, cell: str, width: int, *, right: bool) -> str:
        length = cell_len(cell)
        if length > width:
            return set_cell_size(cell, width - 1).rstrip() + self._cut_sign
        space = " " * (width - length)
        return space + cell if right else cell + space

    def _cells(self, lines: Sequence[Line]) -> dict[str, list[str]]:
        """The columns' cells, by name."""
        return {
            "run": [printable(line.run_id) for line in lines],
            "algorithm": [printable(line.algorithm) for line in lines],
            "status": [line.status for line in lines],
            "iter": [line.iterations for line in lines],
            "headline": [self._headline(line) for line in lines],
            "last": [line.last for line in lines],
            "note": [_one_line(line.note) for line in lines],
        }

    def _headline(self, line: Line) -> str:
        """The values stand under each other, after the names where there is room for these."""
        name, value = line.headline
        if line is HEADS or not value or not self._named:
            return value
        plain = printable(name)
        return f"{plain}{' ' * (self._longest - cell_len(plain))} {value}"


def _style(sign: str) -> str:
    return STYLES.get(sign, "dim")


def _one_line(text: str) -> str:
    return " ".join(printable(text).split())

"""Tables for a terminal, and for programs that read what is printed."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import IO, Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from qcsc_loop.printing import as_typed, printable
from qcsc_loop.reports.run import number

PIPE_WIDTH = 400  # nothing is cut for a program that reads us


class PlainConsole(Console):
    """Shows texts as they are: without markup, without names of emoji, printable (`printing`)."""

    def __init__(
        self, *, stderr: bool = False, width: int | None = None, file: IO[str] | None = None
    ) -> None:
        super().__init__(
            stderr=stderr, width=width, file=file, highlight=False, markup=False, emoji=False
        )

    def render_str(self, text: str, **options: Any) -> Text:  # Any: those of rich
        return super().render_str(printable(text), **options)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        for segment in super().render(renderable, options):  # of a Text, which was no string here
            plain = segment.control or segment.text.isprintable()
            yield segment if plain else segment._replace(text=printable(segment.text))

    def say(self, text: str, style: str = "") -> None:
        """A line, however long."""
        self.print(as_typed(text), style=style or None, soft_wrap=True)

    def say_fact(self, name: str, fact: str) -> None:
        """A line of what is known, under its name."""
        self.print(Text.assemble((f"{name:<11} ", "dim"), printable(fact)), soft_wrap=True)

    @property
    def has_blocks(self) -> bool:
        """Whether it can show more than letters."""
        return self.encoding.startswith("utf")


def wide_console() -> PlainConsole:
    """Stdout: as wide as the terminal, or wide enough for any line."""
    return PlainConsole(width=None if sys.stdout.isatty() else PIPE_WIDTH)


def columns_of(rows: Sequence[Mapping[str, object]]) -> dict[str, bool]:
    """The columns of rows that need not all have them, and whether each holds words."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: any(isinstance(row.get(name), str) for row in rows) for name in names}


def cell_text(value: object) -> str:
    """A value in a table; empty where there is none."""
    if value is None:
        return ""
    return number(value) if isinstance(value, float) else str(value)


def plain_table(*columns: str, left: Collection[str] = ()) -> Table:
    """A table without lines: texts, in `left`, wrap where it is narrow; the first column does not."""
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 3, 0, 0))
    for column in columns:
        whole = column not in left or column == columns[0]
        table.add_column(column, justify="left" if column in left else "right", no_wrap=whole)
    return table

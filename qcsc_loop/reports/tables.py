"""Tables for a terminal, and for programs that read what is printed."""

from __future__ import annotations

import sys
from collections.abc import Collection

from rich.console import Console
from rich.table import Table

PIPE_WIDTH = 400  # nothing is cut for a program that reads us


def wide_console() -> Console:
    """Stdout: as wide as the terminal, or wide enough for any line."""
    return Console(width=None if sys.stdout.isatty() else PIPE_WIDTH, highlight=False)


def plain_table(*columns: str, left: Collection[str] = ()) -> Table:
    """A table without lines: texts, in `left`, wrap where it is narrow; the first column does not."""
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 3, 0, 0))
    for column in columns:
        whole = column not in left or column == columns[0]
        table.add_column(column, justify="left" if column in left else "right", no_wrap=whole)
    return table

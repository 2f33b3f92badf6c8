"""In which line of a TOML file a key is: its reader in the standard library does not say."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

Path = tuple[str | int, ...]

_HEADER = re.compile(r"^\s*(\[\[?)\s*([^\[\]]+?)\s*\]\]?\s*(#.*)?$")
_KEY = re.compile(
    r"""^\s*((?:"[^"]*"|'[^']*'|[\w-]+)(?:\s*\.\s*(?:"[^"]*"|'[^']*'|[\w-]+))*)\s*=(.*)$"""
)
_PART = re.compile(r""""([^"]*)"|'([^']*)'|([\w-]+)""")
_STRINGS = re.compile(r'"(?:\\.|[^"\\])*"|\'[^\']*\'|#.*')


def line_of(text: str, path: Sequence[str | int]) -> int | None:
    """The line of a key, counted from 1; of what stands in its own line's value, that one's.

    Args:
        path: names of tables and keys, and numbers of arrays' elements from 0; dots in a name tell
            tables apart, too.
    """
    wanted = tuple(part for each in path for part in _parts(each))
    best, line = 0, None
    for number, found in _keys(text):
        length = len(found)
        if best < length and wanted[:length] == found:
            best, line = length, number
    return line


def _parts(name: str | int) -> Path:
    return (name,) if isinstance(name, int) else tuple(name.split("."))


def _keys(text: str) -> Iterator[tuple[int, Path]]:
    """Every table's and key's path, with its line."""
    table: Path = ()
    counts: dict[Path, int] = {}
    rest = _Rest()
    for number, line in enumerate(text.splitlines(), 1):
        if rest.is_open:
            rest.take(line)
        elif header := _HEADER.match(line):
            table = _names(header[2])
            if header[1] == "[[":
                counts[table] = counts.get(table, -1) + 1
            table = _numbered(table, counts)
            yield number, table
        elif key := _KEY.match(line):
            yield number, (*table, *_names(key[1]))
            rest.take(key[2])


def _names(dotted: str) -> Path:
    names = ("".join(found) for found in _PART.findall(dotted))
    return tuple(part for name in names for part in name.split("."))


def _numbered(table: Path, counts: dict[Path, int]) -> Path:
    """With the number of each array's last element behind its name."""
    found: Path = ()
    for end in range(1, len(table) + 1):
        found = (*found, table[end - 1])
        if table[:end] in counts:
            found = (*found, counts[table[:end]])
    return found


class _Rest:
    """Whether a value goes on in the next line."""

    def __init__(self) -> None:
        self._depth, self._quotes = 0, ""

    @property
    def is_open(self) -> bool:
        return self._depth > 0 or bool(self._quotes)

    def take(self, line: str) -> None:
        if self._quotes:
            _, end, line = line.partition(self._quotes)
            if not end:
                return
            self._quotes = ""
        for quotes in ('"""', "'''"):
            before, opened, after = line.partition(quotes)
            if opened:
                _, closed, after = after.partition(quotes)
                line = before + (after if closed else "")
                self._quotes = "" if closed else quotes
        plain = _STRINGS.sub("", line)
        self._depth = max(0, self._depth + plain.count("[") - plain.count("]"))

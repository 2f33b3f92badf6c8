"""HTML in small pieces: nothing that comes from outside is ever taken for markup."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from qcsc_loop.printing import printable

Kind = Literal["", "words", "wide"]
LONGEST = 2000  # characters of one value


def text(value: object, longest: int = LONGEST) -> str:
    """Anything as text; of what is too long the beginning, and how long it is."""
    plain = str(value)
    if len(plain) > longest:
        plain = f"{plain[:longest]}… ({len(plain):,} characters)"
    # escaped after what printable writes out, which has no letters that HTML knows
    return html.escape(printable(plain)).replace("\ufffe", "?").replace("\uffff", "?")


def element(tag: str, content: str, **attributes: str) -> str:
    """An element with markup in it; `class_` is the attribute class."""
    given = "".join(f' {name.rstrip("_")}="{text(v)}"' for name, v in attributes.items() if v)
    return f"<{tag}{given}>{content}</{tag}>"


def paragraph(words: str, kind: str = "") -> str:
    """A paragraph of plain text."""
    return element("p", text(words), class_=kind)


def block(words: str, longest: int = 60_000) -> str:
    """Text as it was printed; of what is too long the end, where what went wrong is."""
    shown = words if len(words) <= longest else f"…\n{words[-longest:]}"
    return element("pre", text(shown, longest + 2))


def folded(title: str, content: str) -> str:
    """Markup that is seen once its title is clicked."""
    return f"<details><summary>{text(title)}</summary>{content}</details>"


@dataclass(frozen=True)
class Column:
    """A table's column: numbers stand at the right, words at the left, wide ones wrap."""

    name: str
    kind: Kind = ""


def table(columns: Sequence[Column], rows: Iterable[Sequence[str]], kind: str = "") -> str:
    """A table of markup that scrolls by itself.

    Args:
        kind: "facts" for names and values, which wrap where it is narrow.
    """
    head = "".join(element("th", text(c.name), class_=c.kind and "words") for c in columns)
    body = "".join(f"<tr>{_cells(columns, row)}</tr>" for row in rows)
    named = f"<thead><tr>{head}</tr></thead>" if any(column.name for column in columns) else ""
    inner = f"<table>{named}<tbody>{body}</tbody></table>"
    return element("div", inner, class_=f"scroll {kind}".strip(), tabindex="0")


def _cells(columns: Sequence[Column], row: Sequence[str]) -> str:
    cells = zip(columns, row, strict=True)
    return "".join(element("td", content, class_=column.kind) for column, content in cells)


def section(title: str, content: str, aside: str = "") -> str:
    """A part of the page under its heading."""
    small = f" <small>{text(aside)}</small>" if aside else ""
    return f"<section><h2>{text(title)}{small}</h2>{content}</section>"


def flat(values: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    """Nested settings by their full names, as --set takes them."""
    found: dict[str, object] = {}
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            found |= flat(value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = value
    return found

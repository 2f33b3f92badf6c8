"""The index of the decisions, which lists every page of its folder."""

from __future__ import annotations

from pathlib import Path

from docs.builder.pages import OF_NO_TREE


def write_decisions(folder: Path) -> None:
    """Lists the staged pages at the end of their index."""
    rows: list[str] = []
    for page in sorted(folder.glob("0*.md")):
        text = page.read_text()
        title = text.splitlines()[0].removeprefix("# ")
        rows.append(f"- [{title}]({page.name})\n")
        page.write_text(f"{OF_NO_TREE}\n{text}")
    index = folder / "index.md"
    index.write_text(f"{index.read_text()}\n{''.join(rows)}")

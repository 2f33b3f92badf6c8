"""Names of other projects as Sphinx's inventories, made of lists that are stored: no network."""

from __future__ import annotations

import zlib
from pathlib import Path

from docs.builder.pages import DOCS

LISTS = DOCS / "inventories"


def write_inventories(folder: Path) -> None:
    """Writes an `objects.inv` for each list: NAME ROLE ADDRESS, `$` for the name in an address."""
    folder.mkdir(parents=True, exist_ok=True)
    for listed in LISTS.glob("*.txt"):
        head, *lines = listed.read_text().splitlines()
        project, _ = head.removeprefix("# ").split(" ", 1)
        title = f"# Sphinx inventory version 2\n# Project: {project}\n# Version: \n"
        title += "# The remainder of this file is compressed using zlib.\n"
        rows = (line.split() for line in lines if line and not line.startswith("#"))
        body = "".join(f"{name} py:{role} 1 {address} -\n" for name, role, address in rows)
        (folder / f"{listed.stem}.inv").write_bytes(title.encode() + zlib.compress(body.encode()))


def addresses() -> dict[str, str]:
    """Where each project's pages are, by the list's name; its first line: `# NAME ADDRESS`."""
    heads = ((path.stem, path.read_text().splitlines()[0]) for path in LISTS.glob("*.txt"))
    return {name: head.split(" ")[2] for name, head in heads}

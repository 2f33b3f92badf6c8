"""Where the repository's pages stand in the site, and what their links become there."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
OF_THE_PROJECT = {
    ROOT / "CHANGELOG.md": "changelog",
    ROOT / "CONTRIBUTING.md": "contributing",
    ROOT / "SECURITY.md": "security",
    ROOT / "tests" / "README.md": "tests",
}
REST = re.compile(r"^@the-rest ?(.*)\n", re.MULTILINE)  # in the index: of a folder, not named there
TREE = re.compile(r"^```\{toctree\}.*?^```", re.DOTALL | re.MULTILINE)
# 200 more lines beside every page are slow to make, and to read: an index lists these
OF_NO_TREE = "---\norphan: true\n---"
NO_PAGES = {"api", "builder", "inventories"}
LINK = re.compile(r"(?<=\]\()([^)\s#:]+)((?:#[^)\s]*)?)(?=\))")
FENCE = re.compile(r"^ *(```+|~~~+).*?^ *\1 *$", re.DOTALL | re.MULTILINE)


class DeadLink(Exception):
    """A page links to what is not in the repository."""


def stage(source: Path) -> None:
    """Copies all pages, with what they show and link to, as Sphinx reads them."""
    source.mkdir(parents=True)
    shutil.copy(DOCS / "conf.py", source)
    for path in sorted(DOCS.rglob("*")):
        if NO_PAGES.isdisjoint(path.relative_to(DOCS).parts) and path.is_file():
            _copy(path, source / path.relative_to(DOCS), source)
    for path in OF_THE_PROJECT:
        _copy(path, source / _place(path), source)


def finish_index(source: Path) -> None:
    """Puts the pages that the index does not name where it has `@the-rest`.

    What it names beforehand, and is not there, is left out.
    """
    index = source / "index.md"
    index.write_text(TREE.sub(lambda found: _grown(found[0], source), index.read_text()))


def _grown(tree: str, source: Path) -> str:
    whole = REST.sub(lambda found: "".join(f"{name}\n" for name in _rest(found[1])), tree)
    lines = whole.splitlines()
    return "\n".join(n for n in lines if not re.match(r"\w", n) or (source / f"{n}.md").exists())


def pages() -> list[Path]:
    """Every page that a person has written, in the site's order of names."""
    below = (path for path in DOCS.rglob("*.md") if NO_PAGES.isdisjoint(path.parts))
    return sorted([*below, *OF_THE_PROJECT])


def place(page: Path) -> str:
    """A page's name in the site, as links from its root have it."""
    return str(_place(page).with_suffix(""))


def _rest(folder: str) -> list[str]:
    """The pages of a folder of docs that the index does not name."""
    named = (DOCS / "index.md").read_text().splitlines()
    below = sorted((DOCS / folder).glob("*.md"))
    names = (str(path.relative_to(DOCS).with_suffix("")) for path in below)
    return [name for name in names if name != "index" and name not in named]


def _place(path: Path) -> Path:
    """Where a file of the repository is in the site: pages as pages, all else as a file to load."""
    if path in OF_THE_PROJECT:
        return Path("project", f"{OF_THE_PROJECT[path]}.md")
    if path.is_relative_to(DOCS):
        return path.relative_to(DOCS)
    return Path("files", path.relative_to(ROOT))


def _copy(path: Path, to: Path, source: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".md":
        to.write_text(_relinked(path, to, source), encoding="utf-8")
    elif path.name != "conf.py":
        shutil.copyfile(path, to)


def _relinked(page: Path, to: Path, source: Path) -> str:
    """A page's text, its links to files of the repository as they are in the site.

    Raises:
        DeadLink: there is no such file.
    """

    def link(found: re.Match[str]) -> str:
        target = (page.parent / found[1]).resolve()
        if not target.exists():
            raise DeadLink(f"{page.relative_to(ROOT)}: there is no {found[1]}")
        if target.is_dir():
            return os.path.relpath(source / "decisions" / "index.md", to.parent)
        there = source / _place(target)
        if not there.exists() and target.suffix != ".md":
            there.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(target, there)
        return f"{os.path.relpath(there, to.parent)}{found[2]}"

    text, parts, end = page.read_text(), [], 0
    for fence in FENCE.finditer(text):
        parts += [LINK.sub(link, text[end : fence.start()]), fence[0]]
        end = fence.end()
    return "".join([*parts, LINK.sub(link, text[end:])])

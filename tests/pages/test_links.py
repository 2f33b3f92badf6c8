"""Links between the repository's files, as whoever reads them without the site follows them."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from urllib.parse import unquote

import pytest

from docs.builder.outside import links
from docs.builder.pages import FENCE
from pages.blocks import ROOT

LINK = re.compile(r"\]\(([^)\s]+)\)")
HEAD = re.compile(r"^#+ +(.+?) *$", re.MULTILINE)
WRITTEN = sorted(
    ROOT / name
    for name in subprocess.check_output(["git", "ls-files", "*.md"], cwd=ROOT, text=True).split()
)


def words(page: Path) -> str:
    """A page without what it shows as code."""
    return FENCE.sub("", page.read_text())


def anchors(page: Path) -> set[str]:
    """What GitHub makes of a page's headings."""
    heads = (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", head) for head in HEAD.findall(words(page)))
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def leads_somewhere(page: Path, link: str) -> bool:
    target, _, anchor = unquote(link).partition("#")
    there = (page.parent / target).resolve() if target else page
    if not there.exists():
        return False
    return not anchor or there.suffix != ".md" or anchor in anchors(there)


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_link_to_a_file_or_a_heading_of_the_repository_leads_there(page: Path) -> None:
    here = [link for link in LINK.findall(words(page)) if "://" not in link]
    assert [link for link in here if not leads_somewhere(page, link)] == []


def test_what_is_linked_to_elsewhere_can_be_listed() -> None:
    listed = links()
    assert Path("docs/sqd.md") in listed["https://arxiv.org/abs/2511.00224"]
    assert all(re.fullmatch(r"https?://[\w.-]+(/\S*)?", address) for address in listed)

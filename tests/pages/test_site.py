"""The site: every page is in it, every command and public name has a page, no link leads nowhere."""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

from docs.builder.commands import all_commands, write_commands
from docs.builder.names import FACES as SHOWN
from docs.builder.names import examples, public_names, write_names
from docs.builder.pages import ROOT, finish_index, pages, place, stage
from docs.builder.records import FILES, write_records
from system.test_faces_in_docs import FACES

LONGEST_SECONDS = 900


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All pages as Sphinx reads them."""
    source = tmp_path_factory.mktemp("site") / "source"
    stage(source)
    write_commands(source / "reference" / "commands")
    write_names(source / "reference" / "names")
    write_records(source / "reference")
    finish_index(source)
    return source


def test_every_page_has_its_place(staged: Path) -> None:
    trees = re.findall(r"```\{toctree\}\n(.*?)```", (staged / "index.md").read_text(), re.DOTALL)
    named = {line for tree in trees for line in tree.split()}
    own = [place(page) for page in pages() if page.parent.name != "decisions"]
    assert [name for name in own if name != "index" and name not in named] == []


def test_every_command_has_a_page_with_its_options(staged: Path) -> None:
    for words, command in all_commands():
        text = (staged / "reference" / "commands" / f"{'-'.join(words)}.md").read_text()
        options = [option for p in command.params for option in p.opts if option.startswith("--")]
        hidden = {o for p in command.params if getattr(p, "hidden", False) for o in p.opts}
        assert [option for option in options if option not in text and option not in hidden] == []


def test_every_face_has_its_pages() -> None:
    assert SHOWN == FACES


@pytest.mark.parametrize("face", SHOWN)
def test_every_public_name_has_a_page_with_an_example(staged: Path, face: str) -> None:
    shown = examples(face)
    assert sorted(set(shown) - set(public_names(face))) == []
    bare = []
    for name in public_names(face):
        text = (staged / "reference" / "names" / face / f"{name}.md").read_text()
        doc = getattr(__import__(face, fromlist=[name]), name).__doc__ or ""
        if ">>>" not in doc and "## An example" not in text:
            bare.append(name)
    assert bare == []


def test_every_file_of_a_run_is_described(staged: Path) -> None:
    text = (staged / "reference" / "files.md").read_text()
    assert [name for name in FILES if f"## {name}\n" not in text] == []
    assert "| `state_sha256` | `str` | has to be there | hash of the state that was" in text


class _Links(HTMLParser):
    """What a page of the site links to, and the places in it that may be linked to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.places: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = dict(attrs)
        self.places |= {value for name in ("id", "name") if (value := known.get(name))}
        self.links |= {value for name in ("href", "src") if (value := known.get(name))}


@pytest.mark.thorough
def test_the_site_is_built_without_a_warning_and_no_link_leads_nowhere(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "docs.builder", str(tmp_path)]
    done = subprocess.run(
        words, cwd=ROOT, capture_output=True, text=True, timeout=LONGEST_SECONDS, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    html = tmp_path / "html"
    found = {page: _Links(page.read_text()) for page in html.rglob("*.html")}
    assert len(found) > 200
    dead = []
    for page, has in found.items():
        for link in has.links:
            target, _, anchor = unquote(link).partition("#")
            there = (page.parent / target.partition("?")[0]).resolve() if target else page
            if "://" in link or link.startswith(("mailto:", "data:", "javascript:")):
                continue
            if not there.exists() or (
                anchor and there in found and anchor not in found[there].places
            ):
                dead.append(f"{page.relative_to(html)}: {link}")
    assert dead == []

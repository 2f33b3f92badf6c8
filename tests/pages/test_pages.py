"""Whatever a page has a reader type works as it stands, in the page's order."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from pages.blocks import COMMANDS, NOT_RUN, ROOT, TEXT, blocks_of, pages
from plugins.installed import install
from qcsc_hpc.testing import FakeBatchSystem, FakePBS, FakePJM, FakeSlurm
from system.command_line import environment
from system.server import PrefectServer

TESTS = Path(__file__).parents[1]
LANGUAGES = (*COMMANDS, *TEXT, "python", "toml", "{toctree}")
SUBMITS = re.compile(r"--machine (?!local)|machine\.type=campus|await run_job_from_blocks")
LONGEST_SECONDS = 900


def shown(page: Path) -> str:
    return str(page.relative_to(ROOT))


RUN = [
    page
    for page in pages()
    if any(
        b.language not in TEXT and {"not run", "of"}.isdisjoint(b.notes) for b in blocks_of(page)
    )
]


def has_jobs(page: Path) -> bool:
    """Whether a reader submits to Slurm, which then has to be a real one."""
    typed = (b.code for b in blocks_of(page) if b.language not in TEXT and "not run" not in b.notes)
    return any(SUBMITS.search(code) for code in typed)


@pytest.fixture
def reader(
    page: Path, tmp_path: Path, server: PrefectServer, request: pytest.FixtureRequest
) -> Iterator[dict[str, str]]:
    """The environment of a reader in an empty folder: a home, a server, and every scheduler."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    known = environment(home / ".qcsc-loop", home / ".prefect") | server.settings
    known |= {"HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1"}
    del known["QCSC_LOOP_STORE"]
    with ExitStack() as running:
        site = tmp_path / "site-packages"
        site.mkdir()
        for name in ("flux_scheduler", "biased_sampler", "campus_machine", "lab_tools"):
            install(name, site)
        known["PYTHONPATH"] = f"{site}:{TESTS}:{known.get('PYTHONPATH', '')}"
        paths = [str(Path(sys.prefix) / "bin")]
        fakes: list[type[FakeBatchSystem]] = [FakePBS, FakePJM]
        if has_jobs(page):
            known |= request.getfixturevalue("slurm").environment
        else:
            fakes.append(FakeSlurm)
        for fake in fakes:
            place = tmp_path / fake.__name__
            place.mkdir()
            running.enter_context(fake(place))
            paths.append(str(place / "bin"))
        yield known | {"PATH": ":".join([*paths, known["PATH"]])}


IN_CI = ("README.md", "docs/start.md")


def with_marks(page: Path) -> Any:
    """A page that a reader types whole: minutes, and all of them more than half an hour."""
    mark = pytest.mark.thorough if shown(page) in IN_CI else pytest.mark.nightly
    return pytest.param(page, marks=mark, id=shown(page))


@pytest.mark.server
@pytest.mark.parametrize("page", [with_marks(page) for page in RUN])
def test_everything_that_a_page_shows_is_done(
    page: Path, tmp_path: Path, reader: dict[str, str]
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    shutil.copytree(ROOT / "examples", here / "examples")
    done = subprocess.run(
        [sys.executable, "-m", "pages.session", str(page)],
        cwd=here,
        env=reader,
        capture_output=True,
        text=True,
        timeout=LONGEST_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("page", pages(), ids=shown)
def test_what_is_not_run_has_a_reason_that_is_known(page: Path) -> None:
    reasons = [b.notes["not run"] for b in blocks_of(page) if "not run" in b.notes]
    assert [why for why in reasons if why not in NOT_RUN] == []


@pytest.mark.parametrize("page", pages(), ids=shown)
def test_every_block_says_what_it_is(page: Path) -> None:
    assert [b.line for b in blocks_of(page) if b.language not in LANGUAGES] == []


@pytest.mark.parametrize("page", pages(), ids=shown)
def test_a_piece_of_a_file_is_in_it(page: Path) -> None:
    pieces = [(b.notes["of"], b.code) for b in blocks_of(page) if "of" in b.notes]
    assert [code for file, code in pieces if code not in (ROOT / file).read_text()] == []


@pytest.mark.parametrize("page", pages(), ids=shown)
def test_a_test_that_a_page_shows_is_a_file_that_it_has_pytest_run(page: Path) -> None:
    blocks = [b for b in blocks_of(page) if {"not run", "of"}.isdisjoint(b.notes)]
    typed = [b.commands.split() for b in blocks if b.language in COMMANDS]
    run = {word for words in typed if "pytest" in words for word in words}
    tests = [b for b in blocks if b.language == "python" and "def test_" in b.code]
    assert [b.line for b in tests if b.notes.get("file") not in run] == []

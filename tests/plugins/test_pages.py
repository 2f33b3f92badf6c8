"""The pages on plug-ins: their code is the code that is tested, and their tests pass."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
DOCS = HERE.parents[1] / "docs"
PAGES = {
    "add-a-scheduler.md": "flux_scheduler",
    "add-a-sampler.md": "biased_sampler",
    "add-a-machine.md": "campus_machine",
    "add-a-tracker.md": "line_tracker",
}


def blocks(page: str, language: str) -> list[str]:
    found: list[str] = re.findall(rf"```{language}\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)
    return found


@pytest.mark.parametrize(("page", "name"), PAGES.items())
def test_a_page_shows_the_whole_distribution(page: str, name: str) -> None:
    assert blocks(page, "python")[0] == (HERE / name / f"{name}.py").read_text()
    assert blocks(page, "toml")[0] == (HERE / name / "pyproject.toml").read_text()


@pytest.mark.parametrize("page", PAGES)
def test_the_test_that_a_page_shows_passes(page: str, all_installed: Path, tmp_path: Path) -> None:
    code = blocks(page, "python")[-1]
    (name,) = re.findall(r"def (test_\w+)", code)
    program = f"{code}\n{name}()\nprint('passed')\n"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": str(all_installed), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "passed\n", done.stderr

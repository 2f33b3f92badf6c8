"""docs/parameters.md says what the models say."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from qcsc_loop.cli.parameters_page import page

PAGE = Path(__file__).parents[3] / "docs" / "parameters.md"


def test_the_page_is_current(tmp_path: Path) -> None:
    """Else: python -m qcsc_loop.cli.parameters_page docs/parameters.md"""
    made = tmp_path / "parameters.md"
    # by an interpreter that knows no other models: other tests define some
    subprocess.run([sys.executable, "-m", "qcsc_loop.cli.parameters_page", made], check=True)
    assert PAGE.read_text() == made.read_text()


def test_it_has_every_algorithm_and_what_may_be_changed_on_resume() -> None:
    text = page()
    for name in ("bitcount", "sqd", "skqd", "vqe", "sampler aer", "machine hpc", "solver sbd"):
        assert f"### {name}\n" in text
    assert re.search(r"\| `shots` \| `100000` \| int, at least 1 \| shots per iteration \|", text)
    assert "| `ranks` * |" in text


def test_every_row_has_the_columns_of_its_head() -> None:
    rows = [line for line in page().splitlines() if line.startswith("| ")]
    assert len(rows) > 100
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {5}

"""docs/json.md names every field that `--json` has, and none that it has not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pages.blocks import ROOT
from system.command_line import CommandLine, command_line, setting

PAGE = (ROOT / "docs" / "json.md").read_text()
FEW = setting(num_qubits=3, shots=50, ranks=1, tolerance=0)
ONE = ["run", "bitcount", "--run-id", "one", *FEW, "--max-iterations", "1", "--no-prefect"]


def section(head: str) -> str:
    found = re.search(rf"^## {head}\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)
    assert found is not None
    return found[1]


def fields(head: str) -> set[str]:
    """The names in a table's first column."""
    cells = re.findall(r"^\| (`.*?) \|", section(head), flags=re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}


def row(command: str) -> set[str]:
    """The names that the last table has for a command."""
    found = re.search(rf"^\| `{command}` \| (.*?)(?:;|\|$)", section("Others"), re.MULTILINE)
    assert found is not None
    return set(re.findall(r"`(\w+)`", found[1]))


@pytest.fixture
def line(tmp_path: Path) -> Iterator[CommandLine]:
    with command_line(tmp_path / "line", tmp_path / "prefect") as opened:
        yield opened


def test_the_page_names_the_fields_that_there_are(line: CommandLine) -> None:
    def answer(*words: str) -> Any:  # JSON
        return line(*words, "--json").well().answer

    assert set(answer(*ONE)) == fields("run, resume")
    answer(*["two" if word == "one" else word for word in ONE], "--seed", "1")
    (first, _) = answer("list")
    assert set(first) == fields("list")
    assert set(answer("show", "one")) == fields("list") | fields("show")
    assert set(answer("diff", "one", "two")) == fields("diff")
    assert set(answer("export", "one")) == row("export")
    assert set(answer("import", "one.tar.gz", "--run-id", "three")) == row("import")
    assert set(answer("fork", "one", "--run-id", "four")) == row("fork")
    assert set(answer("reap", "one")) == row("reap")
    assert set(answer("describe")) == row("describe")

"""What stands beside the code says the same as it: versions, files, forms, workflows."""

from __future__ import annotations

import os
import re
import tomllib
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.specifiers import SpecifierSet

from parts import LONGEST, PARTS, part_of

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
VERSION: str = PROJECT["project"]["version"]
STORES = ROOT / "tests" / "fixtures" / "stores"
YAML = [ROOT / "CITATION.cff", *sorted((ROOT / ".github").rglob("*.yml"))]


def read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(path.read_text())
    return content


@pytest.mark.parametrize("path", YAML, ids=lambda path: path.name)
def test_files_for_other_programs_can_be_read(path: Path) -> None:
    assert read(path)


def test_the_citation_is_of_this_version_and_licence() -> None:
    citation = read(ROOT / "CITATION.cff")
    assert (citation["version"], citation["license"]) == (VERSION, PROJECT["project"]["license"])
    assert citation["authors"] == PROJECT["project"]["authors"]


def test_the_changelog_begins_with_this_version() -> None:
    heads = re.findall(r"^## \[(\S+)\]", (ROOT / "CHANGELOG.md").read_text(), flags=re.MULTILINE)
    assert next(head for head in heads if head != "Unreleased") == VERSION


def test_a_source_distribution_has_all_that_is_named() -> None:
    named = PROJECT["tool"]["hatch"]["build"]["targets"]["sdist"]["only-include"]
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_ci_runs_what_is_there() -> None:
    jobs = read(ROOT / ".github" / "workflows" / "ci.yml")["jobs"]
    steps = [step.get("run", "").strip() for job in jobs.values() for step in job["steps"]]
    assert steps.count(".ci/run") == 2  # by day, and by night with many kills
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_stores_of_older_versions_are_kept() -> None:
    kept = {path.name for path in STORES.iterdir() if path.is_dir()}
    assert kept == set(tomllib.loads((STORES / "expected.toml").read_text()))


def test_files_that_are_dealt_out_first_or_in_parts_are_there() -> None:
    assert [name for name in (*LONGEST, *PARTS) if not (ROOT / name).exists()] == []


def test_a_class_is_dealt_out_whole_and_a_short_file_too() -> None:
    long = "tests/system/test_prefect_server.py"
    assert part_of(f"{long}::TestOne::test_a[1]") == part_of(f"{long}::TestOne::test_b")
    assert part_of(f"{long}::TestOne::test_a") != part_of("tests/loop/test_limits.py::test_a")
    assert part_of("tests/loop/test_limits.py::test_a") == "tests/loop/test_limits.py"


def test_every_pinned_package_is_one_for_the_oldest_python_of_a_debian() -> None:
    """Of the packages that are installed here; Debian 12 has 3.11.2."""
    wanted = {
        found.metadata["Name"]: found.metadata["Requires-Python"]
        for found in distributions()
        if "Requires-Python" in found.metadata
    }
    too_new = {
        name: python
        for name, python in wanted.items()
        if not SpecifierSet(python).contains("3.11.2")
    }
    assert too_new == {}

"""`new`: what it writes runs, keeps its contract, and passes its own test and ours."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from system.command_line import CommandLine

NAMES = ("my_problem.py", "test_my_problem.py", "my_problem.toml")


@pytest.fixture
def written(qcsc_loop: CommandLine, tmp_path: Path) -> Path:
    folder = tmp_path / "mine"
    said = qcsc_loop("new", "my-problem", "--folder", folder).well().out
    assert f"qcsc-loop run {folder}/my_problem.py:MyProblem" in said
    assert sorted(path.name for path in folder.iterdir()) == sorted(NAMES)
    return folder


def test_it_runs_and_converges(qcsc_loop: CommandLine, written: Path) -> None:
    algorithm = f"{written}/my_problem.py:MyProblem"
    words = ("--params", written / "my_problem.toml", "--no-prefect", "--json")
    assert qcsc_loop("run", algorithm, *words).well().answer["reason"] == "converged"


def test_its_own_tests_pass_one_of_which_is_the_check(
    qcsc_loop: CommandLine, written: Path
) -> None:
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(written)]
    done = subprocess.run(
        words, cwd=written, env=qcsc_loop.environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout


def test_it_is_written_as_linters_want_it(written: Path) -> None:
    for words in (("check",), ("format", "--check", "--line-length", "100")):
        ruff = [sys.executable, "-m", "ruff", *words, "--isolated", "--no-cache", str(written)]
        done = subprocess.run(ruff, capture_output=True, text=True, check=False, cwd=written)
        assert done.returncode == 0, done.stdout + done.stderr


def test_nothing_is_overwritten_nor_half_written(qcsc_loop: CommandLine, written: Path) -> None:
    (written / "my_problem.toml").unlink()
    (written / "my_problem.py").write_text("mine")
    refusal = qcsc_loop("new", "my_problem", "--folder", written).refusal
    assert "my_problem.py is there already, and stays" in refusal
    assert (written / "my_problem.py").read_text() == "mine"
    assert not (written / "my_problem.toml").exists()


@pytest.mark.parametrize(
    "name", ["numpy", "pytest", "qcsc_hpc", "qcsc_algorithms", "yaml", "typing-extensions"]
)
def test_a_name_that_would_hide_an_installed_module_is_refused(
    qcsc_loop: CommandLine, tmp_path: Path, name: str
) -> None:
    said = qcsc_loop("new", name, "--folder", tmp_path / "mine").refusal
    module = name.replace("-", "_")
    assert f"{module!r} is a module that is installed" in said
    assert f"a file {module}.py hides from all that runs in its folder; take another name" in said
    assert not (tmp_path / "mine").exists()


def test_what_is_in_its_own_folder_hides_nothing(qcsc_loop: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "my_problem").mkdir()
    environment = {"PYTHONPATH": str(tmp_path)}
    qcsc_loop("new", "my_problem", "--folder", tmp_path, env=environment).well()
    again = qcsc_loop("new", "my_problem", "--folder", tmp_path, env=environment).refusal
    assert "my_problem.py is there already, and stays" in again
    elsewhere = qcsc_loop("new", "my_problem", "--folder", tmp_path / "other", env=environment)
    assert "is a module that is installed" in elsewhere.refusal


@pytest.mark.parametrize("name", ["9lives", "class", "random", "Upper", "a/b", "qcsc_loop", ""])
def test_a_name_that_is_none_is_refused(qcsc_loop: CommandLine, tmp_path: Path, name: str) -> None:
    assert qcsc_loop("new", "--folder", tmp_path / "mine", "--", name).refusal
    assert not (tmp_path / "mine").exists()

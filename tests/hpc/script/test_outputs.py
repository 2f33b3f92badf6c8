"""Results that were declared: a job's script and its driver say the same of them."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from qcsc_hpc.script.outputs import FAULT, OUTPUT_EXIT, checks, missing

BEFORE, START, AFTER = 1_800_000_000, 1_800_000_010, 1_800_000_020
AWKWARD = ["-e", "!", "it's", 'a "b"', "c d", "é", "back\\slash", "%s", "$HOME", "new\nline"]

Missing = Callable[[Path, Sequence[str]], str]


def missing_by_script(folder: Path, outputs: Sequence[str]) -> str:
    """What a job's script writes into its record."""
    finish = 'finish() { printf \'{"code":%d,"fault":"%s"}\' "$1" "$2"; exit; }'
    lines = [finish, *checks(outputs), "finish 0 ''"]
    done = subprocess.run(
        ["bash", "-c", "\n".join(lines)], cwd=folder, capture_output=True, check=True
    )
    record = json.loads(done.stdout)
    assert done.stderr == b""
    assert record["code"] == (OUTPUT_EXIT if record["fault"] else 0)
    return str(record["fault"]).removeprefix(FAULT)


@pytest.fixture(params=[missing, missing_by_script], ids=["driver", "script"])
def said(request: pytest.FixtureRequest) -> Missing:
    by: Missing = request.param
    return by


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Of a job that has started."""
    write(tmp_path / "started", "", START)
    return tmp_path


def write(path: Path, text: str, moment: int) -> None:
    path.write_text(text)
    os.utime(path, (moment, moment))


@pytest.mark.parametrize("moment", [START, AFTER])
def test_a_result_that_was_written_since_the_start_is_good(
    folder: Path, said: Missing, moment: int
) -> None:
    write(folder / "counts.npz", "data", moment)
    assert said(folder, ["counts.npz"]) == ""


def test_a_result_of_an_earlier_start_is_not_this_one_s(folder: Path, said: Missing) -> None:
    write(folder / "counts.npz", "data", BEFORE)
    assert said(folder, ["counts.npz"]) == "counts.npz is older than the job's start"


def test_an_empty_result_is_none(folder: Path, said: Missing) -> None:
    write(folder / "counts.npz", "", AFTER)
    assert said(folder, ["counts.npz"]) == "counts.npz is empty"


def test_a_result_that_is_not_there_is_missing(folder: Path, said: Missing) -> None:
    assert said(folder, ["counts.npz"]) == "it left no counts.npz"


def test_a_link_to_nothing_is_no_result(folder: Path, said: Missing) -> None:
    (folder / "counts.npz").symlink_to("nowhere")
    assert said(folder, ["counts.npz"]) == "it left no counts.npz"


def test_of_several_results_each_counts(folder: Path, said: Missing) -> None:
    write(folder / "a", "data", AFTER)
    write(folder / "b", "", AFTER)
    assert said(folder, ["a", "b"]) == "b is empty"


def test_a_folder_is_a_result(folder: Path, said: Missing) -> None:
    (folder / "many").mkdir()
    os.utime(folder / "many", (AFTER, AFTER))
    assert said(folder, ["many"]) == ""


def test_a_job_that_declares_nothing_misses_nothing(folder: Path, said: Missing) -> None:
    assert said(folder, []) == ""


@pytest.mark.parametrize("name", AWKWARD)
def test_a_name_is_taken_as_it_stands(folder: Path, said: Missing, name: str) -> None:
    before = said(folder, [name])
    write(folder / name, "data", AFTER)
    assert (before, said(folder, [name])) == (f"it left no {name}", "")

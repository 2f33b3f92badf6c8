"""The names of remote jobs: the same in every driver, and good for every scheduler."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import pytest

from qcsc_loop.jobs.key import JobKey

LONGEST_NAME = 63  # of a job, in PJM; Slurm and PBS take more
FACTS: dict[str, Any] = {
    "run_id": "h2o-seed-7",
    "run_uid": "2031-01-01T00:00:00+00:00",
    "iteration": 3,
    "step": "evaluate",
    "label": "walker-2",
    "name": "diagonalize",
    "attempt": 1,
}
OTHERS: dict[str, Any] = {
    "run_id": "h2o-seed-8",
    "run_uid": "2031-01-01T00:00:01+00:00",
    "iteration": 4,
    "step": "sample",
    "label": "walker-3",
    "name": "diagonalise",
    "attempt": 2,
}
AWKWARD = [
    "",
    "-",
    "---",
    "7",
    "Hamiltonian élevé",
    "水分子",
    "two\nlines",
    "a b\tc",
    "x" * 200,
    "$(rm -rf ~)",
    "a/b",
    "-leading",
    "trailing-",
    "١٢",  # digits that are not ours
    "\0",
]
differing = pytest.mark.parametrize("field", OTHERS)
awkwardly = pytest.mark.parametrize("text", AWKWARD)


def key(**changes: Any) -> JobKey:  # one value per field, of its type
    return JobKey(**{**FACTS, **changes})


def test_a_key_is_read_as_run_iteration_step_part_name_and_attempt() -> None:
    assert str(key()) == "h2o-seed-7/3/evaluate/walker-2/diagonalize.1"


def test_a_key_of_a_whole_step_shows_no_label() -> None:
    assert str(key(label="")) == "h2o-seed-7/3/evaluate/diagonalize.1"


def test_a_job_is_called_by_its_name_iteration_and_run() -> None:
    assert key().job_name.startswith("diagonalize-3-h2o-seed-7-")


def test_a_job_has_the_same_name_in_every_process() -> None:
    program = f"from qcsc_loop.jobs.key import JobKey; print(JobKey(**{FACTS!r}).job_name)"
    printed = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout
    assert printed.strip() == key().job_name


@differing
def test_jobs_that_differ_in_anything_have_different_names(field: str) -> None:
    assert key(**{field: OTHERS[field]}).job_name != key().job_name


def test_runs_of_one_id_in_two_stores_have_different_jobs() -> None:
    here, there = key(), key(run_uid=OTHERS["run_uid"])
    assert str(here) == str(there)
    assert here.job_name != there.job_name


@awkwardly
@pytest.mark.parametrize("field", ["name", "label", "run_id", "run_uid"])
def test_a_job_name_is_one_that_every_scheduler_takes(field: str, text: str) -> None:
    name = key(**{field: text}).job_name
    assert re.fullmatch(r"[A-Za-z][A-Za-z0-9-]*", name, re.ASCII)
    assert len(name) <= LONGEST_NAME


def test_a_job_name_of_nothing_but_long_parts_is_short_enough() -> None:
    long = "x" * 500
    name = key(name=long, label=long, run_id=long, step=long, iteration=10**30).job_name
    assert len(name) <= LONGEST_NAME


@pytest.mark.parametrize("field", ["name", "label", "run_id"])
def test_awkward_texts_give_as_many_different_job_names(field: str) -> None:
    assert len({key(**{field: text}).job_name for text in AWKWARD}) == len(AWKWARD)


def test_all_attempts_are_at_the_same_work() -> None:
    assert key(attempt=0).work == key(attempt=5).work


@pytest.mark.parametrize("field", ["iteration", "step", "label", "name"])
def test_another_iteration_step_part_or_name_is_other_work(field: str) -> None:
    assert key(**{field: OTHERS[field]}).work != key().work


def test_a_key_comes_back_from_json_as_it_was() -> None:
    assert JobKey.model_validate_json(key().model_dump_json()) == key()

"""Runs that an older version wrote: they are listed, shown, and resumed to the same bits."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.journal import Journal

STORES = Path(__file__).parents[1] / "fixtures" / "stores"
EXPECTED: dict[str, dict[str, dict[str, Any]]] = tomllib.loads(
    (STORES / "expected.toml").read_text()
)
RUNS = [(version, run_id) for version, runs in EXPECTED.items() for run_id in runs]
NEW_FIELDS = re.compile(  # SQD's
    rb'"spin_square":[^,]+,|,"(?:density|levels|dipole_integrals|fixed_dipole)":\{[^}]*\}'
    rb'|,"beta":null|,"shots":\[\]'
)
LONGEST_SECONDS = 300.0
LONG_AGO = 1_700_000_000.0


def copied(version: str, folder: Path, *run_ids: str) -> Path:
    """A store of these runs, at a place where it was never written; their leases have run out."""
    store = folder / "store"
    for run_id in run_ids:
        shutil.copytree(STORES / version / run_id, store / run_id, symlinks=True)
    for beat in store.rglob("*.beat"):
        os.utime(beat, (LONG_AGO, LONG_AGO))  # a checkout made it new
    return store


def said(store: Path, *words: str) -> str:
    """What a command that went well wrote to stdout."""
    done = subprocess.run(
        [sys.executable, "-m", "qcsc_loop.cli.main", *words, "--store", str(store)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        cwd=store.parent,
        env={k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "QCSC_LOOP_"))},
        timeout=LONGEST_SECONDS,
    )
    assert done.returncode == 0, (done.stdout, done.stderr)
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout


def answered(store: Path, *words: str) -> Any:
    """The JSON in the last line of stdout."""
    return json.loads(said(store, *words, "--json").splitlines()[-1])


def test_every_run_of_a_fixture_is_expected() -> None:
    there = {(file.parents[1].name, file.parent.name) for file in STORES.glob("*/*/run.json")}
    assert there == set(RUNS)


@pytest.mark.parametrize("version", EXPECTED)
def test_they_are_listed_in_the_order_of_their_creation(version: str, tmp_path: Path) -> None:
    runs = EXPECTED[version]
    store = copied(version, tmp_path, *runs)
    rows = answered(store, "list")
    assert [row["run_id"] for row in rows] == list(runs)
    for row in rows:
        expected = runs[row["run_id"]]
        for name in ("algorithm", "status", "iteration"):
            assert row[name] == expected[name], row
    table = said(store, "list")
    assert all(run_id in table for run_id in runs)


@pytest.mark.parametrize(("version", "run_id"), RUNS)
def test_it_is_shown(version: str, run_id: str, tmp_path: Path) -> None:
    expected = EXPECTED[version][run_id]
    store = copied(version, tmp_path, run_id)
    facts = answered(store, "show", run_id)
    for name in ("algorithm", "status", "iteration"):
        assert facts[name] == expected[name]
    assert facts["record"]["seed"] == expected["seed"]
    assert [commit["iteration"] for commit in facts["history"]] == [*range(facts["iteration"] + 1)]
    assert facts["history"][-1]["state_sha256"] == expected["state_sha256"]
    ends = [driver["end"] for driver in facts["drivers"]]
    assert [end["reason"] if end else "" for end in ends] == expected["drivers"]
    assert [job["state"] for job in facts["jobs"]] == expected["jobs"]
    assert run_id in said(store, "show", run_id)


def without_new_fields(store: Path, run_id: str) -> str:
    """The hash of a run's last state, as it was before the state had what it has learnt since."""
    journal = Journal(DirectoryStore(store), run_id)
    body = journal.checkpoint(journal.checkpoints()[0])[1].body
    return hashlib.sha256(NEW_FIELDS.sub(b"", body)).hexdigest()


@pytest.mark.guarantee("G27")
@pytest.mark.parametrize(("version", "run_id"), RUNS)
def test_a_resume_ends_where_the_older_version_would(
    version: str, run_id: str, tmp_path: Path
) -> None:
    expected = EXPECTED[version][run_id]
    store = copied(version, tmp_path, run_id)
    outcome = answered(store, "resume", run_id, "--no-prefect", *expected["resume"])
    for name in ("iteration", "resumed_from", "reason"):
        assert outcome[name] == expected["end"][name], name
    assert without_new_fields(store, run_id) == expected["end"]["state_sha256"]
    facts = answered(store, "show", run_id)
    assert [commit["iteration"] for commit in facts["history"]] == [
        *range(outcome["iteration"] + 1)
    ]
    assert facts["drivers"][-1]["end"]["reason"] == outcome["reason"]
    evaluations = [job for job in facts["jobs"] if job["step"] == "evaluate"]
    assert len(evaluations) == expected["end"]["evaluations"]
    states = {job["state"] for job in facts["jobs"]}  # a killed driver's warm job is over, too
    assert states <= {"COMPLETED", "FAILED", "PREEMPTED"}

"""`sqd-compare`: arms at one dimension, what they cost, going on after an interruption."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from qcsc_algorithms.sqd import SQD
from qcsc_algorithms.sqd.comparison import Comparison, compare
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.sweeping.plan import Plan
from qcsc_loop.sweeping.running import Manner
from system.documented import require_documented

WIDE: Any = {"geometry": "H 0 0 0; H 0 0 1; H 0 0 2; H 0 0 3", "basis": "6-31g"}
COMMAND = [sys.executable, "-m", "qcsc_loop.cli.main", "sqd-compare"]


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], dict[str, Any]]:
    """A small comparison as a command, and what it said."""
    store = tmp_path_factory.mktemp("compare")
    words = [
        *COMMAND,
        "--store",
        str(store),
        "--set",
        f"system.geometry={WIDE['geometry']}",
        "--set",
        "system.frozen_core=0",
        "--set",
        "shots=300",
        "--set",
        "max_strings=12",
        "--seeds",
        "2",
        "--iterations",
        "2",
        "--json",
    ]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    assert require_documented(["sqd-compare"], found) == "sqd-compare"
    return words, found


def test_every_arm_has_the_same_budget_and_the_classical_ones_none(command: Any) -> None:
    shots = dict.fromkeys(["de", "de-anew", "perturb", "random", "fixed"], 2 * 4 * 300)
    assert {row["arm"]: row["shots"] for row in command[1]["free"]} == shots | {"cisd": 0, "hci": 0}


def test_no_arm_has_more_strings_than_the_smallest_reaches(command: Any) -> None:
    _, found = command
    least = min(row["strings"] for row in found["free"])
    assert found["matched_limit"] <= least < found["limit"] == 12  # of rows that are medians
    assert all(row["strings"] <= least for row in found["matched"])


def test_it_is_said_how_many_trials_an_arm_took(command: Any) -> None:
    taken = {row["arm"]: row["taken"] for row in command[1]["free"]}
    assert (taken["cisd"], taken["hci"]) == ("nan", "nan")  # no second iteration
    assert all(
        0 <= share <= 1 and share * 8 % 1 == 0  # of two members, one iteration of four walkers each
        for arm, share in taken.items()
        if arm not in ("cisd", "hci")
    )
    assert any(taken[arm] for arm in ("de", "perturb", "random", "fixed"))


def test_a_smaller_space_has_no_lower_energy(command: Any) -> None:
    free = {row["arm"]: row["median"] for row in command[1]["free"]}
    assert all(row["median"] >= free[row["arm"]] - 1e-3 for row in command[1]["matched"])
    assert all(row["lowest"] <= row["median"] <= row["highest"] for row in command[1]["free"])


def test_the_same_command_reads_what_is_finished(command: Any, tmp_path: Path) -> None:
    words, found = command
    store = Path(words[words.index("--store") + 1])
    before = sorted(store.rglob("*.json"))
    again = subprocess.run(words, capture_output=True, text=True, check=True)
    assert json.loads(again.stdout.splitlines()[-1]) == found
    # one more driver of each of the two sweeps, and none of a run
    added = {file.relative_to(store).parts[0] for file in set(store.rglob("*.json")) - set(before)}
    assert added <= {"_sweeps"}


def test_every_member_at_the_matched_limit_reaches_it(command: Any) -> None:
    _, found = command
    assert found["dimension_matched"] is True
    assert {row["strings"] for row in found["matched"]} == {found["matched_limit"]}


def test_two_seeds_claim_nothing_and_it_is_said_how_many_would(command: Any) -> None:
    _, found = command
    assert (found["seeds"], found["seeds_at_least"], len(found["claims"])) == (2, 8, 6)
    assert all("no claim from 2 seeds: it takes at least 8" in each for each in found["claims"])
    paired = [row["paired"] for row in found["matched"] if row["paired"]]
    assert {(each["baseline"], each["seeds"], each["claimed"]) for each in paired} == {
        ("de", 2, False)
    }


def test_its_arms_are_a_sweep_like_any_other(command: Any) -> None:
    words, found = command
    store = words[words.index("--store") + 1]
    shown = subprocess.run(
        [*COMMAND[:-1], "sweep", "show", found["sweeps"]["free"], "--json", "--store", store],
        capture_output=True,
        text=True,
        check=True,
    )
    rows = json.loads(shown.stdout)["rows"]
    assert [row["median"] for row in rows] == [row["median"] for row in found["free"]]


def test_arms_that_all_reach_the_limit_are_run_once(tmp_path: Path) -> None:
    small: Any = {"geometry": "H 0 0 0; H 0 0 0.735", "basis": "sto-3g"}
    sqd, store = SQD(system=small, shots=200, max_strings=1), DirectoryStore(tmp_path)
    told: list[str] = []

    def manner(plan: Plan) -> Manner:
        told.append(plan.name)
        return Manner()

    def again(seeds: int) -> Comparison:
        arms = ["perturb", "random"]
        call = partial(compare, sqd, store=store, arms=arms, iterations=1, manner=manner)
        return anyio.run(partial(call, seeds=seeds))

    found = again(1)
    assert found.free is found.matched and found.matched.limit == 1
    assert len(told) == 1
    more = again(3)
    assert (more.seeds, again(2).seeds) == (3, 3)  # those that there are count, too
    assert len(set(told)) == 1


def test_an_unknown_arm_is_refused_in_one_sentence(tmp_path: Path) -> None:
    words = [*COMMAND, "--arms", "de,annealing", "--store", str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == (
        "qcsc-loop: --arms: there is no arm 'annealing'. "
        "Valid parameters: de, de-anew, perturb, random, fixed, cisd, hci.\n"
    )
    assert not list(tmp_path.iterdir())

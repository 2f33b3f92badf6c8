"""`check_algorithm` passes what keeps the contract of hooks, and names what breaks it, and where."""

from __future__ import annotations

import json
import os
import re
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

from loop.testing.impure import Impure, Impurity, Loud, Repeats
from qcsc_loop.errors import CheckFailed, InputError
from qcsc_loop.rules.stop import MaxIterations
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.testing import Checked, check_algorithm, find_impurities, replay
from qcsc_loop.testing.checking.clock import EARLIER
from qcsc_loop.testing.checking.orders import Life
from qcsc_loop.testing.checking.process import living_process
from system.command_line import command_line, setting
from system.documented import require_documented


def tried(impurity: Impurity, **options: Any) -> Checked:
    few: dict[str, Any] = {"iterations": 2, "kills": 0} | options
    return find_impurities(Impure(impurity=impurity), **few)


def test_a_pure_algorithm_is_resumed_and_killed_everywhere_with_the_same_bits() -> None:
    checked = check_algorithm(Impure(), iterations=1)

    assert checked.findings == []
    assert checked.notes == []
    assert checked.kills > 10
    assert f"killed at {checked.kills} of its {checked.kills} write boundaries, and resumed" in (
        checked.done
    )


RARE = pytest.mark.thorough  # each is found as its neighbour above is


@pytest.mark.guarantee("G9")
@pytest.mark.parametrize(
    ("impurity", "when", "cause"),
    [
        ("global randomness", "global random generators have another state", "random at impure.py"),
        (
            "the environment",
            "the environment has another IMPURE_FACTOR",
            "IMPURE_FACTOR at impure.py",
        ),
        ("the clock", "it is run again", "time at impure.py"),
        pytest.param(
            "numpy's global randomness",
            "global random generators have another state",
            "numpy.random at impure.py",
            marks=RARE,
        ),
        pytest.param("a random id", "it is run again", "uuid4 at impure.py", marks=RARE),
        pytest.param(
            "a hash", "Python's hash seed is another one", "hash at impure.py", marks=RARE
        ),
        pytest.param("memory of calls", "it was run before in the same process", "", marks=RARE),
        pytest.param("the folder", "it is started in another folder", "", marks=RARE),
        pytest.param("a file", "it was run before in the same process", "", marks=RARE),
        pytest.param("the process", "it is run again", "getpid at impure.py", marks=RARE),
        pytest.param("threads", "it has more threads", "OMP_NUM_THREADS at", marks=RARE),
        pytest.param("order of parts", "parts are begun in another order", "", marks=RARE),
        ("a set's order", "Python's hash seed is another one", ""),
        ("unwritten memory", "memory that it has not written", "empty at impure.py"),
        ("the host", "it is on another machine", "gethostname at impure.py"),
        pytest.param("processors", "it is on another machine", "cpu_count at", marks=RARE),
        pytest.param("the time zone", "it is on another machine", "localtime at", marks=RARE),
        pytest.param("order of files", "it is on another machine", "", marks=RARE),
        pytest.param("an object's id", "it is run in another process", "id at", marks=RARE),
        ("what its file has read", "the environment has another IMPURE_AT_IMPORT", ""),
        ("when its file was imported", "its file was imported in another folder", ""),
        pytest.param("the home", "the environment has another HOME", "HOME at", marks=RARE),
        ("a program's environment", "the environment has another HOME", ""),
        ("the hour", "its clock shows another year", "now at impure.py"),
        pytest.param("the year", "its clock shows another year", "gmtime at", marks=RARE),
        pytest.param("its processors", "it is on another machine", "", marks=RARE),
    ],
)
def test_what_a_hook_depends_on_is_named(impurity: Impurity, when: str, cause: str) -> None:
    findings = tried(impurity).findings

    found = next(finding for finding in findings if finding.check.startswith(when))
    assert (found.hook, found.iteration) == ("evaluate", 1)
    assert found.part == ("text" if "order of parts" in impurity or "set" in impurity else "number")
    assert cause in found.words


def test_what_was_drawn_at_the_import_is_blamed_on_nothing_else() -> None:
    (finding,) = tried("what its file has drawn").findings

    assert finding.check.startswith("it is run in another process (something that was read when")
    assert (finding.hook, finding.iteration, finding.part) == ("evaluate", 1, "number")


def test_another_time_differs_in_all_that_a_clock_shows() -> None:
    for day in range(4 * 366):
        now = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=day, hours=day % 24)
        parts = zip(now.timetuple()[:7], (now - EARLIER).timetuple()[:7], strict=True)
        assert all(one != other for one, other in parts)


@pytest.mark.parametrize(
    ("impurity", "changed"),
    [
        ("an argument", "state.items"),
        ("a parameter", "the parameter box"),
        ("itself", "self.calls"),
        ("what it keeps", "self._kept"),
    ],
)
def test_what_a_hook_changes_is_named(impurity: Impurity, changed: str) -> None:
    (finding,) = tried(impurity, iterations=1).findings

    assert (finding.hook, finding.iteration) == ("evaluate", 1)
    assert finding.part.startswith(changed.removeprefix("the parameter "))
    assert finding.words.startswith("Impure.evaluate (impure.py:")
    assert f") changed {changed} in iteration 1" in finding.words


@pytest.mark.parametrize(
    ("ends", "words"),
    [
        ("well", ""),
        ("raises", r"Loud.evaluate raised ValueError in iteration 1 at impure.py:\d+: it is wrong"),
        ("exits", r"Loud.evaluate raised SystemExit in iteration 1 at impure.py:\d+: 3"),
        ("dies", "the process of Loud.evaluate in iteration 1 ended: killed by SIGKILL"),
    ],
)
def test_what_a_life_says_and_starts_holds_nobody_up(tmp_path: Path, ends: Any, words: str) -> None:
    with living_process(Loud(ends=ends)) as live:
        life = Life(store=str(tmp_path / "store"), iterations=1, seed=0, folder=str(tmp_path))
        lived = live(life)

    os.kill(int((tmp_path / "child").read_text()), signal.SIGKILL)  # it is still there
    assert re.fullmatch(words, lived.error)
    assert (lived.hook, lived.iteration) == (("evaluate", 1) if words else ("", 0))
    assert ("the last line" in lived.said) == bool(words)


def test_what_changes_no_bit_is_a_note() -> None:
    checked = tried("clock in a log", iterations=1)

    assert checked.findings == []
    (note,) = checked.notes
    assert note.startswith("evaluate asks for the clock (time at impure.py:")


def test_what_a_kill_changes_is_named_with_the_write() -> None:
    findings = find_impurities(Repeats(), iterations=2, kills=0).findings

    assert findings[0].hook == "update"
    assert "it is resumed after iteration" in " ".join(finding.check for finding in findings)


def test_a_class_in_a_function_is_refused_in_a_sentence() -> None:
    class Local(Impure):
        pass

    with pytest.raises(InputError, match="outside of any function"):
        check_algorithm(Local())


def test_findings_are_raised_in_a_sentence() -> None:
    with pytest.raises(CheckFailed, match=r"Impure does not give the same bits .*Impure\.evaluate"):
        check_algorithm(Impure(impurity="the clock"), iterations=1, kills=0)


def test_updates_are_made_again_from_what_is_stored(run_store: DirectoryStore) -> None:
    anyio.run(lambda: Impure().run(store=run_store, run_id="kept", stop=MaxIterations(3)))

    again = anyio.run(lambda: replay("kept", store=run_store))
    assert [(each.iteration, each.same) for each in again] == [(1, True), (2, True), (3, True)]

    other = anyio.run(lambda: replay("kept", store=run_store, algorithm=Repeats()))
    assert next((each.same, each.part) for each in other) == (False, "total")


def test_the_command_line_says_what_was_found(tmp_path: Path) -> None:
    file = f"{Path(__file__).with_name('impure.py')}:Impure"
    few = ["--iterations", "1", "--kills", "0"]
    with command_line(tmp_path, tmp_path) as qcsc_loop:
        result = qcsc_loop("check", file, *setting(impurity="the clock"), *few, "--json")

    assert result.code == 1
    found, error = map(json.loads, result.out.splitlines())
    assert require_documented(["check"], found) == "check" and found["findings"]
    assert require_documented(["check"], error) == "error"
    assert "Impure.evaluate returns something else in iteration 1 (number)" in result.refusal
    assert "the clock: time at impure.py:" in result.refusal

"""`qcsc-loop sweep`: a file as a person has it, its table, picture and page; ended and gone on with."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest
import tomlkit

from chromium import Chromium
from qcsc_loop.reports.status import RunStatus
from qcsc_loop.reports.view import RunReader
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.sweeping.facts import ListedFacts, SweepFacts
from qcsc_loop.sweeping.sweep_journal import SweepJournal
from system.command_line import WANDER, CommandLine, files_below
from system.interpreter import SCRIPT
from system.terminal import terminal
from waiting import DEADLINE_SECONDS, until


def described(line: CommandLine, **more: Any) -> Path:
    """A file of two settings with two seeds."""
    content = {
        "name": "wander",
        "algorithm": WANDER,
        "seeds": 2,
        "grid": {"size": [4, 8]},
        "stop": {"max_iterations": 3},
    } | more
    file = line.folder / "wander.toml"
    file.write_text(tomlkit.dumps(content))
    return file


class Gate:
    """Holds every member in `sample` of iteration 2."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.reached, self._open = folder / "2.reached", folder / "2.open"
        self.parameters = {"gate": str(folder), "gates": [2]}

    def open(self) -> None:
        self._open.touch()


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return Gate(tmp_path / "gate")


def standing(line: CommandLine) -> dict[str, Any]:
    found: dict[str, Any] = line("sweep", "show", "wander", "--json").well().answer
    return found


class TestDone:
    @pytest.fixture
    def line(self, qcsc_loop: CommandLine) -> CommandLine:
        qcsc_loop("sweep", described(qcsc_loop)).well()
        return qcsc_loop

    def test_everything_about_it(self, line: CommandLine) -> None:
        """One sweep for what only reads it."""
        self._members_are_runs_like_others(line)
        self._json_is_of_the_documented_form(line)
        self._a_table_for_other_programs(line)
        self._again_does_nothing(line)

    def _members_are_runs_like_others(self, line: CommandLine) -> None:
        runs = {row["run_id"]: row["status"] for row in line("list", "--json").well().answer}
        assert set(runs) == {"wander-4-s0", "wander-4-s1", "wander-8-s0", "wander-8-s1"}
        assert set(runs.values()) == {"max_iterations"}
        assert "stopped after 3 iterations" in line("show", "wander-8-s1").well().out

    def _json_is_of_the_documented_form(self, line: CommandLine) -> None:
        found = SweepFacts.model_validate(standing(line))
        assert (found.status, found.next) == ("done", "")
        (listed,) = line("sweep", "list", "--json").well().answer
        assert ListedFacts.model_validate(listed).members == 4
        assert "wander" in line("sweep", "list").well().out

    def _a_table_for_other_programs(self, line: CommandLine) -> None:
        text = line("sweep", "show", "wander", "--csv").well().out
        rows = list(csv.DictReader(io.StringIO(text)))
        assert [row["run_id"] for row in rows][::3] == ["wander-4-s0", "wander-8-s1"]
        assert {row["status"] for row in rows} == {"done"}

    def _again_does_nothing(self, line: CommandLine) -> None:
        before = [name for name in files_below(line.store) if not name.startswith("_sweeps")]
        answer = line("sweep", line.folder / "wander.toml", "--json").well().answer
        assert answer["status"] == "done"
        after = [name for name in files_below(line.store) if not name.startswith("_sweeps")]
        assert after == before

    def test_a_page_and_a_picture(
        self, line: CommandLine, chromium: Chromium, tmp_path: Path
    ) -> None:
        page, picture = tmp_path / "wander.html", tmp_path / "wander.svg"
        line("sweep", "report", "wander", "-o", page).well()
        piped = line("sweep", "report", "wander", "-o", "-").well()
        assert piped.out.startswith("<!doctype html>")
        line("sweep", "plot", "wander", "-o", picture).well()
        assert picture.read_text().startswith("<svg") and "size=8" in picture.read_text()
        with chromium.open(page) as opened:
            text = opened.text()
            height = opened.value("document.querySelector('svg').getBoundingClientRect().height")
        assert opened.errors == [] and opened.requests == [page.as_uri()]
        assert "4 members: 4 done" in text and "size=8" in text and "wander-8-s1" in text
        assert height > 100


def test_what_is_wrong_in_a_file_is_one_sentence_and_nothing_is_written(
    qcsc_loop: CommandLine,
) -> None:
    result = qcsc_loop("sweep", described(qcsc_loop, at_once=0))
    assert result.code == 2
    assert "wander.toml, line 4: at_once: input should be greater than or equal to 1" in (
        result.refusal
    )
    missing = qcsc_loop("sweep", "nowhere.toml")
    assert missing.code == 2 and "nowhere.toml: it cannot be read" in missing.refusal
    unknown = qcsc_loop("sweep", "nowhere")
    assert unknown.code == 2 and "there is no sweep 'nowhere'" in unknown.refusal
    for more in (["--dry-run"], []):
        unnamed = qcsc_loop("sweep", described(qcsc_loop), "--name", "A B", *more)
        assert unnamed.code == 2 and "--name: 'A B' cannot be a sweep's name" in unnamed.refusal
    assert files_below(qcsc_loop.store) == []


def test_a_changed_file_is_said_and_another_name_begins_anew(qcsc_loop: CommandLine) -> None:
    qcsc_loop("sweep", described(qcsc_loop)).well()
    changed = described(qcsc_loop, grid={"size": [4]})
    refused = qcsc_loop("sweep", changed)
    assert refused.code == 2
    assert "2 members gone: size=8, seed 0" in refused.refusal
    assert (
        qcsc_loop("sweep", changed, "--name", "other", "--json").well().answer["sweep"] == "other"
    )


def test_a_dry_run_says_what_would_run_and_starts_nothing(qcsc_loop: CommandLine) -> None:
    file = described(qcsc_loop, budget={"shots": 100, "iteration": {"shots": 5}})
    said = qcsc_loop("sweep", file, "--dry-run").well().out
    assert "would begin wander: 4 members" in said
    assert "at most 80 shots, of a budget of 100" in said
    answer = qcsc_loop("sweep", file, "--dry-run", "--json").well().answer
    assert (answer["new"], answer["at_most"]) == (True, {"shots": 80.0})
    assert files_below(qcsc_loop.store) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_all_members_in_order_and_the_name_goes_on(
    qcsc_loop: CommandLine, gate: Gate, number: signal.Signals
) -> None:
    driver = qcsc_loop.start("sweep", described(qcsc_loop, parameters=gate.parameters), "--json")
    driver.until_there_is(gate.reached)
    driver.send(number)
    result = driver.result()
    assert result.code == 128 + number
    assert "finished steps of all members are kept: qcsc-loop sweep wander" in result.err
    store = DirectoryStore(qcsc_loop.store)
    reached = RunReader(store, "wander-4-s0").look()
    assert reached.status is RunStatus.INTERRUPTED
    assert standing(qcsc_loop)["status"] == "interrupted"
    gate.open()
    assert qcsc_loop("sweep", "wander", "--json").well().answer["status"] == "done"


def test_in_the_background_it_goes_on_and_a_second_one_is_told_who_it_is(
    qcsc_loop: CommandLine, gate: Gate
) -> None:
    file = described(qcsc_loop, parameters=gate.parameters)
    answer = qcsc_loop("sweep", file, "-d", "--json").well().answer
    driver = psutil.Process(answer["pid"])
    try:
        until(gate.reached.exists, "a member is in its hook")
        second = qcsc_loop("sweep", file)
        assert second.code == 3
        assert f"is being driven by process {driver.pid}" in second.refusal
        assert standing(qcsc_loop)["status"] == "running"
        gate.open()
        driver.wait(DEADLINE_SECONDS)
    finally:
        if driver.is_running():
            driver.kill()
    assert standing(qcsc_loop)["status"] == "done"
    output = Path(answer["output"]).read_text()
    assert "wander-8-s1: stopped after 3 iterations" in output


def test_a_pipe_has_a_line_for_what_counts(qcsc_loop: CommandLine) -> None:
    out = qcsc_loop("sweep", described(qcsc_loop)).well().out
    lines = out.splitlines()
    assert sum("stopped after 3 iterations" in line for line in lines) == 4
    assert "wander: 4 members: 4 done" in out
    assert "\x1b" not in out


def test_a_terminal_has_a_line_a_member_and_keeps_the_table(
    qcsc_loop: CommandLine, gate: Gate
) -> None:
    file = described(qcsc_loop, seeds=20, parameters=gate.parameters)
    words = [str(SCRIPT), "sweep", str(file)]
    with terminal(words, qcsc_loop.environment, rows=24, columns=80) as shown:
        picture = shown.until(lambda text: "sample of 2" in text, "members go on")
        lines = picture.splitlines()
        assert len(lines) <= 24 and max(map(len, lines)) <= 80
        assert any("40 members: 36 waiting, 4 running" in line for line in lines)
        assert "more: " in lines[-1] or "more: " in lines[-2]
        gate.open()
        ended = shown.end()
    text = "\n".join(ended.screen())
    assert ended.code == 0 and "wander: 40 members: 40 done" in text
    assert "size=4" in text and ended.cursor_is_visible


def test_a_member_that_fails_is_named_and_the_code_says_so(qcsc_loop: CommandLine) -> None:
    trace = qcsc_loop.folder / "trace"
    (bad := Path(f"{trace}.bad")).touch()
    raises = {"algorithm": WANDER.replace("Wander", "Raises"), "parameters": {"trace": str(trace)}}
    file = described(qcsc_loop, grid={}, **raises)
    result = qcsc_loop("sweep", file)
    assert result.code == 1
    assert "wander-s0 failed: Raises.evaluate raised ValueError in iteration 2" in result.out
    assert "Traceback" not in result.out + result.err
    assert standing(qcsc_loop)["status"] == "incomplete"
    bad.unlink()
    assert qcsc_loop("sweep", file, "--json").well().answer["status"] == "done"


def test_the_examples_are_sweeps(qcsc_loop: CommandLine) -> None:
    for file in sorted(Path(__file__).parents[2].glob("examples/sweeps/*.toml")):
        answer = qcsc_loop("sweep", file, "--dry-run", "--json").well().answer
        assert answer["plan"]["members"], file


def test_its_records_are_json_that_people_can_read(qcsc_loop: CommandLine) -> None:
    qcsc_loop("sweep", described(qcsc_loop)).well()
    folder = qcsc_loop.store / "_sweeps" / "wander"
    lines = (folder / "decisions.jsonl").read_text().splitlines()
    assert {json.loads(line)["kind"] for line in lines} == {"ended"}
    assert SweepJournal(DirectoryStore(qcsc_loop.store), "wander").plan().at_once == 4
    assert os.access(folder / "plan-0001.json", os.R_OK)

"""A plug-in that fails is skipped and named with its distribution; it breaks no command of ours."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from plugins.installed import install
from system.command_line import CommandLine, command_line, setting

SMALL = setting(num_qubits=3, shots=20)


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    """The console script beside a distribution of which everything fails, with a run."""
    folder = tmp_path_factory.mktemp("broken")
    site = folder / "site-packages"
    site.mkdir()
    install("broken_tools", site)
    with command_line(folder / "line", folder / "prefect", PYTHONPATH=str(site)) as line:
        words = ("run", "bitcount", "--no-prefect", "--max-iterations", "1", "--run-id", "whole")
        line(*words, *SMALL).well()
        yield line


COMMANDS = ("broken-attribute", "broken-command", "broken-panics", "broken-text")


def test_help_lists_all_commands_and_says_whose_they_are(line: CommandLine) -> None:
    said = line("--help").well().out
    assert all(command in said for command in COMMANDS)
    assert said.count("A command of broken-tools.") == len(COMMANDS)


@pytest.mark.guarantee("S1")
@pytest.mark.parametrize("words", [("list",), ("show", "whole"), ("reap", "whole")], ids=str)
def test_it_breaks_no_reading(line: CommandLine, words: tuple[str, ...]) -> None:
    assert "whole" in line(*words).well().out


@pytest.mark.guarantee("S1")
def test_it_breaks_no_resume(line: CommandLine) -> None:
    done = line("resume", "whole", "--no-prefect", "--max-iterations", "2", "--json").well()
    assert done.answer["iteration"] == 2


WHY = {
    "broken-attribute": "AttributeError",
    "broken-command": "RuntimeError: the licence server is away",
    "broken-panics": "Panic: index out of bounds",
    "broken-text": "is no click command",
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_that_fails_says_why(line: CommandLine, command: str) -> None:
    said = line(command, "word", "--option", "--help").refusal
    assert f"the plug-in {command!r} of distribution broken-tools failed to load" in said
    assert WHY[command] in said


def test_an_algorithm_that_fails_says_whose_it_is(line: CommandLine) -> None:
    said = line("run", "broken-algorithm", "--no-prefect").refusal
    assert "distribution broken-tools offers it" in said
    assert "RuntimeError: the licence server is away" in said


def test_a_type_that_nobody_knows_may_be_of_one_that_fails(line: CommandLine) -> None:
    said = line("run", "bitcount", "--no-prefect", "--set", "sampler.type=broken-half").refusal
    known, _, failed = said.partition("; the plug-in")
    assert "type must be one of aer" in known
    assert "broken-half" not in known.partition("(given")[0]
    for name, why in {
        "broken-half": "ImportError: no libfridge.so",
        "broken-leaves": "SystemExit: needs a newer interpreter",
        "broken-missing": "ModuleNotFoundError",
        "broken-raises": "RuntimeError: the licence server is away",
    }.items():
        assert f"{name!r} of distribution broken-tools failed to load" in f"the plug-in{failed}"
        assert why in failed


@pytest.mark.parametrize(
    ("name", "why"),
    [("broken-scheduler", "the licence server is away"), ("broken-text", "is no Scheduler")],
)
def test_a_scheduler_that_fails_says_why(line: CommandLine, name: str, why: str) -> None:
    profile = {"type": "hpc", "hpc_profile": {"scheduler": name}}
    said = line("run", "bitcount", "--no-prefect", *SMALL, *setting(machine=profile)).refusal
    assert f"the plug-in {name!r} of distribution broken-tools failed to load" in said
    assert why in said


def test_doctor_has_each_of_them(line: CommandLine) -> None:
    nowhere = {"PREFECT_API_URL": "http://127.0.0.1:9/api"}
    result = line("doctor", "--json", env=nowhere)
    answer = json.loads(result.out.splitlines()[-1])
    ill = [
        f["fact"]
        for f in answer["findings"]
        if f["what"] == "plug-ins of broken-tools" and not f["well"]
    ]
    named = {fact.partition("'")[2].partition("'")[0] for fact in ill}
    assert named >= {
        "broken-algorithm",
        "broken-half",
        "broken-leaves",
        "broken-missing",
        "broken-raises",
        "broken-flow",
        "broken-attribute",
        "broken-command",
        "broken-panics",
        "broken-check",
        "broken-blocks",
        "broken-scheduler",
    }
    assert result.code == 1


@pytest.mark.guarantee("S2")
def test_a_name_of_ours_is_nobody_else_s(
    line_with: Callable[..., CommandLine], tmp_path: Path
) -> None:
    line = line_with()
    info = tmp_path / "site-packages" / "thief-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: thief\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[qcsc_loop.algorithms]\nbitcount = no_such:Thief\n")
    line("run", "bitcount", "--no-prefect", "--max-iterations", "1", *SMALL).well()

"""What commands print with `--json` is as docs/json.schema.json has it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from qcsc_loop.testing.checking.findings import Checked
from system.command_line import TOYS, WANDER, CommandLine
from system.documented import PAGE, SCHEMAS, definition, require_documented, with_json

ROOT = PAGE.parents[1]
ALGORITHM = ("--no-prefect", "--max-iterations", "3")
# answers of these are read, and so held to their definitions, where there is what they need: a
# Prefect server, a check's many lives, a saved block of another program's, a comparison's minute
ELSEWHERE = {
    "check": "tests/loop/testing/test_checking.py",
    "doctor": "tests/system/test_own_server.py",
    "server": "tests/system/test_own_server.py",
    "server-stop": "tests/system/test_own_server.py",
    "deploy": "tests/system/test_deployments.py",
    "supervise": "tests/system/test_chain.py",
    "emit-event": "tests/system/test_run_events.py",
    "emit-seen": "tests/system/test_deployments.py",
    "blocks": "tests/system/test_jobs_command_line.py",
    "blocks-import": "tests/system/test_tutorials.py",
    "sqd-compare": "tests/algorithms/sqd/test_comparison.py",
}


@pytest.mark.parametrize("command", sorted(with_json()))
def test_every_command_that_has_it_has_a_schema(command: str) -> None:
    assert definition(command.split(" ")) in SCHEMAS


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_is_one(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMAS[name])


def test_what_is_made_of_types_is_current(tmp_path: Path) -> None:
    """Else: python -m docs.builder.schemas"""
    made = tmp_path / "json.schema.json"
    # by an interpreter that knows no other models: other tests define some
    words = [sys.executable, "-m", "docs.builder.schemas", str(made)]
    subprocess.run(words, check=True, cwd=ROOT)
    assert PAGE.read_text() == made.read_text()


def test_an_answer_that_is_otherwise_is_refused() -> None:
    checked = dict(vars(Checked("Toy", 3)))
    assert require_documented(["check", "toy"], checked) == "check"
    for other in (checked | {"more": 1}, checked | {"kills": "1"}, {"algorithm": "Toy"}):
        with pytest.raises(jsonschema.ValidationError):
            require_documented(["check", "toy"], other)


def test_what_commands_print_is_as_it_says(qcsc_loop: CommandLine, tmp_path: Path) -> None:
    seen: set[str] = set()

    def said(name: str, *words: str | Path, fails: bool = False) -> None:
        done = qcsc_loop(*words, "--json")
        answer = (done if fails else done.well()).answer
        assert require_documented([*map(str, words)], answer) == name
        seen.add(name)

    said("run-dry-run", "run", WANDER, *ALGORITHM, "--run-id", "one", "--dry-run")
    said("run", "run", WANDER, *ALGORITHM, "--run-id", "one")
    said("run", "resume", "one", "--no-prefect", "--max-iterations", "4")
    said("run", "run", WANDER, *ALGORITHM, "--run-id", "two", "--seed", "1")
    (tmp_path / "trace.bad").touch()
    bad = ("--set", f"trace={tmp_path}/trace", "--run-id", "bad")
    said("error", "run", f"{TOYS}:Raises", *ALGORITHM, *bad, fails=True)
    said("list", "list")
    said("show", "show", "one")
    said("show", "show", "bad", fails=True)  # the run has failed; its traceback is in the answer
    said("show-log", "show", "bad", "--log")
    said("show-tables", "show", "one", "--tables")
    said("diff", "diff", "one", "two")
    said("describe-all", "describe")
    said("describe-kind", "describe", "stop-rule")
    said("describe", "describe", WANDER)
    said("new", "new", "mine", "--folder", tmp_path / "new")
    said("export", "export", "one", "-o", tmp_path / "one.tar.gz")
    said("export-csv", "export", "one", "--csv", "-o", tmp_path / "one.csv")
    said("import", "import", tmp_path / "one.tar.gz", "--run-id", "three")
    said("fork", "fork", "one", "--from", "2", "--run-id", "four")
    said("cancel", "cancel", "bad", "nobodys", fails=True)
    said("gc", "gc", "--older", "0s")
    said("reap", "reap", "one")
    said("detach", "run", WANDER, *ALGORITHM, "--run-id", "five", "-d")
    sweep = tmp_path / "wander.toml"
    sweep.write_text(f'algorithm = "{WANDER}"\nseeds = 1\n[stop]\nmax_iterations = 1\n')
    said("sweep-dry-run", "sweep", sweep, "--dry-run")
    said("sweep", "sweep", sweep)
    said("sweep", "sweep", "show", "wander")
    said("sweep-list", "sweep", "list")
    said("sweep-detach", "sweep", sweep, "-d")
    said("error", "sweep", "show", "nobodys", fails=True)
    assert set(SCHEMAS) - seen == set(ELSEWHERE)

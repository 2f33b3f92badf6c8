"""What commands print with `--json` is as docs/json.schema.json has it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import jsonschema
import pytest

from qcsc_loop.cli.commands import commands
from qcsc_loop.cli.driving import DrivingCommand
from system.command_line import TOYS, WANDER, CommandLine

PAGE = Path(__file__).parents[2] / "docs" / "json.schema.json"
SCHEMAS = json.loads(PAGE.read_text())["$defs"]
# what they print is of a Prefect server, and said in words in docs/json.md
OF_A_SERVER = ("deploy", "supervise", "emit", "blocks", "server", "sweep")
ALGORITHM = ("--no-prefect", "--max-iterations", "3")


def with_json(group: click.Group, before: str = "") -> Iterator[str]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from with_json(command, f"{before}{name} ")
        elif isinstance(command, DrivingCommand) or any(
            option.name == "as_json" for option in command.params
        ):
            yield before + name


@pytest.mark.parametrize("command", sorted(with_json(commands)))
def test_every_command_that_has_it_has_a_schema(command: str) -> None:
    titles = ", ".join(schema["title"] for schema in SCHEMAS.values())
    named = {title.split(" ")[0] for title in titles.split(", ")}
    assert command.split(" ")[0] in {*named, *OF_A_SERVER}


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_is_one(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMAS[name])


def test_what_commands_print_is_as_it_says(qcsc_loop: CommandLine, tmp_path: Path) -> None:
    seen: set[str] = set()

    def said(name: str, *words: str | Path, fails: bool = False) -> Any:
        done = qcsc_loop(*words, "--json")
        answer = (done if fails else done.well()).answer
        jsonschema.Draft202012Validator(SCHEMAS[name]).validate(answer)
        seen.add(name)
        return answer

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
    # `check` and `doctor`, which take long, have their own tests of what they print
    assert set(SCHEMAS) - seen == {"check", "doctor"}

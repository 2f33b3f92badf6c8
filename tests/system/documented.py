"""What `--json` prints is as docs/json.schema.json has it: held to it whenever a test reads it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import click
import jsonschema

from qcsc_loop.cli.commands import commands
from qcsc_loop.cli.driving import DrivingCommand
from qcsc_loop.plain import Json
from qcsc_loop.plugins import load, offered

PAGE = Path(__file__).parents[2] / "docs" / "json.schema.json"
SCHEMAS: dict[str, Json] = json.loads(PAGE.read_text())["$defs"]
# options that make an answer another one, by command; the definition's name ends with the first word
OPTIONS = {
    "run": {"dry-run": {"--dry-run"}},
    "show": {"log": {"--log"}, "tables": {"--tables"}},
    "export": {"csv": {"--csv", "--parquet", "--tensorboard"}},
    "sweep": {"dry-run": {"--dry-run"}, "detach": {"-d", "--detach"}},
}
# groups whose commands have answers of their own, and what stands for any other word
GROUPS = {
    "sweep": {"list": "sweep-list", "show": "sweep"},
    "server": {"stop": "server-stop"},
    "emit": {"files": "emit-seen", "backend": "emit-seen"},
    "blocks": {"import": "blocks-import"},
}
OTHERWISE = {"emit": "emit-event"}


def definition(words: Sequence[str]) -> str:
    """The name of what a command with these words prints."""
    command = "run" if words[0] == "resume" else words[0]
    names = [word for word in words[1:] if not word.startswith("-")]
    if command in GROUPS and names and names[0] in GROUPS[command]:
        return GROUPS[command][names[0]]
    if command == "run" and {"-d", "--detach"} & set(words):
        return "detach"
    for ending, options in OPTIONS.get(command, {}).items():
        if options & set(words):
            return f"{command}-{ending}"
    if command == "describe":
        return _of_describe(names)
    return OTHERWISE.get(command, command)


def _of_describe(names: Sequence[str]) -> str:
    from qcsc_loop.parameters.describe import kinds

    if not names:
        return "describe-all"
    return "describe-kind" if len(names) == 1 and names[0] in kinds() else "describe"


def require_documented(words: Sequence[str], answer: Any) -> str:
    """The name of the definition that an answer is of.

    Raises:
        ValidationError: it is not as the page has it, or has a field that the page has not.
    """
    if words and Path(words[0]).name == "qcsc-loop":  # another program has started it
        words = words[1:]
    is_error = isinstance(answer, dict) and {"error", "kind"} <= set(answer)
    name = "error" if is_error else definition(words)
    _validator(name).validate(answer)
    return name


@cache
def _validator(name: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(_closed(SCHEMAS[name]))


def _closed(schema: Any) -> Any:
    """The same, without room for fields that a later release may have."""
    if isinstance(schema, list):
        return [_closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: _closed(value) for key, value in schema.items()}
    if isinstance(closed.get("properties"), dict):
        closed.setdefault("additionalProperties", False)
    return closed


def with_json(group: click.Group = commands, before: str = "") -> Iterator[str]:
    """The commands that have `--json`, those that other packages of ours add included."""
    own = [f"{before}{name}" for name in group.commands]
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from with_json(command, f"{before}{name} ")
        elif _prints_json(command):
            yield before + name
    if not before:
        for name, point in offered("qcsc_loop.commands").items():
            if name not in own and _prints_json(load(point)):
                yield name.replace(".", " ")


def _prints_json(command: click.Command) -> bool:
    options = (option.name for option in command.params)
    return isinstance(command, DrivingCommand) or "as_json" in options

"""What OpenPBS says of a job: JSON with tabs, and each value that looks like a number as one; text
whose lines are no longer than 79.
"""

from __future__ import annotations

import json
import re

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")

WIDTH = 79

Value = str | int | float | dict[str, "Value"]


def written(value: Value, depth: int = 0) -> str:
    """A value's text."""
    if isinstance(value, dict):
        return _object(value, depth)
    if isinstance(value, str) and not _NUMBER.fullmatch(value):
        return json.dumps(value, ensure_ascii=False)
    return _number(float(value))


def _object(values: dict[str, Value], depth: int) -> str:
    tabs = "\t" * (depth + 1)
    lines = [f"{tabs}{json.dumps(name)}:\t{written(v, depth + 1)}" for name, v in values.items()]
    return "{\n" + ",\n".join(lines) + ("\n" if lines else "") + "\t" * depth + "}"


def _number(value: float) -> str:
    """With 15 digits if they are enough, else with 17; so 1.7951992237233e+15 comes about."""
    short = f"{value:1.15g}"
    return short if float(short) == value else f"{value:1.17g}"


def in_text(id: str, attributes: dict[str, Value]) -> str:
    """As `qstat -f` has it."""
    lines = [f"Job Id: {id}"]
    for name, value in attributes.items():
        if not isinstance(value, dict):
            lines += _wrapped(f"    {name} = {value}")
        elif name == "Variable_List":
            lines += _wrapped(f"    {name} = {','.join(f'{k}={v}' for k, v in value.items())}")
        else:
            lines += [f"    {name}.{key} = {one}" for key, one in value.items()]
    return "\n".join(lines) + "\n\n"


def _wrapped(line: str) -> list[str]:
    """Goes on after a comma, or where it must, behind a tab."""
    lines: list[str] = []
    while len(line) > WIDTH:
        cut = line.rfind(",", 1, WIDTH) + 1 or WIDTH
        lines.append(line[:cut])
        line = f"\t{line[cut:]}"
    return [*lines, line]

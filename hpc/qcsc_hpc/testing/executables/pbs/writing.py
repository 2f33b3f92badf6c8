"""JSON as OpenPBS writes it: with tabs, and with each value that looks like a number as one."""

from __future__ import annotations

import json
import re

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")

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

"""Parameters that a run takes from Prefect Variables when it starts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeVar

from prefect.variables import Variable
from pydantic import BaseModel

from qcsc_loop.errors import InvalidParameters
from qcsc_loop.parameters.build import build, merge
from qcsc_loop.parameters.compare import to_plain
from qcsc_loop.plain import Json

A = TypeVar("A", bound=BaseModel)


async def with_variables(algorithm: A, names: Mapping[str, str]) -> tuple[A, Json]:
    """The algorithm with parameters taken from variables, and what they were.

    Args:
        names: parameter, dotted if nested (`sampler.options`), to the variable's name.

    Raises:
        InvalidParameters: there is no such variable, or its value does not fit.
    """
    values = {parameter: await _value(name) for parameter, name in names.items()}
    given = to_plain(algorithm)
    for parameter, value in values.items():
        given = merge(given, _nested(parameter.split("."), value))
    read = {p: {"variable": names[p], "value": value} for p, value in values.items()}
    return build(type(algorithm), given), read


async def _value(name: str) -> Any:
    value = await Variable.aget(name)
    if value is None:
        problem = (
            f"there is no Prefect variable {name!r}; make it: prefect variable set {name} VALUE"
        )
        raise InvalidParameters("variables", [problem], [])
    if isinstance(value, str):  # the command line stores numbers as text
        try:
            return json.loads(value)
        except json.JSONDecodeError:
            return value
    return value


def _nested(path: list[str], value: Any) -> Json:
    return {path[0]: _nested(path[1:], value) if path[1:] else value}

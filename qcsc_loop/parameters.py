"""An algorithm's parameters: read from the command line or a file, compared between runs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from qcsc_loop.algorithm import IterativeAlgorithm, is_operational
from qcsc_loop.errors import InvalidParameters

A = TypeVar("A", bound=BaseModel)


def parse_settings(assignments: Sequence[str]) -> dict[str, Any]:
    """`name=value` words as nested parameters: values are JSON where they parse, else strings.

    A dotted name sets one field of a nested setting: `sampler.method=stabilizer`.

    Raises:
        InvalidParameters: a word without `=`.
    """
    parameters: dict[str, Any] = {}
    for word in assignments:
        name, equals, text = word.partition("=")
        if not equals or not name.strip("."):
            raise InvalidParameters("--set", [f"{word!r} is not of the form name=value"], [])
        *path, last = name.strip().split(".")
        inner = parameters
        for part in path:
            inner = inner.setdefault(part, {})
            if not isinstance(inner, dict):
                raise InvalidParameters("--set", [f"{name!r} goes below a plain value"], [])
        inner[last] = _value(text)
    return parameters


def merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Nested parameters laid over others."""
    result = dict(under)
    for name, value in over.items():
        below = result.get(name)
        both = isinstance(below, dict) and isinstance(value, dict)
        result[name] = merged(below, value) if both else value
    return result


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def build(algorithm: type[A], given: Mapping[str, Any]) -> A:
    """An algorithm from given parameters; the rest has its defaults.

    A nested setting given in part is laid over its default.

    Raises:
        InvalidParameters: with one clause for each parameter that is wrong.
    """
    valid = list(algorithm.model_fields)
    laid = {name: _over_default(algorithm, name, value) for name, value in given.items()}
    try:
        # as JSON: enums, tuples and nested settings arrive from a command line or a file
        return algorithm.model_validate_json(json.dumps(laid))
    except ValidationError as error:
        raise InvalidParameters(algorithm.__name__, _clauses(error, valid), valid) from error
    except TypeError as error:  # a value from Python or TOML that JSON does not have
        raise InvalidParameters(algorithm.__name__, [str(error)], valid) from error


def _over_default(algorithm: type[BaseModel], name: str, value: Any) -> Any:
    field = algorithm.model_fields.get(name)
    if field is None or not isinstance(value, dict) or "type" in value:
        return value
    default = field.get_default(call_default_factory=True, validated_data={})
    return default.model_dump(mode="json") | value if isinstance(default, BaseModel) else value


def _clauses(error: ValidationError, valid: Sequence[str]) -> list[str]:
    clauses: dict[str, str] = {}
    for problem in error.errors(include_url=False):
        place = ".".join(str(part) for part in problem["loc"] if _is_name(part))
        if problem["type"] == "extra_forbidden":
            text = f"there is no parameter {place!r}{_nearest(place, valid)}"
        elif problem["type"] == "missing":
            text = f"{place} is required"
        else:
            what = problem["msg"].removeprefix("Value error, ")
            text = f"{place}: {what[:1].lower() + what[1:]} (given: {problem['input']!r})"
        top = str(problem["loc"][0]) if problem["loc"] else ""
        # a union reports every branch; its first one is the settings, its last the block's name
        clauses.setdefault(place if problem["type"] == "extra_forbidden" else top, text)
    return list(clauses.values())


def _is_name(part: object) -> bool:
    # branches of a union stand in the path as class names and signatures
    return not isinstance(part, str) or (part.isidentifier() and not part[:1].isupper())


def _nearest(name: str, valid: Sequence[str]) -> str:
    import difflib

    near = difflib.get_close_matches(name.split(".")[-1], valid, n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def dumped(algorithm: BaseModel) -> dict[str, Any]:
    """The parameters as plain JSON, as a run's record keeps them."""
    return json.loads(algorithm.model_dump_json(by_alias=True))


def differences(
    algorithm: type[IterativeAlgorithm[Any, Any, Any]],
    was: Mapping[str, Any],
    now: Mapping[str, Any],
) -> dict[str, tuple[object, object]]:
    """Parameters that differ and change results, by dotted name: (was, now)."""
    before, after = _flat(was), _flat(now)
    return {
        name: (before.get(name, "unset"), after.get(name, "unset"))
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
        and not is_operational(algorithm, name.split(".")[0])
    }


def _flat(parameters: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in parameters.items():
        if isinstance(value, dict) and value:
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat

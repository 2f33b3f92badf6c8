"""An algorithm's parameters, read from the command line or a file."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar, cast, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from qcsc_loop.errors import InvalidParameters, did_you_mean
from qcsc_loop.parameters.compare import to_plain
from qcsc_loop.parameters.resource import Resource, concrete, takes_resource
from qcsc_loop.plain import Json

A = TypeVar("A", bound=BaseModel)
_BARE_NAME = re.compile(r"[a-z0-9-]+")


def parse_settings(assignments: Sequence[str]) -> Json:
    """`name=value` words as nested parameters: values are JSON where they parse, else strings.

    A dotted name sets one field of a nested setting: `sampler.method=stabilizer`.

    Raises:
        InvalidParameters: a word without `=`.
    """
    parameters: Json = {}
    for word in assignments:
        name, equals, text = word.partition("=")
        if not equals or not all(part.strip() for part in name.split(".")):
            raise InvalidParameters("--set", [f"{word!r} is not of the form name=value"], [])
        *path, last = name.strip().split(".")
        inner = parameters
        for part in path:
            inner = inner.setdefault(part, {})
            if not isinstance(inner, dict):
                raise InvalidParameters("--set", [f"{name!r} goes below a plain value"], [])
        inner[last] = _value(text)
    return parameters


def merge(under: Mapping[str, Any], over: Mapping[str, Any]) -> Json:
    """Nested parameters laid over others."""
    result = dict(under)
    for name, value in over.items():
        below = result.get(name)
        nested = isinstance(below, dict) and isinstance(value, dict)
        result[name] = merge(cast("Json", below), value) if nested else value
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
    laid = {
        name: _over_default(algorithm, name, _in_full(algorithm, name, value))
        for name, value in given.items()
    }
    try:
        # as JSON: enums, tuples and nested settings arrive from a command line or a file
        return algorithm.model_validate_json(json.dumps(laid))
    except ValidationError as error:
        clauses = _clauses(algorithm, error)
        raise InvalidParameters(
            algorithm.__name__, clauses.values(), _valid(algorithm, laid, list(clauses))
        ) from error
    except TypeError as error:  # a value from Python or TOML that JSON does not have
        raise InvalidParameters(
            algorithm.__name__, [str(error)], _valid(algorithm, laid, [])
        ) from error


def _in_full(algorithm: type[BaseModel], name: str, value: Any) -> Any:
    """`machine=slurm` is the saved machine of that name; `machine=local` that kind's defaults."""
    field = algorithm.model_fields.get(name)
    if field is None or not isinstance(value, str) or "/" in value:
        return value
    for kind in _resources(field.annotation):
        if value in {sub.model_fields["type"].default for sub in concrete(kind)}:
            return {"type": value}
        if kind.block_type is not None and _BARE_NAME.fullmatch(value):
            return f"{kind.block_type}/{value}"
    return value


def _resources(annotation: Any) -> Iterator[type[Resource]]:
    if inspect.isclass(annotation) and issubclass(annotation, Resource):
        yield annotation
    for part in get_args(annotation):
        yield from _resources(part)


def _over_default(algorithm: type[BaseModel], name: str, value: Any) -> Any:
    field = algorithm.model_fields.get(name)
    if field is None or not isinstance(value, dict) or "type" in value:
        return value
    default = field.get_default(call_default_factory=True, validated_data={})
    return merge(to_plain(default), value) if isinstance(default, BaseModel) else value


def _valid(algorithm: type[BaseModel], laid: Json, places: Sequence[str]) -> list[str]:
    """The names there are beside those that are wrong: a nested setting's own, if all are in one."""
    above = {place.rpartition(".")[0] for place in places}
    path = above.pop() if len(above) == 1 else ""
    nested = _model_at(algorithm, laid, path.split(".")) if path else None
    if nested is None:
        return list(algorithm.model_fields) or ["none"]
    return [f"{path}.{name}" for name in nested.model_fields]


def _model_at(model: type[BaseModel], laid: Any, path: Sequence[str]) -> type[BaseModel] | None:
    """What a nested setting is to become, by its type."""
    for name in path:
        field = model.model_fields.get(name)
        laid = laid.get(name) if isinstance(laid, dict) else None
        tag = cast("Json", laid).get("type") if isinstance(laid, dict) else None
        kinds = [] if field is None else list(_models(field.annotation))
        named = [kind for kind in kinds if tag is not None and _tag(kind) == tag]
        if len(named or kinds) != 1:
            return None
        model = (named or kinds)[0]
    return model


def _tag(kind: type[BaseModel]) -> object:
    field = kind.model_fields.get("type")
    return None if field is None else field.default


def _clauses(algorithm: type[BaseModel], error: ValidationError) -> dict[str, str]:
    """What is wrong, by the place of what is."""
    names = _names(algorithm)
    clauses: dict[str, str] = {}
    for problem in _relevant(algorithm, error):
        # branches of a union stand in the path beside the names
        place = ".".join(str(p) for p in problem["loc"] if isinstance(p, int) or p in names)
        if problem["type"] == "extra_forbidden":
            unknown = str(problem["loc"][-1])
            place = f"{place}.{unknown}" if place else unknown
            hint = did_you_mean(unknown, names)
            clauses.setdefault(place, f"there is no parameter {place!r}{hint}")
        else:
            clauses.setdefault(place, _clause(place, problem))
    return clauses


def _clause(place: str, problem: ErrorDetails) -> str:
    if problem["type"] == "missing":
        return f"{place} is required"
    what = problem["msg"].removeprefix("Value error, ")
    what = what[:1].lower() + what[1:]
    if not place:  # a rule about several parameters
        return what
    return f"{place}: {what} (given: {problem['input']!r})"


def _relevant(algorithm: type[BaseModel], error: ValidationError) -> Iterator[ErrorDetails]:
    """Of a resource's problems only those of the form that was tried: settings or a name."""
    for problem in error.errors(include_url=False):
        top = problem["loc"][0] if problem["loc"] else None
        field = algorithm.model_fields.get(str(top))
        if field is None or not takes_resource(field.annotation):
            yield problem
        elif not problem["type"].startswith("string_"):
            if not isinstance(problem["input"], str) or len(problem["loc"]) > 2:
                yield problem
        elif isinstance(problem["input"], str):
            message = _forms(field.annotation, problem["input"])
            yield {**problem, "msg": message} if "pattern" in problem["type"] else problem


def _forms(annotation: Any, given: str) -> str:
    """What names a resource."""
    types = sorted(tag for kind in _models(annotation) if isinstance(tag := _tag(kind), str))
    hint = did_you_mean(given, types)
    return f"it is one of {', '.join(types)}{hint}, or a saved block's 'block-type/name'"


def _names(model: type[BaseModel]) -> set[str]:
    """The names of all parameters, nested ones included."""
    names = set(model.model_fields)
    for field in model.model_fields.values():
        for inner in _models(field.annotation):
            names |= set(inner.model_fields) if inner is model else _names(inner)
    return names


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        yield annotation
        if issubclass(annotation, Resource):
            yield from concrete(annotation)
    for part in get_args(annotation):
        yield from _models(part)

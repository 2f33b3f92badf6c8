"""Which declared types a store gives back as they were, from process to process."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Set
from typing import Any

from pydantic import BaseModel, SecretBytes, SecretStr

Schema = Mapping[str, Any]  # pydantic's core schema: dictionaries all the way down

_SET = "is a set, whose order differs from process to process; use a sorted tuple"
_LAZY = "can be read once only, and the check would read it; use a list or a tuple"
_SECRET = (
    "is a secret, which is stored as asterisks; keep the name of where it is, and load it where it "
    "is used"
)
_UNREAD = ("metadata", "default", "cls", "config")  # of a schema's node: no types in there


def find_fault(schema: Any) -> str:
    """What in a type would be lost or differ, and what to take instead; empty if nothing."""
    return next((f"{_named(path)} {fault}" for path, fault in _faults(schema, ())), "")


def has_untyped_parts(schema: Any) -> bool:
    """Whether values of the type can hold what the type does not say."""
    return any(
        node.get("type") == "any"
        or (node.get("type") == "list" and "items_schema" not in node)
        or (node.get("type") == "dict" and "values_schema" not in node)
        for node, _ in _nodes(schema, ())
    )


def is_ambiguous(schema: Any) -> bool:
    """Whether what is stored of a value of the type may be read as one of another of its types.

    What has untyped parts is read back as JSON has it, and hooks see that from the beginning.
    """
    is_union = any(node.get("type") == "union" for node, _ in _nodes(schema, ()))
    return is_union and not has_untyped_parts(schema)


def find_other_type(value: object, read: object) -> str:
    """The first part of a value that was read as another type, and what to do; empty if none was."""
    return next((f"{_named(path)} {fault}" for path, fault in _other_types(value, read, ())), "")


def _other_types(
    value: object, read: object, path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], str]]:
    if not isinstance(value, type(read)):  # a subclass of the declared one is no other
        yield (
            path,
            f"is of type {type(value).__name__}, and would be read back as {type(read).__name__}; "
            "declare the one type that it has, or a field that tells the types of a union apart, "
            "such as kind: Literal['a']",
        )
        return
    if isinstance(value, Mapping) and isinstance(read, Mapping):
        for key, other in zip(value, read, strict=True):
            yield from _other_types(key, other, (*path, str(key)))
    for (name, each), (_, other) in zip(_parts(value), _parts(read), strict=True):
        yield from _other_types(each, other, (*path, name))


def find_fault_in(value: object) -> str:
    """The same of a value, for types that have untyped parts."""
    return next((f"{_named(path)} {fault}" for path, fault in _value_faults(value, ())), "")


def _named(path: tuple[str, ...]) -> str:
    return f"its part {'.'.join(path)}" if path else "it"


def _faults(schema: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    for node, place in _nodes(schema, path):
        kind = node.get("type")
        if kind in ("set", "frozenset"):
            yield place, _SET
        elif kind == "generator":
            yield place, _LAZY
        elif _is_secret(node):
            yield place, _SECRET
        elif node.get("serialization_exclude") or node.get("serialization_exclude_if"):
            yield (
                place,
                "is excluded from what is stored, and would be lost; make it an ordinary field",
            )
        elif kind == "model" and (private := getattr(node["cls"], "__private_attributes__", None)):
            # the model itself has a place only where it is a field
            name = f"{node['cls'].__name__}.{next(iter(private))}"
            yield place, f"has the private attribute {name}, which would be lost; make it a field"


def _is_secret(node: Schema) -> bool:
    serialization = node.get("serialization") or {}
    function = serialization.get("function")
    name = getattr(function, "__qualname__", "")
    return getattr(function, "__module__", "") == "pydantic.types" and "secret" in name


def _nodes(part: Any, path: tuple[str, ...]) -> Iterator[tuple[Schema, tuple[str, ...]]]:
    """Every node of a schema, with the names of the fields that lead to it."""
    if isinstance(part, list | tuple):
        for each in part:
            name = each.get("name") if isinstance(each, dict) else None
            is_field = isinstance(name, str) and str(each.get("type")).endswith("-field")
            yield from _nodes(each, (*path, str(name)) if is_field else path)
    elif isinstance(part, dict):
        if isinstance(part.get("type"), str):
            yield part, path
        for key, each in part.items():
            if key == "fields" and isinstance(each, dict):
                for name, field in each.items():
                    yield from _nodes(field, (*path, name))
            elif key not in _UNREAD:
                yield from _nodes(each, path)


def _value_faults(value: object, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(value, Set) and not isinstance(value, Mapping):
        yield path, _SET
    elif isinstance(value, Iterator):
        yield path, _LAZY
    elif isinstance(value, SecretStr | SecretBytes):
        yield path, _SECRET
    for name, each in _parts(value):
        yield from _value_faults(each, (*path, name))


def _parts(value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, BaseModel):
        yield from BaseModel.__iter__(value)  # its fields, whatever the class itself goes through
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        yield from ((field.name, getattr(value, field.name)) for field in dataclasses.fields(value))
    elif isinstance(value, Mapping):
        yield from ((str(key), each) for key, each in value.items())
    elif isinstance(value, list | tuple):
        yield from ((str(k), each) for k, each in enumerate(value))

"""Parameters as plain JSON, and what differs between two runs'."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined, to_json

from qcsc_loop.parameters.operational import is_operational
from qcsc_loop.plain import Json


def to_plain(model: BaseModel) -> Json:
    """The parameters as plain JSON, as a run's record keeps them."""
    plain: Json = json.loads(model.model_dump_json(by_alias=True))
    return plain


def find_differences(now: BaseModel, was: Mapping[str, Any]) -> dict[str, tuple[object, object]]:
    """Parameters that differ and change results, by dotted name: (was, now).

    One that there was none of before, and that is what it is by default, is no difference: a newer
    version has learnt it, and does by default what the older one did.
    """
    before, after = _flat(was), _flat(to_plain(now))
    learnt = tuple(_learnt(now, before, find_given(now)))
    return {
        name: (before.get(name, "unset"), after.get(name, "unset"))
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
        and not any(_is_below(name, each) for each in learnt)
        and not is_operational(now, name.split("."))
    }


def _learnt(now: BaseModel, before: Json, given: list[str], prefix: str = "") -> Iterator[str]:
    """Fields that nothing is known of before, and that are what they are by default."""
    for field in type(now).model_fields:
        name, value = f"{prefix}{field}", getattr(now, field)
        if not any(_is_below(known, name) for known in before):
            if not any(_is_below(each, name) for each in given):
                yield name
        elif isinstance(value, BaseModel) and name not in before:
            yield from _learnt(value, before, given, f"{name}.")


def _is_below(name: str, whole: str) -> bool:
    return name == whole or name.startswith(f"{whole}.")


def find_given(model: BaseModel) -> list[str]:
    """Parameters that are not what they are by default, by dotted name."""
    found: list[str] = []
    for name, info in type(model).model_fields.items():
        value = getattr(model, name)
        default = _default(info)
        if not isinstance(value, BaseModel):
            found += [name] if _json(value) != _json(default) else []
        elif isinstance(default, BaseModel) and type(default) is type(value):
            were = _flat(to_plain(default))
            now = _flat(to_plain(value))
            found += [f"{name}.{n}" for n, each in now.items() if were.get(n, ...) != each]
        else:
            kind = [f"{name}.type"] if "type" in type(value).model_fields else []
            found += [*kind, *(f"{name}.{n}" for n in find_given(value) if n != "type")]
    return found


def _default(info: FieldInfo) -> Any:
    try:
        return info.get_default(call_default_factory=True, validated_data={})
    except Exception:  # a factory that needs the values of other fields
        return PydanticUndefined


def _json(value: object) -> bytes:
    return to_json(value, inf_nan_mode="strings", fallback=repr)


def flat(parameters: Mapping[str, Any]) -> Json:
    """Nested parameters by dotted name."""
    return _flat(parameters)


def _flat(parameters: Mapping[str, Any], prefix: str = "") -> Json:
    flat: Json = {}
    for name, value in parameters.items():
        if isinstance(value, dict) and value:
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat

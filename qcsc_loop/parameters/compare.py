"""Parameters as plain JSON, and what differs between two runs'."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from qcsc_loop.parameters.operational import is_operational
from qcsc_loop.plain import Json


def to_plain(model: BaseModel) -> Json:
    """The parameters as plain JSON, as a run's record keeps them."""
    plain: Json = json.loads(model.model_dump_json(by_alias=True))
    return plain


def find_differences(now: BaseModel, was: Mapping[str, Any]) -> dict[str, tuple[object, object]]:
    """Parameters that differ and change results, by dotted name: (was, now)."""
    before, after = _flat(was), _flat(to_plain(now))
    return {
        name: (before.get(name, "unset"), after.get(name, "unset"))
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name) and not is_operational(now, name.split("."))
    }


def _flat(parameters: Mapping[str, Any], prefix: str = "") -> Json:
    flat: Json = {}
    for name, value in parameters.items():
        if isinstance(value, dict) and value:
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat

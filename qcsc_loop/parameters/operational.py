"""Parameters that say where, how fast and how long, never what."""

from __future__ import annotations

import json
from collections.abc import Sequence

from pydantic import BaseModel

from qcsc_loop.plain import Json


class Operational:
    """Marks a parameter that cannot change a run's results: it may differ on resume.

    `ranks: Annotated[int, OPERATIONAL] = 2`
    """


OPERATIONAL = Operational()


def what_changes_results(model: BaseModel) -> Json:
    """The parameters as plain JSON, without those that are marked: another person's may say what is
    computed, but not where, and by which commands."""
    plain: Json = json.loads(model.model_dump_json(by_alias=True))
    return _unmarked(model, plain, ())


def _unmarked(model: BaseModel, plain: Json, path: tuple[str, ...]) -> Json:
    kept: Json = {}
    for name, value in plain.items():
        here = (*path, name)
        if is_operational(model, here):
            continue
        kept[name] = _unmarked(model, value, here) if isinstance(value, dict) else value
    return kept


def is_operational(model: BaseModel, path: Sequence[str]) -> bool:
    """Whether the field at `path`, or a field above it, is marked."""
    inner: object = model
    for name in path:
        if not isinstance(inner, BaseModel) or name not in type(inner).model_fields:
            return False
        if any(isinstance(mark, Operational) for mark in type(inner).model_fields[name].metadata):
            return True
        inner = getattr(inner, name)
    return False

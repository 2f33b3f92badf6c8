"""Parameters that say where, how fast and how long, never what."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel


class Operational:
    """Marks a parameter that cannot change a run's results: it may differ on resume.

    `ranks: Annotated[int, OPERATIONAL] = 2`
    """


OPERATIONAL = Operational()


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

"""Names of saved blocks become the settings they stand for, once, when a run starts."""

from __future__ import annotations

import inspect
from typing import Any, TypeVar, get_args

from pydantic import BaseModel

from qcsc_loop.resource import Resource

A = TypeVar("A", bound=BaseModel)


async def resolved(algorithm: A) -> A:
    """The algorithm with every block's name replaced by the settings it stands for.

    Raises:
        BlockNotFound: no saved block has that name, or it holds something else.
    """
    if not (names := named_blocks(algorithm)):
        return algorithm
    # late: only runs that name a block need Prefect, and importing it takes seconds
    from qcsc_loop.prefect.blocks import load_settings

    loaded = {field: await load_settings(name) for field, name in names.items()}
    return type(algorithm).model_validate(dict(algorithm) | loaded)


def named_blocks(algorithm: BaseModel) -> dict[str, str]:
    """The fields that name a saved block where they could hold settings."""
    return {
        field: value
        for field, value in algorithm
        if isinstance(value, str) and takes_resource(type(algorithm).model_fields[field].annotation)
    }


def takes_resource(annotation: Any) -> bool:
    """Whether a field so annotated may hold a resource's settings."""
    if inspect.isclass(annotation) and issubclass(annotation, Resource):
        return True
    return any(takes_resource(part) for part in get_args(annotation))

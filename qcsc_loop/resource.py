"""Where a run's work goes: settings of one kind, told apart by `type`, open to third parties."""

from __future__ import annotations

import inspect
from abc import ABC
from collections.abc import Iterator
from typing import Annotated, Any, Self, TypeVar, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    GetJsonSchemaHandler,
    ModelWrapValidatorHandler,
    StringConstraints,
    model_validator,
)
from pydantic_core import CoreSchema

BlockName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]+/[a-z0-9-]+$")]
"""The name of a saved block, `block-type/name`; resolved once, when the run starts."""


class Resource(BaseModel, ABC):
    """Base of samplers and machines: plain frozen settings that any distribution may add to.

    A concrete class declares `type: Literal["its-name"] = "its-name"`. Where an abstract class is
    expected, a JSON object with that `type` gives the concrete one. Never hold a secret here:
    settings are written to checkpoints and shown in forms; hold a credential's name instead.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: str

    @model_validator(mode="wrap")
    @classmethod
    def _dispatch(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if not (isinstance(value, dict) and inspect.isabstract(cls)):
            return handler(value)
        known = {sub.model_fields["type"].default: sub for sub in concrete(cls)}
        settings: dict[str, Any] = value
        if (chosen := known.get(settings.get("type"))) is None:
            raise ValueError(f"type must be one of {', '.join(sorted(known))}")
        return chosen.model_validate(settings)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        if not inspect.isabstract(cls):
            return handler(core)
        choices = [handler(sub.__pydantic_core_schema__) for sub in concrete(cls)]
        return {"anyOf": choices, "title": cls.__name__}


def concrete(cls: type[Resource]) -> Iterator[type[Resource]]:
    """The concrete classes below `cls` that have been imported so far."""
    for sub in cls.__subclasses__():
        if not inspect.isabstract(sub):
            yield sub
        yield from concrete(sub)


A = TypeVar("A", bound=BaseModel)


async def resolved(algorithm: A) -> A:
    """The algorithm with every block's name replaced by the settings it stands for.

    Raises:
        BlockNotFound: no saved block has that name, or it holds something else.
    """
    names = {
        field: value
        for field, value in algorithm
        if isinstance(value, str) and _takes_resource(type(algorithm), field)
    }
    if not names:
        return algorithm
    # late: only runs that name a block need Prefect, and importing it takes seconds
    from qcsc_loop.prefect.blocks import load_settings

    loaded = {field: await load_settings(name) for field, name in names.items()}
    return type(algorithm).model_validate(dict(algorithm) | loaded)


def _takes_resource(algorithm: type[BaseModel], field: str) -> bool:
    def mentions(annotation: Any) -> bool:
        if inspect.isclass(annotation) and issubclass(annotation, Resource):
            return True
        return any(mentions(part) for part in get_args(annotation))

    return mentions(algorithm.model_fields[field].annotation)

"""Where a run's work goes: settings of one kind, told apart by `type`, open to third parties."""

from __future__ import annotations

import inspect
import sys
from abc import ABC
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Annotated, Any, ClassVar, Self, cast, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    GetJsonSchemaHandler,
    ModelWrapValidatorHandler,
    StringConstraints,
    model_validator,
)
from pydantic_core import CoreSchema

from qcsc_loop.parameters.forms import in_short
from qcsc_loop.plain import Json
from qcsc_loop.plugins import failures_said, load_all

BlockName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]+/[a-z0-9-]+$")]
"""The name of a saved block, `block-type/name`; resolved once, when the run starts."""


GROUP = "qcsc_loop.resources"

_forms_begun: ContextVar[frozenset[type]] = ContextVar("qcsc_loop_forms", default=frozenset())


class Resource(BaseModel, ABC):
    """Base of samplers and machines: plain frozen settings that any distribution may add to.

    A concrete class declares `type: Literal["its-name"] = "its-name"`. Where an abstract class is
    expected, a JSON object with that `type` gives the concrete one. Never hold a secret here:
    settings are written to checkpoints and shown in forms; hold a credential's name instead.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", ser_json_inf_nan="strings", json_schema_extra=in_short
    )

    block_type: ClassVar[str | None] = None  # of the saved block that a bare name means

    type: Any  # each concrete class narrows it to a literal of its own

    def preview(self, ranks: int | None = None) -> str:
        """What a person may want to know before a run: a line, and then more; nothing is started.

        Args:
            ranks: as many as the algorithm asks for; None: it does not say.

        Raises:
            InputError: it could not do what it is asked for.
        """
        del ranks
        return ""

    @model_validator(mode="wrap")
    @classmethod
    def _dispatch(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if not (isinstance(value, dict) and inspect.isabstract(cls)):
            return handler(value)
        known = {name: sub for sub in concrete(cls) if isinstance(name := _tag(sub), str)}
        settings: Json = value
        tag = settings.get("type")
        if not isinstance(tag, str) or (chosen := known.get(tag)) is None:
            raise ValueError(
                f"type must be one of {', '.join(sorted(known))}{failures_said(GROUP)}"
            )
        return cast("Self", chosen.model_validate(settings))  # a subclass of cls

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> Json:
        if not inspect.isabstract(cls):
            return handler(core)
        if cls in _forms_begun.get():  # a rule made of rules: spelt out, its form has no end
            return {"type": "object", "title": cls.__name__}
        token = _forms_begun.set(_forms_begun.get() | {cls})
        try:
            choices = [handler(sub.__pydantic_core_schema__) for sub in concrete(cls)]
        finally:
            _forms_begun.reset(token)
        return {"anyOf": choices, "title": cls.__name__}


def _tag(cls: type[Resource]) -> object:
    return cls.model_fields["type"].default


def concrete(cls: type[Resource]) -> Iterator[type[Resource]]:
    """The concrete classes below `cls`: those of installed distributions, and imported ones.

    A plug-in that fails to load is left out.
    """
    failures = load_all(GROUP).failures
    for sub in cls.__subclasses__():
        if failures and sub.__module__ not in sys.modules:
            continue  # of a module that failed half-way: nobody may use it
        if not inspect.isabstract(sub):
            yield sub
        yield from concrete(sub)


def takes_resource(annotation: Any) -> bool:
    """Whether a field so annotated may hold a resource's settings."""
    if inspect.isclass(annotation) and issubclass(annotation, Resource):
        return True
    return any(takes_resource(part) for part in get_args(annotation))

"""What a set of parameters takes, in words: each with its type, its default, its limits, its sense.

Made from the models themselves, for whoever types `--set NAME=VALUE`.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined, to_json

from qcsc_loop.parameters.operational import Operational
from qcsc_loop.parameters.resource import BlockName, Resource, concrete

_NAMES = {int: "int", float: "float", str: "text", bool: "true or false", NoneType: "null"}
_BOUNDS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
_WORDS = re.compile(r"(?<!^)(?=[A-Z][a-z])")
_LISTED = re.compile(r"(\w+(?:, \w+)*): *(.*)")


@dataclass(frozen=True)
class Parameter:
    """One parameter.

    Attributes:
        name: as `--set` takes it: `sampler.method` is a parameter of the sampler.
        type: in words; the choices, where there are only some.
        default: as JSON, or the type of a setting that has parameters of its own; None: none.
        limits: in words; empty if there are none, or only one on its form.
        what: what it is for; may be empty.
        operational: whether it may be changed when a run goes on.
    """

    name: str
    type: str
    default: str | None
    limits: str
    what: str
    operational: bool


@dataclass(frozen=True)
class Description:
    """What an algorithm, or a setting of some type, takes.

    Attributes:
        parameters: each nested setting is followed by its default's own.
        types: the names of nested settings that there are several types of, and these types.
    """

    name: str
    what: str
    parameters: tuple[Parameter, ...]
    types: dict[str, tuple[str, ...]]


def describe(model: type[BaseModel], name: str = "") -> Description:
    """An algorithm's parameters, or a setting's, those of nested settings included."""
    found = tuple(_parameters(model, _Within(opened=frozenset({model}))))
    types = {
        field: tuple(_types(kind))
        for field, info in model.model_fields.items()
        if field != "type" and (kind := kind_of(info.annotation)) is not None
    }
    return Description(name or model.__name__, summary(model), found, types)


def summary(model: type[BaseModel]) -> str:
    """The first paragraph of its own docstring."""
    doc = inspect.getdoc(model) if "__doc__" in vars(model) else None
    return " ".join((doc or "").partition("\n\n")[0].split())


def kinds() -> dict[str, type[Resource]]:
    """Settings that there are several types of, by what they are: `sampler`, `machine`, …"""
    list(concrete(Resource))  # imports what other distributions add
    return {
        _WORDS.sub("-", kind.__name__).lower(): kind
        for kind in Resource.__subclasses__()
        if inspect.isabstract(kind)
    }


def types_of(kind: type[Resource]) -> dict[str, type[Resource]]:
    """The types that a setting of this kind may have."""
    found = {sub.model_fields["type"].default: sub for sub in concrete(kind)}
    return {name: sub for name, sub in sorted(found.items()) if isinstance(name, str)}


def kind_of(annotation: Any) -> type[Resource] | None:
    """The kind of setting that a field so annotated holds, if there are several types of it."""
    if inspect.isclass(annotation) and issubclass(annotation, Resource):
        return annotation if inspect.isabstract(annotation) else None
    inner = (kind_of(part) for part in get_args(annotation))
    return next((kind for kind in inner if kind is not None), None)


def _types(kind: type[Resource]) -> Iterator[str]:
    yield from types_of(kind)
    if kind.block_type is not None:
        yield f"{kind.block_type}/NAME"


@dataclass(frozen=True)
class _Within:
    """Where a model stands: its names begin so, and its fields have the values of a default."""

    path: str = ""
    default: BaseModel | None = None
    operational: bool = False
    opened: frozenset[type] = frozenset()  # one that stands in itself is described once


def _parameters(model: type[BaseModel], within: _Within) -> Iterator[Parameter]:
    said = _said_of_attributes(model)
    for name, info in model.model_fields.items():
        if (name == "type" and issubclass(model, Resource)) or _is_tag(info.annotation):
            continue
        default = _default(info) if within.default is None else getattr(within.default, name)
        operational = within.operational or _is_marked(info)
        yield Parameter(
            name=f"{within.path}{name}",
            type=_type(info.annotation),
            default=_default_words(default),
            limits=_limits(info.metadata),
            what=_what(info, said.get(name, "")),
            operational=operational,
        )
        given = default if isinstance(default, BaseModel) else None
        nested = type(given) if given is not None else _only_model(info.annotation)
        if nested is not None and nested not in within.opened:
            path, opened = f"{within.path}{name}.", within.opened | {nested}
            yield from _parameters(nested, _Within(path, given, operational, opened))


def _what(info: FieldInfo, said: str) -> str:
    if found := info.description or info.title or said:
        return found
    kind = kind_of(info.annotation)
    return "" if kind is None else summary(kind)


def _is_marked(info: FieldInfo) -> bool:
    return any(isinstance(mark, Operational) for mark in info.metadata)


def _is_tag(annotation: Any) -> bool:
    """Whether a field can only say which model it is in."""
    return get_origin(annotation) is Literal and len(get_args(annotation)) == 1


def _only_model(annotation: Any) -> type[BaseModel] | None:
    if not (inspect.isclass(annotation) and issubclass(annotation, BaseModel)):
        return None
    return None if inspect.isabstract(annotation) else annotation


def _default(info: FieldInfo) -> Any:
    """PydanticUndefined if it has to be given."""
    if info.default_factory is not None:
        return info.get_default(call_default_factory=True, validated_data={})
    return info.default


def _default_words(default: Any) -> str | None:
    if default is PydanticUndefined:
        return None
    if isinstance(default, BaseModel):
        tag = getattr(default, "type", None)
        return tag if isinstance(tag, str) else type(default).__name__
    return to_json(default, inf_nan_mode="strings").decode()


def _type(annotation: Any) -> str:
    """A type in words."""
    if (kind := kind_of(annotation)) is not None:
        return " | ".join(_types(kind))
    if annotation in _NAMES:
        return _NAMES[annotation]
    if get_origin(annotation) is not None:
        return _composed(annotation, get_origin(annotation), get_args(annotation))
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        tag = (
            _default(annotation.model_fields["type"]) if "type" in annotation.model_fields else None
        )
        return tag if isinstance(tag, str) else annotation.__name__
    return getattr(annotation, "__name__", str(annotation))


def _composed(annotation: Any, origin: Any, parts: tuple[Any, ...]) -> str:
    if origin is Annotated:
        return "type/NAME" if annotation == BlockName else _type(parts[0])
    if origin is Literal:
        return " | ".join(map(str, parts))
    if origin in (Union, UnionType):
        return " | ".join(dict.fromkeys(map(_type, parts)))
    inner = ", ".join(_type(part) for part in parts if part is not Ellipsis)
    word = "list" if origin is tuple else getattr(origin, "__name__", str(origin)).lower()
    return f"{word} of {inner}"


def _limits(metadata: Sequence[Any]) -> str:
    """What pydantic checks, in words."""
    said: list[str] = []
    for mark in metadata:
        said += [
            f"{words} {getattr(mark, bound):g}"
            for bound, words in _BOUNDS.items()
            if getattr(mark, bound, None) is not None
        ]
        if (least := getattr(mark, "min_length", None)) is not None:
            said.append("not empty" if least == 1 else f"at least {least} of them")
        if (most := getattr(mark, "max_length", None)) is not None:
            said.append(f"at most {most} of them")
    return ", ".join(said)


def _said_of_attributes(model: type[BaseModel]) -> dict[str, str]:
    """What docstrings of a class and its bases say of its fields, in `Attributes:`."""
    said: dict[str, str] = {}
    for cls in reversed(model.__mro__):
        if issubclass(cls, BaseModel) and "__doc__" in vars(cls):
            said |= dict(_attributes(inspect.getdoc(cls) or ""))
    return said


def _attributes(doc: str) -> Iterator[tuple[str, str]]:
    _, _, section = doc.partition("Attributes:\n")
    names: list[str] = []
    words: list[str] = []
    for line in [*section.splitlines(), ""]:
        indent = len(line) - len(line.lstrip())
        if indent <= 4:
            yield from ((name, " ".join(words)) for name in names)
            names, words = [], []
            entry = _LISTED.match(line.strip())
            if indent != 4 or entry is None:
                if not line.strip():
                    return
                continue
            names, words = entry[1].split(", "), [entry[2]]
        else:
            words.append(line.strip())

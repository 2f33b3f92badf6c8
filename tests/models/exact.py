"""What a value is to the bit, told without the code that stores it."""

from __future__ import annotations

import dataclasses
import math
import struct
from collections.abc import Mapping
from functools import singledispatch
from typing import Any

import numpy as np
from pydantic import BaseModel


def same(one: object, other: object) -> bool:
    """Of one type, and of one content down to the sign of a zero; NaN is NaN."""
    return bool(exactly(one) == exactly(other))


def exactly(value: object) -> object:
    """What two values have in common exactly if they are the same."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {each.name: getattr(value, each.name) for each in dataclasses.fields(value)}
        return type(value), _content(fields)
    return type(value), _content(value)


@singledispatch
def _content(value: object) -> object:
    return value


@_content.register
def _(number: float) -> object:
    return "nan" if math.isnan(number) else struct.pack("d", number)


@_content.register
def _(number: complex) -> object:
    return exactly(number.real), exactly(number.imag)


@_content.register
def _(record: BaseModel) -> object:
    return _content(dict(record))


@_content.register
def _(mapping: Mapping) -> object:  # type: ignore[type-arg]  # singledispatch wants the class
    return [(exactly(key), exactly(value)) for key, value in mapping.items()]  # in their order


@_content.register(list)
@_content.register(tuple)
def _(values: Any) -> object:
    return [exactly(value) for value in values]


@_content.register
def _(array: np.ndarray) -> object:
    return array.dtype, array.shape, array.tobytes()

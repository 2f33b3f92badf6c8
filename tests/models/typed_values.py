"""Declared types, each with values of it: what a hook may say that it returns, and may return."""

from __future__ import annotations

import dataclasses
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, Literal, NamedTuple, Union
from uuid import UUID

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from hypothesis.strategies import SearchStrategy
from pydantic import create_model

from qcsc_loop.values.arrays import NDArray
from qcsc_loop.values.record import Record, State


@dataclasses.dataclass(frozen=True)
class Typed:
    """A declared type, and how values of it are made."""

    declared: Any
    values: SearchStrategy[Any]


class Colour(Enum):
    RED = "red"
    BLUE = 2


class Pair(NamedTuple):
    left: int
    right: float


@dataclasses.dataclass(frozen=True)
class Plain:
    number: float
    words: tuple[str, ...] = ()


# strings that JSON, or whoever reads it, may take for something else
CONFUSING = st.sampled_from(["NaN", "Infinity", "-Infinity", "null", "1", "1.0", "true", "P1D", ""])
TEXT = st.one_of(st.text(), CONFUSING)
NUMBERS = st.one_of(st.floats(), st.sampled_from([0.0, -0.0, 5e-324, 1.7976931348623157e308]))
LEAVES = [
    Typed(bool, st.booleans()),
    Typed(int, st.one_of(st.integers(), st.integers(-(2**70), 2**70))),
    Typed(float, NUMBERS),
    Typed(complex, st.complex_numbers()),
    Typed(str, TEXT),
    Typed(bytes, st.binary()),
    Typed(None, st.none()),
    Typed(datetime, st.datetimes(timezones=st.sampled_from([None, UTC]))),
    Typed(date, st.dates()),
    Typed(time, st.times()),
    Typed(timedelta, st.timedeltas()),
    Typed(Decimal, st.decimals()),
    Typed(UUID, st.uuids()),
    Typed(Colour, st.sampled_from(Colour)),
    Typed(Literal["a", 1, None], st.sampled_from(["a", 1, None])),
    Typed(Pair, st.builds(Pair, st.integers(), NUMBERS)),
    Typed(Plain, st.builds(Plain, NUMBERS, st.lists(TEXT).map(tuple))),
]


def arrays() -> SearchStrategy[Any]:
    """Of every kind that can be stored, in either byte order, some beyond what stands in JSON."""
    plain = st.one_of(
        hnp.boolean_dtypes(),
        hnp.integer_dtypes(),
        hnp.unsigned_integer_dtypes(),
        hnp.floating_dtypes(),
        hnp.complex_number_dtypes(),
        hnp.datetime64_dtypes(),
        hnp.timedelta64_dtypes(),
        hnp.byte_string_dtypes(),
        hnp.unicode_string_dtypes(),
    )
    dtypes = st.one_of(plain, hnp.array_dtypes(plain), hnp.nested_dtypes(plain, max_leaves=4))
    shapes = st.one_of(
        hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4), st.just((300,))
    )
    return dtypes.flatmap(lambda dtype: shapes.flatmap(lambda shape: _array(dtype, shape)))


def _array(dtype: Any, shape: tuple[int, ...]) -> SearchStrategy[Any]:
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize

    def of_bytes(content: bytes) -> Any:
        whole = (content * (size // max(1, len(content)) + 1))[:size]
        return np.ndarray(shape, dtype, buffer=whole) if size else np.zeros(shape, dtype)

    return st.binary(min_size=1, max_size=64).map(of_bytes)


def typed() -> SearchStrategy[Typed]:
    """Declared types of any depth."""
    return st.recursive(st.sampled_from(LEAVES), _containers, max_leaves=5)


def _containers(inner: SearchStrategy[Typed]) -> SearchStrategy[Typed]:
    several = st.lists(inner, min_size=1, max_size=3)
    return st.one_of(
        inner.map(_list),
        inner.map(_tuple),
        several.map(_fixed),
        st.tuples(st.sampled_from([str, int, float, bool, date]), inner).map(_mapping),
        several.map(_union),
        several.map(lambda parts: _record(parts, Record)),
    )


def _of(container: Any, *parts: Any) -> Any:
    return container[parts]


def _list(of: Typed) -> Typed:
    return Typed(_of(list, of.declared), st.lists(of.values, max_size=4))


def _tuple(of: Typed) -> Typed:
    return Typed(_of(tuple, of.declared, ...), st.lists(of.values, max_size=4).map(tuple))


def _fixed(parts: list[Typed]) -> Typed:
    declared = _of(tuple, *(part.declared for part in parts))
    return Typed(declared, st.tuples(*(part.values for part in parts)))


def _mapping(pair: tuple[type, Typed]) -> Typed:
    kind, of = pair
    keys = next(leaf.values for leaf in LEAVES if leaf.declared is kind)
    return Typed(_of(dict, kind, of.declared), st.dictionaries(keys, of.values, max_size=4))


def _union(parts: list[Typed]) -> Typed:
    declared = _of(Union, *(part.declared for part in parts))
    return Typed(declared, st.one_of(*(part.values for part in parts)))


def _record(parts: list[Typed], base: type[Record]) -> Typed:
    fields: dict[str, Any] = {f"f{number}": part.declared for number, part in enumerate(parts)}
    fields["array"] = NDArray
    made: Any = create_model("Made", __base__=base, **fields)
    values = {f"f{number}": part.values for number, part in enumerate(parts)}
    return Typed(made, st.builds(made, array=arrays(), **values))


def unions() -> SearchStrategy[Typed]:
    """Two kinds of values that may be stored in the same words."""
    records = [_record([leaf], Record) for leaf in LEAVES[:5]]
    kinds = st.sampled_from([*LEAVES, *records, *map(_list, LEAVES), *map(_tuple, LEAVES)])
    return st.lists(kinds, min_size=2, max_size=2).map(_union)


def states() -> SearchStrategy[Typed]:
    """States, of whatever fields."""
    return st.lists(typed(), min_size=1, max_size=3).map(lambda parts: _record(parts, State))

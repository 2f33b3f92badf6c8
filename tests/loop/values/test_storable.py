"""What would be lost in a store, or be another thing in another process, is refused."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import AsyncIterable, Generator, Iterable, Iterator
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import Any, Literal, NamedTuple

import numpy as np
import pytest
from pydantic import BaseModel, Field, PrivateAttr, Secret, SecretBytes, SecretStr
from typing_extensions import TypedDict

from qcsc_loop.errors import EncodingError
from qcsc_loop.values.arrays import Array, freeze
from qcsc_loop.values.codec import Codec
from qcsc_loop.values.record import NDArray, Record, State


class Inner(BaseModel):
    names: frozenset[str]


@dataclasses.dataclass
class Plain:
    inner: list[Inner]


class Pair(NamedTuple):
    left: int
    right: set[int]


class Fields(TypedDict):
    seen: AbstractSet[int]


class WithSet(State):
    deep: dict[str, Plain]


class WithItself(Record):
    children: tuple[WithItself, ...] = ()
    seen: set[int] = set()


class Hidden(Record):
    value: int = 0
    _cache: int = PrivateAttr(0)


class AroundHidden(State):
    hidden: Hidden | None = None


class Excluded(State):
    value: int = 0
    scratch: int = Field(default=0, exclude=True)


@dataclasses.dataclass
class ExcludedToo:
    scratch: int = Field(default=0, exclude=True)


class Loose(State):
    info: dict[str, Any]


@pytest.mark.parametrize(
    ("declared", "part"),
    [
        (set[int], "it"),
        (frozenset[str], "it"),
        (list[set[int]], "it"),
        (dict[str, frozenset[int]] | None, "it"),
        (WithSet, "its part deep.inner.names"),
        (WithItself, "its part seen"),
        (Pair, "its part right"),
        (Fields, "its part seen"),
    ],
)
def test_a_set_is_refused_where_it_is_declared(declared: Any, part: str) -> None:
    with pytest.raises(EncodingError, match=rf"cannot be stored: {part} is a set, .* sorted tuple"):
        Codec(declared)


@pytest.mark.parametrize(
    "declared",
    [Iterable[float], Generator[float, None, None], list[Iterable[int]]],
)
def test_what_can_be_read_once_only_is_refused(declared: Any) -> None:
    """Read by the check, it would be empty in the next hook: a sum of 0 instead of 6."""
    with pytest.raises(EncodingError, match="it can be read once only"):
        Codec(declared)


@pytest.mark.parametrize("declared", [Iterator[float], AsyncIterable[int], map, zip])
def test_other_lazy_types_have_no_stored_form_at_all(declared: Any) -> None:
    with pytest.raises(EncodingError, match="a part of it has no exact stored form"):
        Codec(declared)


@pytest.mark.parametrize("declared", [SecretStr, SecretBytes, Secret[int], dict[str, SecretStr]])
def test_a_secret_is_refused(declared: Any) -> None:
    with pytest.raises(EncodingError, match="is a secret, which is stored as asterisks"):
        Codec(declared)


@pytest.mark.parametrize("declared", [Hidden, AroundHidden])
def test_private_attributes_are_refused(declared: Any) -> None:
    with pytest.raises(EncodingError, match=r"has the private attribute Hidden\._cache"):
        Codec(declared)


@pytest.mark.parametrize("declared", [Excluded, ExcludedToo, tuple[Excluded, ...]])
def test_excluded_fields_are_refused(declared: Any) -> None:
    with pytest.raises(EncodingError, match="its part scratch is excluded from what is stored"):
        Codec(declared)


@pytest.mark.parametrize(
    ("inside", "fault"),
    [
        ({"a": [{1, 2}]}, r"its part info\.a\.0 is a set"),
        ({"a": frozenset("ab")}, r"its part info\.a is a set"),
        ({"a": SecretStr("x")}, r"its part info\.a is a secret"),
        ({"a": (k for k in range(3))}, r"its part info\.a can be read once only"),
    ],
    ids=["set", "frozenset", "secret", "generator"],
)
def test_where_a_type_leaves_it_open_the_value_is_refused(
    inside: dict[str, Any], fault: str
) -> None:
    codec: Codec[Loose] = Codec(Loose)
    with pytest.raises(EncodingError, match=fault):
        codec.keep(codec.check(Loose(info=inside)))


def test_what_is_plain_is_stored_where_a_type_leaves_it_open() -> None:
    value = Loose(info={"a": [1, 2.5, None, {"b": "text"}]})
    codec: Codec[Loose] = Codec(Loose)
    assert codec.keep(value)[1] == value


# padding

ALIGNED = np.dtype([("flag", "?"), ("value", "<f8")], align=True)
NESTED = np.dtype([("inner", ALIGNED, (2,)), ("small", "i1")], align=True)
PADDED = [np.dtype("g"), np.dtype("G"), np.dtype("g").newbyteorder(), ALIGNED, NESTED]


def filled(dtype: np.dtype[Any], garbage: int) -> NDArray:
    """Two elements whose padding holds what happened to be there."""
    array = np.frombuffer(bytearray([garbage]) * (2 * dtype.itemsize), dtype).copy()
    _fill(array)
    return array


def _fill(array: NDArray) -> None:
    if array.dtype.names is None:
        array[...] = 1
        return
    for name in array.dtype.names:
        _fill(array[name])


@pytest.mark.parametrize("dtype", PADDED, ids=str)
def test_padding_has_no_part_in_a_hash(dtype: np.dtype[Any]) -> None:
    one, other = filled(dtype, 0x00), filled(dtype, 0xFF)
    codec: Codec[Array] = Codec(NDArray)
    assert codec.encode(freeze(one)).sha256 == codec.encode(freeze(other)).sha256
    np.testing.assert_array_equal(freeze(other), other)


def test_padding_of_an_array_over_bytes_is_zeroed_too() -> None:
    raw = filled(ALIGNED, 0xFF).tobytes()
    assert freeze(np.frombuffer(raw, ALIGNED)).tobytes() == freeze(filled(ALIGNED, 0)).tobytes()


def test_arrays_without_padding_are_not_copied_again() -> None:
    array = freeze(np.arange(4.0))
    assert freeze(array) is array


# numpy's own numbers


@pytest.mark.parametrize("value", [True, False])
def test_a_numpy_bool_is_a_bool(value: bool) -> None:
    assert Codec(bool).check(np.bool_(value)) is value


# what would be read back as another type


class Warm(Record):
    steps: int = 0


class Main(Record):
    steps: int = 0


class Told(Record):
    kind: Literal["told"] = "told"
    steps: int = 0


class Stages(State):
    stage: Warm | Main = Warm()
    told: Warm | Told = Warm()
    energy: float | str = 0.0
    at: str | datetime = ""
    by: dict[int | str, str] = {}


@pytest.mark.guarantee("G5")
@pytest.mark.parametrize(
    ("value", "words"),
    [
        (Stages(stage=Main()), "its part stage is of type Main, and would be read back as Warm"),
        (
            Stages(energy=float("nan")),
            "its part energy is of type float, and would be read back as str",
        ),
        (
            Stages(at=datetime(2031, 1, 1)),
            "its part at is of type datetime, and would be read back as str",
        ),
        (Stages(by={1: "a"}), "its part by.1 is of type int, and would be read back as str"),
    ],
    ids=["records", "a number or text", "a time or text", "a key"],
)
def test_what_would_be_read_back_as_another_type_is_refused(value: Stages, words: str) -> None:
    with pytest.raises(
        EncodingError, match=f"Stages cannot be stored: {re.escape(words)}; declare"
    ):
        Codec[Stages](Stages).encode(value)


@pytest.mark.parametrize(
    "value",
    [
        Stages(),
        Stages(stage=Warm(steps=2), told=Told(steps=1), energy="NaN"),
        Stages(energy=np.float64(1.5), by={"a": "b"}),
    ],
)
def test_what_is_read_back_as_it_was_is_kept(value: Stages) -> None:
    codec = Codec[Stages](Stages)
    read = codec.keep(value)[1]
    assert (type(read.stage), type(read.told)) == (type(value.stage), type(value.told))
    assert read == value

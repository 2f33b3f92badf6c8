"""Records and states: frozen, copied in, equal by content."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from qcsc_loop import NDArray, Record, State


class Wave(State):
    amplitudes: NDArray
    energy: float = 0.0


class Shot(Record):
    bits: NDArray


# arrays that come in


def test_an_array_changed_by_its_owner_does_not_change_the_state() -> None:
    amplitudes = np.zeros(3)
    wave = Wave(amplitudes=amplitudes)

    amplitudes[0] = 1

    assert wave.amplitudes[0] == 0


def test_a_view_changed_by_its_owner_does_not_change_the_state() -> None:
    amplitudes = np.zeros(6)
    wave = Wave(amplitudes=amplitudes[::2])

    amplitudes[:] = 1

    assert wave.amplitudes.tolist() == [0, 0, 0]


def test_the_callers_own_array_stays_writable() -> None:
    amplitudes = np.zeros(3)
    Wave(amplitudes=amplitudes)

    assert amplitudes.flags.writeable


def test_a_list_becomes_an_array() -> None:
    wave = Wave.model_validate({"amplitudes": [1.0, 2.0]})

    assert wave.amplitudes.dtype == np.float64


def test_writing_into_a_states_array_is_refused() -> None:
    wave = Wave(amplitudes=np.zeros(3))

    with pytest.raises(ValueError, match="read-only"):
        wave.amplitudes[0] = 1


@pytest.mark.parametrize("size", [0, 3, 1000])
def test_a_states_array_cannot_be_made_writable(size: int) -> None:
    wave = Wave(amplitudes=np.zeros(size))

    with pytest.raises(ValueError, match="WRITEABLE"):
        wave.amplitudes.setflags(write=True)


def test_a_view_of_a_states_array_cannot_be_made_writable() -> None:
    wave = Wave(amplitudes=np.zeros(3))

    with pytest.raises(ValueError, match="WRITEABLE"):
        wave.amplitudes[1:].setflags(write=True)


# frozen and closed


def test_a_field_cannot_be_assigned() -> None:
    wave = Wave(amplitudes=np.zeros(3))

    with pytest.raises(ValidationError, match="frozen"):
        wave.energy = 1.0  # type: ignore[misc]  # what is refused


def test_a_misspelt_field_is_refused() -> None:
    with pytest.raises(ValidationError, match="enrgy"):
        Wave(amplitudes=np.zeros(3), enrgy=1.0)  # type: ignore[call-arg]  # what is refused


# equality


@pytest.mark.parametrize("size", [3, 1000])
def test_records_with_the_same_content_are_equal(size: int) -> None:
    assert Wave(amplitudes=np.arange(size)) == Wave(amplitudes=np.arange(size))


@pytest.mark.parametrize("size", [3, 1000])
def test_records_that_differ_in_one_element_are_not_equal(size: int) -> None:
    other = np.arange(size)
    other[-1] += 1

    assert Wave(amplitudes=np.arange(size)) != Wave(amplitudes=other)


def test_nan_is_equal_to_nan_in_records() -> None:
    nan = np.full(3, math.nan)

    assert Wave(amplitudes=nan, energy=math.nan) == Wave(amplitudes=nan, energy=math.nan)


def test_an_array_of_another_dtype_is_not_equal() -> None:
    assert Wave(amplitudes=np.zeros(3, "f8")) != Wave(amplitudes=np.zeros(3, "i8"))


def test_memory_layout_makes_no_difference_to_equality() -> None:
    square = np.arange(9.0).reshape(3, 3)

    assert Wave(amplitudes=square) == Wave(amplitudes=np.asfortranarray(square))


def test_records_of_different_classes_are_not_equal() -> None:
    class Other(State):
        amplitudes: NDArray
        energy: float = 0.0

    assert Wave(amplitudes=np.zeros(3)) != Other(amplitudes=np.zeros(3))


@pytest.mark.parametrize("other", [None, 1, "Wave", {"amplitudes": [0]}])
def test_a_record_is_not_equal_to_what_is_no_record(other: object) -> None:
    assert Wave(amplitudes=np.zeros(1)) != other


def test_records_inside_records_count_for_equality() -> None:
    class Pair(Record):
        left: Shot
        right: Shot

    zero, one = Shot(bits=np.zeros(3)), Shot(bits=np.ones(3))

    assert Pair(left=zero, right=one) == Pair(left=zero, right=one)
    assert Pair(left=zero, right=one) != Pair(left=one, right=zero)


def test_a_subclass_is_refused_where_storing_would_lose_what_it_adds() -> None:
    class Marked(Shot):
        mark: int

    class Outer(Record):
        shot: Shot

    bits = np.zeros(3)

    with pytest.raises(ValidationError, match="mark"):
        Outer(shot=Marked(bits=bits, mark=1))


def test_equal_records_have_equal_hashes() -> None:
    assert hash(Wave(amplitudes=np.arange(1000))) == hash(Wave(amplitudes=np.arange(1000)))


def test_a_set_keeps_one_of_equal_records() -> None:
    shots = [Shot(bits=np.zeros(3)), Shot(bits=np.zeros(3)), Shot(bits=np.ones(3))]

    assert len(dict.fromkeys(shots)) == 2


# scalars


def test_scalars_are_the_numbers_among_the_fields_in_their_order() -> None:
    class Mixed(State):
        label: str = "x"
        shots: int = 5
        values: NDArray
        energy: float = -1.5
        done: bool = True
        bound: float | None = None

    scalars = Mixed(values=np.zeros(2)).scalars()

    assert list(scalars.items()) == [("shots", 5.0), ("energy", -1.5), ("done", 1.0)]


def test_scalars_are_plain_floats() -> None:
    wave = Wave(amplitudes=np.zeros(1), energy=np.float64(1.5))

    assert [type(value) for value in wave.scalars().values()] == [float]


def test_scalars_of_a_base_class_come_first() -> None:
    class Excited(Wave):
        gap: float = 2.0

    assert list(Excited(amplitudes=np.zeros(1)).scalars()) == ["energy", "gap"]


@pytest.mark.parametrize("number", [10**400, -(10**400)], ids=["huge", "negative"])
def test_an_integer_beyond_the_floats_is_infinite_as_a_scalar(number: int) -> None:
    class Big(State):
        determinants: int

    assert Big(determinants=number).scalars() == {
        "determinants": math.inf if number > 0 else -math.inf
    }


def test_a_changed_state_built_by_the_constructor_is_validated() -> None:
    wave = Wave(amplitudes=np.zeros(3))
    fields: dict[str, Any] = dict(wave) | {"energy": "low"}

    with pytest.raises(ValidationError, match="energy"):
        Wave(**fields)

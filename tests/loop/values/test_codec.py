"""Values to documents and back: exactly, or not at all."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from pydantic import BaseModel, ValidationError
from typing_extensions import TypedDict

from other_process import printed_by
from qcsc_loop.errors import DamagedDocument, EncodingError
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.values.arrays import INLINE_BYTES, Array, NDArray, freeze
from qcsc_loop.values.codec import Codec
from qcsc_loop.values.document import Document
from qcsc_loop.values.record import Record, State

SMALL, LARGE = 3, 1000  # elements: inline in the JSON, and beside it


class Holder(State):
    values: NDArray


CODEC: Codec[Holder] = Codec(Holder)


def through_a_document(array: Array) -> Array:
    return CODEC.decode(CODEC.encode(Holder(values=array))).values


def assert_same_bits(found: Array, expected: Array) -> None:
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    # but for padding, which means nothing
    assert found.tobytes(order="C") == freeze(expected).tobytes(order="C")


# exact round trips


@pytest.mark.parametrize("length", [SMALL, LARGE])
@pytest.mark.parametrize("dtype", [*np.typecodes["All"].replace("O", ""), ">f8", ">i4", ">c16"])
def test_every_dtype_but_object_comes_back_bit_for_bit(dtype: str, length: int) -> None:
    kind = np.dtype(
        {"S": "S5", "U": "U5", "V": "V5", "M": "M8[ns]", "m": "m8[us]"}.get(dtype, dtype)
    )
    noise = np.random.default_rng(1).integers(0, 2, length * kind.itemsize, dtype=np.uint8)
    array = np.frombuffer(noise.tobytes(), kind)

    assert_same_bits(through_a_document(array), array)


@pytest.mark.parametrize("length", [SMALL, LARGE])
@pytest.mark.parametrize(
    "value",
    [
        math.nan,
        math.inf,
        -math.inf,
        -0.0,
        5e-324,
        complex(math.nan, math.inf),
        complex(-0.0, math.nan),
        complex(-math.inf, -0.0),
    ],
)
def test_values_that_json_lacks_are_exact_in_arrays(value: complex, length: int) -> None:
    array = np.full(length, value)

    assert_same_bits(through_a_document(array), array)


def test_the_payload_of_a_nan_is_kept() -> None:
    array = np.array([0x7FF8_0000_0000_BEEF], np.uint64).view(np.float64)

    assert_same_bits(through_a_document(array), array)


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0), (), (1, 1, 1), (4, 5, 60)])
def test_every_shape_comes_back(shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(1).random(shape)

    assert_same_bits(through_a_document(np.asarray(array)), np.asarray(array))


@pytest.mark.parametrize("edge", [4, 40])
@pytest.mark.parametrize("layout", ["every second", "reversed", "transposed", "Fortran"])
def test_memory_layout_makes_no_difference(layout: str, edge: int) -> None:
    square = np.arange(float(edge * edge)).reshape(edge, edge)
    array = {
        "every second": square[::2, 1::2],
        "reversed": square[::-1],
        "transposed": square.T,
        "Fortran": np.asfortranarray(square),
    }[layout]

    assert_same_bits(through_a_document(array), array)


@pytest.mark.parametrize("length", [SMALL, LARGE])
@pytest.mark.parametrize(
    "dtype",
    [
        np.dtype([("label", "U3"), ("energy", ">f8")]),
        np.dtype([("site", "i2"), ("block", "f4", (2, 3))]),
        np.dtype([("outer", [("inner", "c16")])]),
        np.dtype([("flag", "?"), ("value", "f8")], align=True),
    ],
    ids=["named", "blocks", "nested", "padded"],
)
def test_structured_arrays_come_back_bit_for_bit(dtype: np.dtype[Any], length: int) -> None:
    array = np.zeros(length, dtype)
    array[-1] = np.ones((), dtype)

    assert_same_bits(through_a_document(array), array)


@pytest.mark.parametrize("length", [SMALL, LARGE])
def test_text_beyond_ascii_comes_back(length: int) -> None:
    array = np.array(["ψ₀", "Ĥ", ""] * length)

    assert through_a_document(array).tolist() == array.tolist()


def test_an_array_of_100_megabytes_comes_back_bit_for_bit() -> None:
    array = np.arange(12_500_000.0)

    assert np.array_equal(through_a_document(array), array)


@pytest.mark.parametrize("length", [SMALL, LARGE])
def test_a_record_array_comes_back_with_its_type(length: int) -> None:
    array = np.rec.array(np.zeros(length, [("site", "i4"), ("spin", "f8")]))

    assert through_a_document(array).dtype == freeze(array).dtype


def test_what_a_document_gives_is_encoded_to_the_same_document() -> None:
    document = CODEC.encode(Holder(values=np.arange(float(LARGE))))

    assert CODEC.encode(CODEC.decode(document)).body == document.body


def test_nan_and_infinity_in_a_plain_dictionary_come_back() -> None:
    codec: Codec[dict[str, float]] = Codec(dict[str, float])

    found = codec.decode(codec.encode({"a": math.nan, "b": math.inf, "c": -math.inf, "d": -0.0}))

    assert math.isnan(found["a"])
    assert (found["b"], found["c"]) == (math.inf, -math.inf)
    assert math.copysign(1, found["d"]) == -1


@pytest.mark.parametrize("value", [0.1 + 0.2, 5e-324, 1.7976931348623157e308, 1 / 3, 1e22])
def test_a_float_comes_back_exactly(value: float) -> None:
    codec: Codec[float] = Codec(float)

    assert codec.decode(codec.encode(value)) == value


@pytest.mark.parametrize("value", [1e-300 + 2.5j, complex(math.nan, math.inf), complex(1, -0.0)])
def test_a_complex_number_comes_back_exactly(value: complex) -> None:
    codec: Codec[complex] = Codec(complex)

    found = codec.decode(codec.encode(value))

    assert np.array(found).tobytes() == np.array(value).tobytes()


@dataclass
class Pair:
    energy: float
    values: NDArray


class NamedPair(NamedTuple):
    energy: float
    values: NDArray


class TypedPair(TypedDict):
    energy: float
    values: NDArray


class RecordPair(Record):
    energy: float
    values: NDArray


@pytest.mark.parametrize("energy", [-1.5, math.nan, math.inf])
@pytest.mark.parametrize("kind", [Pair, NamedPair, RecordPair])
def test_a_hook_may_return_any_kind_of_record(kind: Any, energy: float) -> None:
    codec: Codec[Any] = Codec(kind)

    found = codec.decode(codec.encode(kind(energy=energy, values=np.arange(3))))

    assert np.array_equal(found.energy, energy, equal_nan=True)
    assert_same_bits(found.values, np.arange(3))


@pytest.mark.parametrize("energy", [-1.5, math.nan, math.inf])
def test_a_hook_may_return_a_typed_dictionary(energy: float) -> None:
    codec: Codec[TypedPair] = Codec(TypedPair)

    found = codec.decode(codec.encode({"energy": energy, "values": freeze(np.arange(3))}))

    assert np.array_equal(found["energy"], energy, equal_nan=True)
    assert_same_bits(found["values"], np.arange(3))


class Plain(BaseModel):
    energy: float


class AroundPlain(State):
    inner: Plain


@pytest.mark.parametrize(
    "value", [Plain(energy=math.nan), AroundPlain(inner=Plain(energy=math.inf))], ids=repr
)
def test_nan_in_a_plain_model_comes_back_or_is_refused_before_it_is_stored(value: Any) -> None:
    codec: Codec[Any] = Codec(type(value))
    try:
        document = codec.encode(value)
    except EncodingError:
        return

    assert repr(codec.decode(document)) == repr(value)


def test_a_dictionary_with_tuples_as_keys_comes_back_or_is_refused_before_it_is_stored() -> None:
    codec: Codec[dict[tuple[int, int], float]] = Codec(dict[tuple[int, int], float])
    try:
        document = codec.encode({(0, 1): 0.5})
    except EncodingError:
        return

    assert codec.decode(document) == {(0, 1): 0.5}


@pytest.mark.parametrize("length", [SMALL, LARGE])
def test_a_bare_array_may_be_a_hooks_value(length: int) -> None:
    codec: Codec[Array] = Codec(np.ndarray)

    assert_same_bits(codec.decode(codec.encode(np.arange(length))), np.arange(length))


@pytest.mark.parametrize("length", [SMALL, LARGE])
def test_several_arrays_do_not_get_mixed_up(length: int) -> None:
    codec: Codec[list[Array]] = Codec(list[NDArray])
    arrays = [np.arange(length) + k for k in range(12)]

    found = codec.decode(codec.encode(arrays))

    assert [int(array[0]) for array in found] == list(range(12))


# where arrays are kept


def test_a_small_array_stands_in_the_json() -> None:
    document = CODEC.encode(Holder(values=np.zeros(INLINE_BYTES, np.uint8)))

    assert document.arrays == {}


def test_a_large_array_stands_beside_the_json() -> None:
    document = CODEC.encode(Holder(values=np.zeros(INLINE_BYTES + 1, np.uint8)))

    assert list(document.arrays) == ["a0"]
    assert len(document.body) < INLINE_BYTES


def test_a_document_is_one_line_of_json() -> None:
    body = CODEC.encode(Holder(values=np.zeros(LARGE))).body

    assert b"\n" not in body
    assert json.loads(body)["values"]["shape"] == [LARGE]


# arrays are unchangeable


@pytest.mark.parametrize("length", [SMALL, LARGE])
@pytest.mark.parametrize("in_memory", [False, True])
def test_a_decoded_array_cannot_be_made_writable(length: int, in_memory: bool) -> None:
    document = CODEC.encode(Holder(values=np.zeros(length)))
    values = CODEC.decode(document, in_memory=in_memory).values

    with pytest.raises(ValueError, match="WRITEABLE"):
        values.setflags(write=True)


def test_an_array_read_from_disk_cannot_be_made_writable(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    store.write("run/state", CODEC.encode(Holder(values=np.zeros(LARGE))))
    values = CODEC.decode(store.read("run/state")).values

    with pytest.raises(ValueError, match="WRITEABLE"):
        values.setflags(write=True)


def test_an_unchangeable_array_is_not_copied_again() -> None:
    once = freeze(np.arange(3))

    assert freeze(once) is once


def test_a_read_only_view_of_a_writable_array_is_copied() -> None:
    owner = np.zeros(3)
    view = owner.view()
    view.setflags(write=False)

    kept = freeze(view)
    owner[0] = 1

    assert kept[0] == 0


# refusals on the way in


@pytest.mark.parametrize(
    "array",
    [
        np.array([None, 1]),
        np.array([{}]),
        np.zeros(1, [("x", "O")]),
        np.array(["a"], np.dtypes.StringDType()),
    ],
    ids=["objects", "mappings", "structured", "variable-width"],
)
def test_an_array_of_objects_is_refused_when_the_state_is_built(array: Array) -> None:
    with pytest.raises(ValidationError, match="arrays of Python objects cannot be stored exactly"):
        Holder(values=array)


def test_an_array_of_objects_that_slipped_past_validation_is_refused_when_it_is_stored() -> None:
    with pytest.raises(EncodingError, match=r"Holder cannot be stored: .*arrays of Python objects"):
        CODEC.encode(Holder.model_construct(values=np.array([None])))


def test_a_masked_array_is_refused_since_its_mask_would_be_lost() -> None:
    with pytest.raises(ValidationError, match="mask"):
        Holder(values=np.ma.array([1, 2], mask=[False, True]))


def test_a_ragged_list_is_refused_when_the_state_is_built() -> None:
    with pytest.raises(ValidationError, match="inhomogeneous"):
        Holder.model_validate({"values": [[1], [2, 3]]})


@pytest.mark.parametrize("value", [None, {}, {"dtype": 3}, object()])
def test_what_is_no_array_is_refused_when_the_state_is_built(value: Any) -> None:
    with pytest.raises(ValidationError):
        Holder(values=value)


def test_a_type_without_an_exact_form_is_refused_before_anything_runs() -> None:
    class Socket: ...

    with pytest.raises(EncodingError, match=r"derive your own records from qcsc_loop\.Record"):
        Codec(list[Socket])


def test_a_plain_array_annotation_inside_a_container_is_answered_with_the_right_one() -> None:
    with pytest.raises(EncodingError, match=r"use qcsc_loop\.NDArray for arrays"):
        Codec(dict[str, np.ndarray])


def test_bytes_that_are_no_text_are_refused_when_they_are_stored() -> None:
    codec: Codec[bytes] = Codec(bytes)

    with pytest.raises(EncodingError, match="bytes cannot be stored"):
        codec.encode(b"\xff")


class Longer(Holder):
    extra: int


class AroundHolder(State):
    inner: Holder


@pytest.mark.parametrize("wrapped", [False, True], ids=["itself", "inside a record"])
def test_a_subclass_whose_fields_would_be_lost_is_refused(wrapped: bool) -> None:
    longer = Longer(values=np.arange(3), extra=5)
    codec: Codec[Any] = Codec(AroundHolder if wrapped else Holder)

    with pytest.raises((EncodingError, ValidationError)):
        codec.encode(codec.check(AroundHolder(inner=longer) if wrapped else longer))


@pytest.mark.parametrize(
    ("declared", "value"),
    [(float, "1.5"), (int, 1.0), (int, True), (tuple[int, ...], [1]), (bool, 1), (Holder, {})],
)
def test_checking_converts_nothing(declared: Any, value: object) -> None:
    codec: Codec[Any] = Codec(declared)

    with pytest.raises((ValidationError, TypeError)):
        codec.check(value)


@pytest.mark.parametrize(
    ("declared", "name"),
    [
        (Holder, "Holder"),
        (float, "float"),
        (dict[str, float], "dict[str, float]"),
        (np.ndarray, "ndarray"),
        (NDArray, "NDArray"),
        (list[NDArray], "list[NDArray]"),
    ],
)
def test_a_declared_type_is_named_as_a_person_would_write_it(declared: Any, name: str) -> None:
    codec: Codec[Any] = Codec(declared)

    assert codec.name == name


# refusals on the way out


def changed(document: Document, **form: Any) -> Document:
    """The document with parts of its array's description replaced; None leaves a part out."""
    body = json.loads(document.body)
    body["values"] = {k: v for k, v in (body["values"] | form).items() if v is not None}
    return replace(document, body=json.dumps(body).encode())


@pytest.mark.parametrize(
    "form",
    [
        {"shape": [5]},
        {"shape": [2]},
        {"shape": [-1]},
        {"shape": ["x"]},
        {"shape": None},
        {"shape": 4},
        {"dtype": "<f4"},
        {"dtype": "nonsense"},
        {"dtype": 3},
        {"dtype": [["x"]]},
        {"dtype": {}},
        {"dtype": None},
        {"base64": "?"},
        {"base64": "AAAA"},
        {"base64": 3},
        {"base64": None},
    ],
    ids=str,
)
def test_a_damaged_small_array_is_refused(form: dict[str, Any]) -> None:
    document = CODEC.encode(Holder(values=np.arange(4.0)))

    with pytest.raises(DamagedDocument):
        CODEC.decode(changed(document, **form))


@pytest.mark.parametrize(
    "form",
    [
        {"shape": [LARGE - 1]},
        {"shape": [LARGE // 10, 10]},
        {"shape": None},
        {"dtype": "<i8"},
        {"dtype": ">f8"},
        {"dtype": "nonsense"},
        {"sha256": "0" * 64},
        {"sha256": None},
        {"array": "a1"},
        {"array": []},
        {"array": None},
    ],
    ids=str,
)
def test_a_damaged_description_of_a_large_array_is_refused(form: dict[str, Any]) -> None:
    document = CODEC.encode(Holder(values=np.arange(float(LARGE))))

    with pytest.raises(DamagedDocument):
        CODEC.decode(changed(document, **form))


def test_a_large_array_with_one_bit_flipped_is_refused() -> None:
    document = CODEC.encode(Holder(values=np.arange(float(LARGE))))
    flipped = np.array(document.arrays["a0"])
    flipped.view(np.uint8)[-1] ^= 1

    with pytest.raises(DamagedDocument, match="does not match its sha256"):
        CODEC.decode(replace(document, arrays={"a0": flipped}))


def test_a_missing_large_array_is_named() -> None:
    document = CODEC.encode(Holder(values=np.arange(float(LARGE))))

    with pytest.raises(
        DamagedDocument, match=r"a stored Holder is damaged: .*array 'a0' is missing"
    ):
        CODEC.decode(replace(document, arrays={}))


@pytest.mark.parametrize("body", [b"", b"{", b"null", b"{}", b"[]", b"\xff", b'{"values": null}'])
def test_a_body_that_is_no_such_value_is_refused(body: bytes) -> None:
    with pytest.raises(DamagedDocument):
        CODEC.decode(Document(body))


@pytest.mark.guarantee("S9")
def test_a_description_of_an_array_of_objects_is_never_followed() -> None:
    document = CODEC.encode(Holder(values=np.arange(4.0)))

    with pytest.raises(DamagedDocument, match="arrays of Python objects are never read"):
        CODEC.decode(changed(document, dtype="|O", shape=[1]))


class Trap:
    """What a pickle of it would do when it is read."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, tuple[Path]]:
        return Path.touch, (self.mark,)


@pytest.mark.guarantee("S9")
def test_a_pickle_put_in_place_of_the_arrays_is_not_executed(tmp_path: Path) -> None:
    store, mark = DirectoryStore(tmp_path), tmp_path / "executed"
    store.write("run/state", CODEC.encode(Holder(values=np.arange(float(LARGE)))))
    (arrays,) = tmp_path.rglob("*.npz")
    np.savez(arrays, a0=np.array([Trap(mark)], dtype=object))

    with pytest.raises(DamagedDocument):
        CODEC.decode(store.read("run/state"))

    assert not mark.exists()


# the hash of a value


def test_the_hash_covers_the_arrays_beside_the_json() -> None:
    ones, zeros = Holder(values=np.ones(LARGE)), Holder(values=np.zeros(LARGE))

    assert CODEC.encode(ones).sha256 != CODEC.encode(zeros).sha256


def test_the_hash_tells_dtypes_with_the_same_bytes_apart() -> None:
    whole, real = np.zeros(LARGE, np.int64), np.zeros(LARGE, np.float64)

    assert CODEC.encode(Holder(values=whole)).sha256 != CODEC.encode(Holder(values=real)).sha256


def test_the_hash_tells_shapes_with_the_same_bytes_apart() -> None:
    row, column = np.zeros((1, LARGE)), np.zeros((LARGE, 1))

    assert CODEC.encode(Holder(values=row)).sha256 != CODEC.encode(Holder(values=column)).sha256


def test_the_hash_does_not_depend_on_notes_beside_the_value() -> None:
    document = CODEC.encode(Holder(values=np.zeros(SMALL)))

    assert replace(document, meta=b'{"seconds": 1.5}').sha256 == document.sha256


HASH_OF_A_STATE = """
import numpy as np
from qcsc_loop import NDArray, State
from qcsc_loop.values.codec import Codec

class Everything(State):
    names: dict[str, float]
    label: str
    small: NDArray
    large: NDArray

state = Everything(
    names={"b": float("nan"), "a": 1 / 3}, label="ψ", small=np.arange(3), large=np.arange(1000) / 7
)
print(Codec(Everything).encode(state).sha256)
"""


def test_the_hash_is_the_same_in_every_process() -> None:
    hashes = {printed_by(HASH_OF_A_STATE, PYTHONHASHSEED=seed) for seed in ("0", "1", "20")}

    assert len(hashes) == 1

"""Arrays in stored values: unchangeable, hashed, exact."""

from __future__ import annotations

import base64
import hashlib
import math
import zlib
from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any, ClassVar, get_args, get_origin, get_type_hints

import numpy as np
from pydantic import (
    GetCoreSchemaHandler,
    SerializationInfo,
    ValidationInfo,
)
from pydantic_core import core_schema

from qcsc_loop.errors import EncodingError
from qcsc_loop.plain import Json

Array = np.ndarray[Any, np.dtype[Any]]  # any shape, any dtype but object: both are data here

X87_BYTES, X87_MANTISSA = 10, 63  # of a long double on x86, which is stored in 12 or 16

INLINE_BYTES = 1024
"""Arrays up to this size stand in the JSON itself: a file of their own costs two fsyncs."""


def freeze(value: object) -> Array:
    """An unchangeable, C-contiguous copy of an array; itself if it is one already.

    The buffer is a `bytes` object, so that neither the array nor any view of it can be made
    writable again: a caller's later write to its own array cannot reach a stored state.
    """
    if isinstance(value, np.ndarray) and isinstance(value.base, bytes) and value.flags.c_contiguous:
        return value if _padding(value.dtype) is None else _without_padding(value)
    if isinstance(value, np.ma.MaskedArray):
        raise ValueError("a masked array's mask cannot be stored; keep data and mask as two arrays")
    array = np.asarray(value)
    if array.dtype.hasobject:
        raise ValueError(
            "arrays of Python objects cannot be stored exactly; use a numeric, bool or "
            "fixed-width string dtype"
        )
    return _without_padding(array)


def real_numbers(given: object, what: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Numbers that somebody gave, in an array of their own, float64 of the shape that they have.

    Numpy takes a complex number's real part, and only warns: what is complex is refused.

    Args:
        what: they are, for the sentence.

    Raises:
        ValueError: they are not real numbers in a rectangular shape.
    """
    try:
        found = np.asarray(given)
        if found.dtype.kind in "biufO":  # what is in an object array, each says for itself
            return np.array(found, np.float64)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{what}: real numbers are asked for, not {given!r:.80}") from None
    if found.dtype.kind != "c":
        raise ValueError(f"{what}: real numbers are asked for, not {given!r:.80}")
    raise ValueError(
        f"{what}: real numbers are asked for, and these are complex. Where they are real but for their "
        "type, give their .real"
    )


def _without_padding(array: Array) -> Array:
    content = array.tobytes(order="C")
    padding = _padding(array.dtype)
    if padding is not None and content:
        rows = np.frombuffer(content, np.uint8).reshape(-1, array.dtype.itemsize)
        content = np.where(padding, np.uint8(0), rows).tobytes()
    return np.ndarray(array.shape, array.dtype, buffer=content)


@lru_cache(maxsize=256)
def _padding(dtype: np.dtype[Any]) -> Array | None:
    """Which bytes of an element mean nothing, and hold what happened to be there; None: none."""
    means = _meaning(dtype)
    return None if means.all() else ~means


def _meaning(dtype: np.dtype[Any]) -> Array:
    if dtype.subdtype is not None:
        inner, shape = dtype.subdtype
        return np.tile(_meaning(inner), math.prod(shape))
    means = np.zeros(dtype.itemsize, bool)
    if dtype.fields is not None:
        for field in dtype.fields.values():
            inner, offset = field[0], field[1]
            means[offset : offset + inner.itemsize] |= _meaning(inner)
        return means
    means[:] = True
    if dtype.char in "gG" and np.finfo(np.longdouble).nmant == X87_MANTISSA:
        parts = means.reshape(1 if dtype.char == "g" else 2, -1)
        parts[:, X87_BYTES:] = False
        if not dtype.isnative:
            parts[:] = parts[:, ::-1]
    return means


def array_sha256(array: Array) -> str:
    """Hash of an array's bytes in C order; dtype and shape are hashed with the JSON."""
    return hashlib.sha256(_bytes_of(array)).hexdigest()


def array_checksum(array: Array) -> int:
    """Of the same bytes, at twice the speed: against what happens, not against what is meant."""
    return zlib.crc32(_bytes_of(array))


def _bytes_of(array: Array) -> memoryview:
    # a view as bytes, not a copy: arrays of 100 MB pass here every iteration
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


class _ArrayField:
    """How pydantic reads and writes an NDArray field."""

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.with_info_plain_validator_function(
            _array_from,
            serialization=core_schema.plain_serializer_function_ser_schema(
                _array_to, info_arg=True, when_used="json"
            ),
        )

    def __get_pydantic_json_schema__(self, _schema: object, _handler: object) -> Json:
        return {"type": "object", "title": "array"}


NDArray = Annotated[Array, _ArrayField()]
"""A field that holds a numpy array: copied and read-only, exact through a checkpoint."""

USE_NDARRAY = "use qcsc_loop.NDArray for arrays: numpy's own do not say how they are stored"


def refuse_plain_arrays(owner: type) -> None:
    """Makes sure that no field of a class is annotated as an array of numpy's own.

    Raises:
        EncodingError: one is; says what to write.
    """
    try:
        hints = get_type_hints(owner, include_extras=True)
    except Exception:  # names that are not there yet: pydantic says what it makes of them
        return
    for name, hint in hints.items():
        if _is_plain_array(hint):
            raise EncodingError(f"{owner.__qualname__}.{name}", USE_NDARRAY)


def _is_plain_array(hint: Any) -> bool:
    origin = get_origin(hint)
    if np.ndarray in (hint, origin):
        return True
    if origin in (Annotated, ClassVar):
        return False
    return any(_is_plain_array(part) for part in get_args(hint))


def _array_to(array: Array, info: SerializationInfo) -> Json:
    if array.dtype.hasobject:  # reached only where validation was bypassed
        raise ValueError("arrays of Python objects cannot be stored exactly")
    array = freeze(array)  # what bypassed validation
    form: Json = {
        "dtype": np.lib.format.dtype_to_descr(array.dtype),
        "shape": list(array.shape),
    }
    context: dict[str, Any] | None = info.context
    if context is None or array.nbytes <= INLINE_BYTES:
        return form | {"base64": base64.b64encode(array.tobytes(order="C")).decode("ascii")}
    arrays: dict[str, Array] = context["arrays"]
    name = f"a{len(arrays)}"
    arrays[name] = array
    hashes: dict[int, str] = context["hashes"]
    if id(array) not in hashes:
        hashes[id(array)] = array_sha256(array)
    return form | {"array": name, "sha256": hashes[id(array)]}


def _array_from(value: object, info: ValidationInfo) -> Array:
    if not isinstance(value, dict):
        return freeze(value)
    try:
        return _array_of_form(value, info.context or {})
    except (TypeError, KeyError, OverflowError) as error:
        raise ValueError(f"not an array's form: {error!r}") from error


def _array_of_form(form: Json, context: Mapping[str, Any]) -> Array:
    dtype, shape = _dtype_of(form["dtype"]), tuple(form["shape"])
    if not all(type(n) is int and n >= 0 for n in shape):
        raise ValueError(f"{shape} is no shape")
    if "base64" in form:
        content = base64.b64decode(form["base64"], validate=True)
        if len(content) != math.prod(shape) * dtype.itemsize:
            raise ValueError(f"{len(content)} bytes are no {dtype} of shape {shape}")
        return np.ndarray(shape, dtype, buffer=content)
    arrays: Mapping[str, Array] = context.get("arrays", {})
    array = arrays.get(form["array"])
    if array is None or array.dtype != dtype or array.shape != shape:
        raise ValueError(f"array {form['array']!r} is missing or is not {dtype} of shape {shape}")
    if not context.get("in_memory", False) and array_sha256(array) != form["sha256"]:
        raise ValueError(f"array {form['array']!r} does not match its sha256")
    return array


def _dtype_of(descr: object) -> np.dtype[Any]:
    if not isinstance(descr, str | list):
        raise ValueError(f"{descr!r} is no dtype")
    fields: Any = _fields(descr) if isinstance(descr, list) else descr  # numpy types only lists
    dtype = np.lib.format.descr_to_dtype(fields)
    if dtype.hasobject:
        raise ValueError("arrays of Python objects are never read")
    return dtype


def _fields(descr: list[Any]) -> list[Any]:
    """A structured dtype's fields with the tuples that JSON does not have."""
    return [
        tuple(
            (_fields(part) if i == 1 else tuple(part)) if isinstance(part, list) else part
            for i, part in enumerate(entry)
        )
        for entry in descr
    ]

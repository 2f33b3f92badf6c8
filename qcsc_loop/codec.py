"""Values to documents and back, exactly and without pickle.

A document is one line of JSON and the arrays it refers to. Small arrays stand in the JSON as
base64; larger ones are named there with dtype, shape and sha256, so that the hash of the JSON
alone stands for the whole value. Reading a document never runs code from it.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Generic, TypeVar

import numpy as np
from pydantic import (
    ConfigDict,
    GetCoreSchemaHandler,
    PydanticUserError,
    SerializationInfo,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
)
from pydantic.errors import PydanticSchemaGenerationError
from pydantic_core import PydanticSerializationError, core_schema

from qcsc_loop.errors import DamagedDocument, EncodingError

T = TypeVar("T")
Array = np.ndarray[Any, np.dtype[Any]]  # any shape, any dtype but object: both are data here

INLINE_BYTES = 1024
"""Arrays up to this size stand in the JSON itself: a file of their own costs two fsyncs."""


@dataclass(frozen=True)
class Document:
    """What a store keeps: a line of JSON, the arrays it names, and notes about it."""

    body: bytes
    arrays: Mapping[str, Array] = field(default_factory=dict[str, Array])
    meta: bytes = b"{}"  # JSON too, and not part of the value

    @property
    def sha256(self) -> str:
        """Hash of the value, arrays included: the JSON carries theirs."""
        return hashlib.sha256(self.body).hexdigest()


def frozen(value: object) -> Array:
    """An unchangeable, C-contiguous copy of an array; itself if it is one already.

    The buffer is a `bytes` object, so that neither the array nor any view of it can be made
    writable again: a caller's later write to its own array cannot reach a stored state.
    """
    if isinstance(value, np.ndarray) and isinstance(value.base, bytes) and value.flags.c_contiguous:
        return value
    array = np.asarray(value)
    if array.dtype.hasobject:
        raise ValueError(
            "arrays of Python objects cannot be stored exactly; use a numeric, bool or fixed-width string dtype"
        )
    return np.ndarray(array.shape, array.dtype, buffer=array.tobytes(order="C"))


def array_sha256(array: Array) -> str:
    """Hash of an array's bytes in C order; dtype and shape are hashed with the JSON."""
    # a view as bytes, not a copy: arrays of 100 MB pass here every iteration
    view = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    return hashlib.sha256(view.data).hexdigest()


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

    def __get_pydantic_json_schema__(self, _schema: object, _handler: object) -> dict[str, Any]:
        return {"type": "object", "title": "array"}


NDArray = Annotated[Array, _ArrayField()]
"""A field that holds a numpy array: copied and read-only, exact through a checkpoint."""


def _array_to(array: Array, info: SerializationInfo) -> dict[str, Any]:
    if array.dtype.hasobject:  # reached only where validation was bypassed
        raise ValueError("arrays of Python objects cannot be stored exactly")
    form: dict[str, Any] = {
        "dtype": np.lib.format.dtype_to_descr(array.dtype),
        "shape": list(array.shape),
    }
    context: dict[str, Any] | None = info.context
    if context is None or array.nbytes <= INLINE_BYTES:
        return form | {"base64": base64.b64encode(array.tobytes(order="C")).decode("ascii")}
    arrays: dict[str, Array] = context["arrays"]
    name = f"a{len(arrays)}"
    arrays[name] = array
    return form | {"array": name, "sha256": array_sha256(array)}


def _array_from(value: object, info: ValidationInfo) -> Array:
    if not isinstance(value, dict):
        return frozen(value)
    form: dict[str, Any] = value
    dtype = _dtype_of(form.get("dtype"))
    shape = tuple(int(n) for n in form.get("shape", ()))
    if "base64" in form:
        return np.ndarray(shape, dtype, buffer=base64.b64decode(form["base64"], validate=True))
    arrays: Mapping[str, Array] = (info.context or {}).get("arrays", {})
    array = arrays.get(form.get("array", ""))
    if array is None or array.dtype != dtype or array.shape != shape:
        raise ValueError(f"array {form.get('array')!r} is missing or is not {dtype} of shape {shape}")
    in_memory: bool = (info.context or {}).get("in_memory", False)
    if not in_memory and array_sha256(array) != form.get("sha256"):
        raise ValueError(f"array {form['array']!r} does not match its sha256")
    return array


def _dtype_of(descr: object) -> np.dtype[Any]:
    def tuples(item: object) -> object:  # JSON has no tuples, numpy's descriptions need them
        return tuple(tuples(i) for i in item) if isinstance(item, list) else item

    plain = [tuples(i) for i in descr] if isinstance(descr, list) else descr
    dtype = np.lib.format.descr_to_dtype(plain)  # type: ignore[arg-type]  # untyped in numpy
    if dtype.hasobject:
        raise ValueError("arrays of Python objects are never read")
    return dtype


class Codec(Generic[T]):
    """Encodes and decodes the values of one declared type."""

    def __init__(self, declared: Any) -> None:
        self.declared = declared
        self._adapter: TypeAdapter[T] = _adapter(declared)

    @property
    def name(self) -> str:
        """The declared type as a person would write it."""
        if isinstance(self.declared, type):
            return self.declared.__name__
        return str(self.declared).replace("typing.", "")

    def check(self, value: object) -> T:
        """The value, if it is of the declared type; nothing is converted.

        Raises:
            ValidationError: if it is not.
        """
        return self._adapter.validate_python(value, strict=True)

    def encode(self, value: T) -> Document:
        """The value as a document.

        Raises:
            EncodingError: if something in it cannot be stored exactly.
        """
        arrays: dict[str, Array] = {}
        try:
            body = self._adapter.dump_json(value, context={"arrays": arrays}, warnings="error")
        except (PydanticSerializationError, ValueError) as error:
            raise EncodingError(self.name, str(error)) from error
        return Document(body, arrays)

    def decode(self, document: Document, *, in_memory: bool = False) -> T:
        """The value of a document.

        Args:
            in_memory: the document never left this process, so its arrays need no second hashing.

        Raises:
            DamagedDocument: if the document is not one of this type, or an array does not verify.
        """
        context = {"arrays": document.arrays, "in_memory": in_memory}
        try:
            return self._adapter.validate_json(document.body, context=context)
        except (ValidationError, ValueError) as error:
            why = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
            raise DamagedDocument(f"a stored {self.name}", why) from error


def _adapter(declared: Any) -> TypeAdapter[Any]:
    if declared is np.ndarray or getattr(declared, "__origin__", None) is np.ndarray:
        declared = NDArray if not hasattr(declared, "__metadata__") else declared
    try:
        # without this, NaN in a plain dict or list would be written as null and not read back
        return TypeAdapter(declared, config=ConfigDict(ser_json_inf_nan="strings"))
    except PydanticSchemaGenerationError as error:
        raise EncodingError(
            str(declared),
            "a part of it has no exact stored form; annotate arrays as qcsc_loop.NDArray "
            "and derive your own records from qcsc_loop.Record",
        ) from error
    except PydanticUserError:  # a model brings its own configuration
        return TypeAdapter(declared)

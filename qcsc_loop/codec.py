"""Values to documents and back, exactly and without pickle.

A document is one line of JSON and the arrays it refers to. Small arrays stand in the JSON as
base64; larger ones are named there with dtype, shape and sha256, so that the hash of the JSON
alone stands for the whole value. Reading a document never runs code from it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Annotated, Any, Generic, TypeVar

import numpy as np
from pydantic import (
    BaseModel,
    ConfigDict,
    GetCoreSchemaHandler,
    PydanticUserError,
    RootModel,
    SerializationInfo,
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

    def verify(self) -> None:
        """Checks every array against the hash that the JSON has for it.

        Raises:
            DamagedDocument: one is missing or another one.
        """
        for name, sha256 in _array_hashes(json.loads(self.body)):
            if name not in self.arrays or array_sha256(self.arrays[name]) != sha256:
                raise DamagedDocument(f"array {name!r}", "it does not match its sha256")


def _array_hashes(value: Any) -> Iterator[tuple[str, str]]:
    """Names and hashes of the arrays that a document's JSON refers to."""
    if isinstance(value, dict) and {"array", "sha256", "dtype", "shape"} <= value.keys():
        yield value["array"], value["sha256"]
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _array_hashes(part)


def frozen(value: object) -> Array:
    """An unchangeable, C-contiguous copy of an array; itself if it is one already.

    The buffer is a `bytes` object, so that neither the array nor any view of it can be made
    writable again: a caller's later write to its own array cannot reach a stored state.
    """
    if isinstance(value, np.ndarray) and isinstance(value.base, bytes) and value.flags.c_contiguous:
        return value
    if isinstance(value, np.ma.MaskedArray):
        raise ValueError("a masked array's mask cannot be stored; keep data and mask as two arrays")
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
    hashes: dict[int, str] = context["hashes"]
    if id(array) not in hashes:
        hashes[id(array)] = array_sha256(array)
    return form | {"array": name, "sha256": hashes[id(array)]}


def _array_from(value: object, info: ValidationInfo) -> Array:
    if not isinstance(value, dict):
        return frozen(value)
    try:
        return _array_of_form(value, info.context or {})
    except (TypeError, KeyError, OverflowError) as error:
        raise ValueError(f"not an array's form: {error!r}") from error


def _array_of_form(form: dict[str, Any], context: Mapping[str, Any]) -> Array:
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


class Codec(Generic[T]):
    """Encodes and decodes the values of one declared type."""

    def __init__(self, declared: Any) -> None:
        self.declared = declared
        # of a class it is made once; int | str and str | int are equal and not the same
        self._root = _root_of_class(declared) if isinstance(declared, type) else _root(declared)

    @property
    def name(self) -> str:
        """The declared type as a person would write it."""
        if isinstance(self.declared, type):
            return self.declared.__name__
        return str(self.declared).replace(str(NDArray), "NDArray").replace("typing.", "")

    def check(self, value: object) -> T:
        """The value, if it is of the declared type; nothing is converted.

        Raises:
            ValidationError, TypeError: if it is not.
        """
        declared = self.declared
        is_model = isinstance(declared, type) and issubclass(declared, BaseModel)
        if is_model and not isinstance(value, declared):
            # pydantic would take a dictionary for the model it describes
            raise TypeError(f"{type(value).__name__} is no {self.name}")
        return self._root.model_validate(value, strict=True).root  # type: ignore[no-any-return]

    def encode(self, value: T) -> Document:
        """The value as a document.

        Raises:
            EncodingError: if something in it cannot be stored exactly.
        """
        return self.keep(value)[0]

    def keep(self, value: T) -> tuple[Document, T]:
        """The value as a document, and as it will be read back.

        A loop that goes on with the second sees what a resumed one will see.

        Raises:
            EncodingError: if something in it cannot be stored exactly.
        """
        hashes: dict[int, str] = {}
        document = self._dump(value, hashes)
        try:
            read = self.decode(document, in_memory=True)
        except DamagedDocument as error:
            raise EncodingError(self.name, f"it would not be read back: {error.why}") from error
        if self._dump(read, hashes).body != document.body:
            raise EncodingError(self.name, "it would be read back as something else")
        return document, read

    def _dump(self, value: T, hashes: dict[int, str]) -> Document:
        arrays: dict[str, Array] = {}
        context = {"arrays": arrays, "hashes": hashes}
        try:
            stored = self._root.model_construct(value)
            body = stored.model_dump_json(context=context, warnings="error").encode()
        except (PydanticSerializationError, ValueError) as error:
            raise EncodingError(self.name, str(error)) from error
        return Document(body, arrays)

    def content(self, value: T) -> bytes:
        """What two values of the type have in common exactly if they are equal, NaN included."""
        return self._dump(value, {}).body

    def decode(self, document: Document, *, in_memory: bool = False) -> T:
        """The value of a document.

        Args:
            in_memory: the document never left this process, so its arrays need no second hashing.

        Raises:
            DamagedDocument: if the document is not one of this type, or an array does not verify.
        """
        context = {"arrays": document.arrays, "in_memory": in_memory}
        try:
            return self._root.model_validate_json(document.body, context=context).root  # type: ignore[no-any-return]
        except (ValidationError, ValueError) as error:
            why = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
            raise DamagedDocument(f"a stored {self.name}", why) from error


def _root(declared: Any) -> type[RootModel[Any]]:
    """A model that is nothing but the declared type, with NaN and inf written as strings.

    A plain adapter would write them as null for dataclasses, dictionaries and lists, and would not
    read them back. A model brings its own configuration; `Record` has this one.
    """
    if declared is np.ndarray or getattr(declared, "__origin__", None) is np.ndarray:
        declared = NDArray if not hasattr(declared, "__metadata__") else declared
    try:
        return type(
            "Stored",
            (RootModel[declared],),
            {"model_config": ConfigDict(ser_json_inf_nan="strings")},
        )
    except (PydanticSchemaGenerationError, PydanticUserError) as error:
        raise EncodingError(
            str(declared),
            "a part of it has no exact stored form; annotate arrays as qcsc_loop.NDArray "
            "and derive your own records from qcsc_loop.Record",
        ) from error


_root_of_class = lru_cache(maxsize=64)(_root)

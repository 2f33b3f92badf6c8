"""Values to documents and back, exactly and without pickle.

A document is one line of JSON and the arrays it refers to. Small arrays stand in the JSON as
base64; larger ones are named there with dtype, shape and sha256, so that the hash of the JSON
alone stands for the whole value. Reading a document never runs code from it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Generic, TypeVar

import numpy as np
from pydantic import (
    BaseModel,
    ConfigDict,
    PydanticUserError,
    RootModel,
    ValidationError,
)
from pydantic.errors import PydanticSchemaGenerationError
from pydantic_core import PydanticSerializationError

from qcsc_loop.errors import DamagedDocument, EncodingError
from qcsc_loop.values.arrays import USE_NDARRAY, Array, NDArray
from qcsc_loop.values.document import Document
from qcsc_loop.values.storable import (
    find_fault,
    find_fault_in,
    find_other_type,
    has_untyped_parts,
    is_ambiguous,
)

T = TypeVar("T")


class Codec(Generic[T]):
    """Encodes and decodes the values of one declared type."""

    def __init__(self, declared: Any) -> None:
        self.declared = declared
        # of a class it is made once; int | str and str | int are equal and not the same
        self._root = _root_of_class(declared) if isinstance(declared, type) else _root(declared)
        schema = self._root.__pydantic_core_schema__
        self._untyped, self._ambiguous = has_untyped_parts(schema), is_ambiguous(schema)

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
        if declared is bool and isinstance(value, np.bool_):
            value = bool(value)  # what comparisons of numbers in arrays give
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
        document = self.dump(value, hashes)
        if self._untyped and (fault := find_fault_in(value)):
            raise EncodingError(self.name, fault)
        try:
            read = self.decode(document, in_memory=True)
        except DamagedDocument as error:
            raise EncodingError(self.name, f"it would not be read back: {error.why}") from error
        if self.dump(read, hashes).body != document.body:
            raise EncodingError(self.name, "it would be read back as something else")
        if self._ambiguous and (fault := find_other_type(value, read)):
            raise EncodingError(self.name, fault)
        return document, read

    def dump(self, value: T, hashes: dict[int, str]) -> Document:
        """The value as a document, whether or not it would be read back.

        Args:
            hashes: of large arrays, by id: those that are known, and then those that were made.
        """
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
        return self.dump(value, {}).body

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
        root: type[RootModel[Any]] = type(
            "Stored",
            (RootModel[declared],),
            {"model_config": ConfigDict(ser_json_inf_nan="strings")},
        )
    except (PydanticSchemaGenerationError, PydanticUserError) as error:
        raise EncodingError(
            str(declared),
            f"a part of it has no exact stored form; {USE_NDARRAY}; and derive your own records "
            "from qcsc_loop.Record",
        ) from error
    if fault := find_fault(root.__pydantic_core_schema__):
        name = declared.__name__ if isinstance(declared, type) else str(declared)
        raise EncodingError(name, fault)
    return root


_root_of_class = lru_cache(maxsize=64)(_root)

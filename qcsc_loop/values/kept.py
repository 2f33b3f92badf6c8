"""A stored value, which whoever reads it cannot change for others."""

from __future__ import annotations

import json
from typing import Any, Generic, Self, TypeVar

from pydantic import BaseModel

from qcsc_loop.errors import EncodingError
from qcsc_loop.values.arrays import array_checksum
from qcsc_loop.values.codec import Codec
from qcsc_loop.values.document import Document, array_hashes

T = TypeVar("T")


class Kept(Generic[T]):
    """A value as its document says it: every reader gets an object of its own.

    Large arrays are shared between them: numpy writes to none of these. What is compiled may do so
    all the same, as LAPACK does where it is told that it may overwrite, and is found by checksums.
    """

    def __init__(self, codec: Codec[T], document: Document, read: T) -> None:
        self._codec, self.document = codec, document
        self._unread: list[T] = [read]
        hashes = array_hashes(json.loads(document.body)) if document.arrays else ()
        self._hashes = {id(document.arrays[name]): sha256 for name, sha256 in hashes}
        self._checksums: dict[int, int] = {}

    @classmethod
    def of(cls, codec: Codec[T], value: T) -> Self:
        """A value, kept.

        Raises:
            EncodingError: if something in it cannot be stored exactly.
        """
        return cls(codec, *codec.keep(value))

    def fresh(self) -> T:
        """The value, for one reader."""
        if self._unread:
            return self._unread.pop()
        return self._codec.decode(self.document, in_memory=True)

    def seal(self) -> None:
        """Notes what large arrays hold; done before anybody is given them, it is done once."""
        for array in self.document.arrays.values():
            if id(array) not in self._checksums:
                self._checksums[id(array)] = array_checksum(array)

    def changed_part(self, read: T) -> str | None:
        """What in a value that was read is not as it was, such as `items.0`; None if nothing is.

        Empty where that cannot be told more closely than the value.
        """
        try:
            body = self._codec.dump(read, self._hashes_of_unchanged()).body
        except EncodingError:
            return _unstorable(read)
        if body == self.document.body:
            return None
        return first_difference(self.document.body, body)

    def _hashes_of_unchanged(self) -> dict[int, str]:
        """The hashes of arrays that hold what they held when they were sealed."""
        held = {id(array): array_checksum(array) for array in self.document.arrays.values()}
        return {
            number: sha256
            for number, sha256 in self._hashes.items()
            if held[number] == self._checksums.get(number, held[number])
        }


def first_difference(before: str | bytes, after: str | bytes) -> str:
    """Where two JSON texts differ first, by dotted name."""
    return ".".join(_difference(json.loads(before), json.loads(after)) or [])


def _difference(before: Any, after: Any) -> list[str] | None:
    """The way to the first part that differs; None if none does."""
    if isinstance(before, dict) and isinstance(after, dict) and not _is_array(before):
        for key in [*before, *after]:
            if (key in before) != (key in after):
                return [str(key)]
            if (way := _difference(before[key], after[key])) is not None:
                return [str(key), *way]
        return None
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for number, (one, other) in enumerate(zip(before, after, strict=True)):
            if (way := _difference(one, other)) is not None:
                return [str(number), *way]
        return None
    return None if before == after else []


def _is_array(form: dict[str, Any]) -> bool:
    return {"dtype", "shape"} <= form.keys()


def _unstorable(value: object) -> str:
    """The field that something was put into which cannot be stored."""
    if not isinstance(value, BaseModel):
        return ""
    for name in type(value).model_fields:
        try:
            value.model_dump_json(include={name}, warnings="error")
        except Exception:  # whatever a serializer raises
            return str(name)
    return ""

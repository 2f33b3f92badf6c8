"""A document as bytes: in a store's folder, in an artifact, and in one file for ranks.

    to_json, from_json, write_arrays, read_arrays    two files, JSON beside `.npz`: a store's
    Packed                                           JSON with the arrays in base64: an artifact's
    write_in_one, read_in_one                        one `.npz`: what goes to ranks and comes back

Each says the number of its format, and older ones are read. What every later format keeps, so that
this version can refuse it in a sentence: the folder's JSON begins with the sha256 of all that
follows it and the number; the artifact's has `format`, and the one file an array of that name.
Nothing is pickled: reading a document never runs code from it.
"""

from __future__ import annotations

import base64
import errno
import hashlib
import io
import json
import re
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, Literal, Self

import numpy as np
from pydantic import BaseModel, model_validator

from qcsc_loop.errors import DamagedDocument, NewerFormat
from qcsc_loop.values.arrays import Array, freeze
from qcsc_loop.values.document import Document

FORMAT = 2
"""Of all that is written. What has no number is format 1, version 0.1.0's."""

_HEAD = re.compile(rb'\{"sha256":"([0-9a-f]{64})",')
_NUMBER = re.compile(rb'"format":([0-9]{1,9}),')
_BODY, _FORMAT = "document", "format"  # arrays beside the document's own, which are a0, a1, …


def _refuse_newer(number: int, name: str) -> None:
    if number > FORMAT:
        raise NewerFormat(name, number, FORMAT)


# in a store's folder


def to_json(document: Document, arrays: str) -> bytes:
    """A document's file: `{"sha256": …, "format": …, "arrays": …, "meta": …, "value": …}`.

    Args:
        arrays: the name of the file that has its arrays; empty if it has none.
    """
    name = json.dumps(arrays).encode()
    values = (FORMAT, name, document.meta, document.body)
    rest = b'"format":%d,"arrays":%b,"meta":%b,"value":%b}\n' % values
    return b'{"sha256":"%b",%b' % (hashlib.sha256(rest).hexdigest().encode(), rest)


def from_json(raw: bytes, name: str) -> tuple[Document, str]:
    """The document without its arrays, and the name of their file.

    Raises:
        DamagedDocument: it does not verify.
        NewerFormat: it does, and is of a format that this version does not know.
    """
    head = _HEAD.match(raw)
    if head is None:
        raise DamagedDocument(name, "it is empty" if not raw else "it is not one of our documents")
    if hashlib.sha256(raw[head.end() :]).hexdigest().encode() != head[1]:
        raise DamagedDocument(name, "its bytes do not match its sha256")
    number = _NUMBER.match(raw, head.end())
    written = int(number[1]) if number else 1
    _refuse_newer(written, name)
    try:
        return _READERS[written](raw.decode(), head.end())
    except (KeyError, ValueError) as error:
        raise DamagedDocument(name, "its sha256 is right, and it is no document") from error


def _format_1(text: str, start: int) -> tuple[Document, str]:
    """`"arrays":…,"meta":…,"value":…}` after the hash."""
    if not text.startswith('"arrays":', start):
        raise ValueError("its arrays are not named")
    decoder = json.JSONDecoder()
    arrays, end = decoder.raw_decode(text, start + len('"arrays":'))
    start = end + len(',"meta":')
    _, end = decoder.raw_decode(text, start)
    body = text[end + len(',"value":') : -len("}\n")]
    return Document(body.encode(), meta=text[start:end].encode()), arrays


def _format_2(text: str, start: int) -> tuple[Document, str]:
    """The number, and then what format 1 has."""
    return _format_1(text, start + len('"format":2,'))


_READERS: Mapping[int, Callable[[str, int], tuple[Document, str]]] = {1: _format_1, 2: _format_2}


def write_arrays(file: IO[bytes], arrays: Mapping[str, Array]) -> None:
    """Arrays as an `.npz`; the same ones give the same bytes."""
    # what np.savez does, but for the version that _write_array tells
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for key, array in arrays.items():
            with archive.open(f"{key}.npy", "w", force_zip64=True) as member:
                _write_array(member, array)


def read_arrays(path: Path) -> dict[str, Array]:
    """The arrays of a file.

    Raises:
        DamagedDocument: it is missing, or what is in it cannot be read.
        OSError: the disk did not give it: nothing is known of what is in it.
    """
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise DamagedDocument(path.name, "it is missing") from None
    try:
        with file:
            return _arrays_in(file)
    except Exception as error:  # zipfile and numpy raise a dozen kinds on damaged bytes
        if (disks := _disks_own(error)) is not None:
            raise disks from None
        raise DamagedDocument(path.name, f"{type(error).__name__}: {error}") from error


def _disks_own(error: BaseException) -> OSError | None:
    """The disk's error behind one of zipfile's, which calls it a bad file."""
    behind: BaseException | None = error
    while behind is not None:
        # EINVAL is of damaged bytes, too: they may lead to before the file's beginning
        if isinstance(behind, OSError) and behind.errno not in (None, errno.EINVAL):
            return behind
        behind = behind.__context__
    return None


# in an artifact


class Packed(BaseModel):
    """A small document as plain JSON: the arrays as base64 of their `.npy`."""

    format: int = 1  # of 0.1.0, which said none
    body: str
    arrays: dict[str, str]

    @model_validator(mode="before")
    @classmethod
    def _number_alone(cls, value: Any) -> Any:
        """Of a newer one: whatever else it has, the scalars beside it are read."""
        number: Any = value.get("format") if isinstance(value, dict) else None
        if type(number) is int and number > FORMAT:
            return {"format": number, "body": "", "arrays": {}}
        return value

    @classmethod
    def of(cls, document: Document) -> Self:
        """A document, packed."""
        arrays = {name: _array_text(array) for name, array in document.arrays.items()}
        return cls(format=FORMAT, body=document.body.decode(), arrays=arrays)

    @property
    def size(self) -> int:
        """Characters it takes."""
        return len(self.body) + sum(map(len, self.arrays.values()))

    def unpack(self) -> Document:
        """The document, verified.

        Raises:
            DamagedDocument: it is not what was packed.
            NewerFormat: it is of a format that this version does not know.
        """
        _refuse_newer(self.format, "an artifact's state")
        try:
            arrays = {name: _array_of(text) for name, text in self.arrays.items()}
        except Exception as error:  # base64 and numpy raise a dozen kinds on damaged text
            raise DamagedDocument("an artifact's state", f"{error!r}") from error
        document = Document(self.body.encode(), arrays)
        try:
            document.verify()
        except (ValueError, RecursionError) as error:
            raise DamagedDocument("an artifact's state", "it is no JSON") from error
        return document


def _array_text(array: Array) -> str:
    file = io.BytesIO()
    _write_array(file, array)
    return base64.b64encode(file.getvalue()).decode("ascii")


def _array_of(text: str) -> Array:
    return _read_array(base64.b64decode(text, validate=True))


# in one file, for ranks


def write_in_one(file: IO[bytes], document: Document) -> None:
    """A document without its notes; the same one gives the same bytes: they are a job's input."""
    facts = {_FORMAT: np.array(FORMAT), _BODY: np.frombuffer(document.body, np.uint8)}
    write_arrays(file, {**facts, **document.arrays})


def read_in_one(path: Path) -> Document:
    """What was written.

    Raises:
        NewerFormat: it is of a format that this version does not know.
        Exception: what reading a bad file raises: whose it was decides what that means.
    """
    with path.open("rb") as file:
        arrays = _arrays_in(file)
    _refuse_newer(int(arrays.pop(_FORMAT, np.array(1))), path.name)
    body = arrays.pop(_BODY)
    return Document(body.tobytes(), arrays)


# in all three


def _arrays_in(file: IO[bytes]) -> dict[str, Array]:
    with zipfile.ZipFile(file) as archive:
        return {n.removesuffix(".npy"): _read_array(archive.read(n)) for n in archive.namelist()}


def _write_array(file: IO[bytes], array: Array) -> None:
    # the version by hand: numpy warns about 3.0, which field names beyond latin-1 need
    version = None if str(array.dtype).isascii() else (3, 0)
    np.lib.format.write_array(file, array, version=version, allow_pickle=False)


def _read_array(content: bytes) -> Array:
    """An array over the bytes just read: no copy, and read-only for good."""
    file = io.BytesIO(content)
    version = np.lib.format.read_magic(file)
    if version > (2, 0):  # field names beyond latin-1: rare, and numpy reads it as a whole only
        return freeze(np.load(io.BytesIO(content), allow_pickle=False))
    read_header = getattr(np.lib.format, f"read_array_header_{version[0]}_0")
    shape, fortran, dtype = read_header(file)
    if dtype.hasobject:  # its bytes would be taken for addresses
        raise ValueError("arrays of Python objects are never read")
    order: Literal["F", "C"] = "F" if fortran else "C"
    return np.ndarray(shape, dtype, buffer=content, offset=file.tell(), order=order)

"""A document as bytes: in a store's folder, in an artifact, in one file for ranks; of each format."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qcsc_loop.errors import DamagedDocument, NewerDocument
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.values.arrays import Array
from qcsc_loop.values.codec import Codec
from qcsc_loop.values.document import Document
from qcsc_loop.values.encodings import FORMAT, Packed, from_json, read_in_one, to_json, write_in_one
from qcsc_loop.values.record import NDArray, State

OLD_STORE = DirectoryStore(Path(__file__).parents[2] / "fixtures" / "stores" / "0.1.0")
OLD_DOCUMENTS = sorted(
    str(path.relative_to(OLD_STORE.root)).removesuffix(".json")
    for path in OLD_STORE.root.rglob("*.json")
    if path.read_bytes().startswith(b'{"sha256":"')
)


class Grid(State):
    name: str = "grid"
    values: NDArray


CODEC: Codec[Grid] = Codec(Grid)
DOCUMENT = CODEC.encode(Grid(values=np.arange(200.0).reshape(10, 20)))


@dataclass(frozen=True)
class Encoding:
    """One of the three: there and back, and the same with another number."""

    there_and_back: Callable[[Document, Path], Document]
    with_number: Callable[[Document, Path, int | None], Document]


def in_folder(document: Document, folder: Path) -> Document:
    store = DirectoryStore(folder)
    store.write("one", document)
    return store.read("one")


def renumbered(raw: bytes, number: int | None) -> bytes:
    """The folder's JSON as another version would have written it, with its own hash."""
    rest = raw.split(b",", 1)[1]
    old = b'"format":%d,' % FORMAT
    assert rest.startswith(old)
    rest = (b"" if number is None else b'"format":%d,' % number) + rest.removeprefix(old)
    return b'{"sha256":"%b",%b' % (hashlib.sha256(rest).hexdigest().encode(), rest)


def in_folder_with_number(document: Document, folder: Path, number: int | None) -> Document:
    store, path = DirectoryStore(folder), folder / "one.json"
    store.write("one", document)
    path.write_bytes(renumbered(path.read_bytes(), number))
    return store.read("one")


def in_artifact(document: Document, _folder: Path) -> Document:
    return Packed.model_validate_json(Packed.of(document).model_dump_json()).unpack()


def in_artifact_with_number(document: Document, _folder: Path, number: int | None) -> Document:
    plain = json.loads(Packed.of(document).model_dump_json()) | {"format": number}
    plain = {name: value for name, value in plain.items() if value is not None}
    return Packed.model_validate(plain).unpack()


def in_one(document: Document, folder: Path) -> Document:
    with (folder / "one.npz").open("wb") as file:
        write_in_one(file, document)
    return read_in_one(folder / "one.npz")


def in_one_with_number(document: Document, folder: Path, number: int | None) -> Document:
    in_one(document, folder)
    with np.load(folder / "one.npz", allow_pickle=False) as found:
        arrays: dict[str, Any] = {name: found[name] for name in found.files if name != "format"}
    if number is not None:
        arrays["format"] = np.array(number)
    np.savez(folder / "one.npz", **arrays)
    return read_in_one(folder / "one.npz")


ENCODINGS = {
    "folder": Encoding(in_folder, in_folder_with_number),
    "artifact": Encoding(in_artifact, in_artifact_with_number),
    "one file": Encoding(in_one, in_one_with_number),
}
each_encoding = pytest.mark.parametrize("encoding", ENCODINGS.values(), ids=ENCODINGS.keys())

ARRAYS: dict[str, Array] = {
    "no dimension": np.array(1.5),
    "empty": np.zeros((0, 3)),
    "large": np.arange(3000.0).reshape(30, 100),
    "by columns": np.asfortranarray(np.arange(600.0).reshape(20, 30)),
    "big-endian": np.arange(300, dtype=">i4"),
    "words": np.array(["a", "grün", ""] * 100),
    "fields": np.array([(1, 2.0)] * 200, dtype=[("n", "i4"), ("x", "f8")]),
    "fields beyond latin-1": np.array([(1,)] * 300, dtype=[("λ", "i4")]),
}


@each_encoding
@pytest.mark.parametrize("array", ARRAYS.values(), ids=ARRAYS.keys())
def test_every_kind_of_array_comes_back_the_same_and_read_only(
    encoding: Encoding, array: Array, tmp_path: Path
) -> None:
    document = CODEC.encode(Grid(values=array))
    back = encoding.there_and_back(document, tmp_path)
    assert back.sha256 == document.sha256
    values = CODEC.decode(back).values
    assert (values.dtype, values.shape) == (array.dtype, array.shape)
    np.testing.assert_array_equal(values, array)
    assert not values.flags.writeable


@each_encoding
def test_the_hash_of_a_value_does_not_know_the_format(encoding: Encoding, tmp_path: Path) -> None:
    assert encoding.with_number(DOCUMENT, tmp_path, None).sha256 == DOCUMENT.sha256


@each_encoding
@pytest.mark.parametrize("number", [None, FORMAT])
def test_an_older_format_and_this_one_give_the_same_document(
    encoding: Encoding, number: int | None, tmp_path: Path
) -> None:
    back = encoding.with_number(DOCUMENT, tmp_path, number)
    assert (back.body, CODEC.decode(back)) == (DOCUMENT.body, CODEC.decode(DOCUMENT))


@each_encoding
@pytest.mark.parametrize("number", [FORMAT + 1, 4711])
def test_a_newer_format_is_refused_by_its_number_and_is_no_damage(
    encoding: Encoding, number: int, tmp_path: Path
) -> None:
    with pytest.raises(NewerDocument, match=rf"format {number}; this one reads up to {FORMAT}\)"):
        encoding.with_number(DOCUMENT, tmp_path, number)


# in a store's folder


def test_the_number_is_hashed() -> None:
    raw = to_json(Document(b"1"), "")
    changed = raw.replace(b'"format":%d' % FORMAT, b'"format":%d' % (FORMAT + 1))
    with pytest.raises(DamagedDocument, match="sha256"):
        from_json(changed, "one")


@pytest.mark.parametrize("number", [b"0", b"-1", b'"2"', b"2.5", b"9" * 30])
def test_what_is_no_number_of_a_format_is_damage(number: bytes) -> None:
    rest = to_json(Document(b"1"), "").split(b",", 1)[1]
    rest = rest.replace(b'"format":%d' % FORMAT, b'"format":' + number)
    raw = b'{"sha256":"%b",%b' % (hashlib.sha256(rest).hexdigest().encode(), rest)
    with pytest.raises(DamagedDocument):
        from_json(raw, "one")


@pytest.mark.parametrize("meta", [b"{}", b'{"iteration":7,"of":{"a":[1,2]}}', '{"λ":"ü"}'.encode()])
@pytest.mark.parametrize("body", [b"1", b'"}\\n"', b'{"value":[{}]}', '"ü"'.encode()])
def test_value_and_notes_come_back_byte_for_byte(body: bytes, meta: bytes) -> None:
    document, arrays = from_json(to_json(Document(body, {}, meta), "x.npz"), "one")
    assert (document.body, document.meta, arrays) == (body, meta, "x.npz")


def test_there_are_documents_of_format_1_of_every_kind() -> None:
    kinds = {name.split("/")[1] for name in OLD_DOCUMENTS}
    assert kinds == {"run", "epochs", "steps", "checkpoints", "work"}  # parts of a step
    assert any(OLD_STORE.read(name).arrays for name in OLD_DOCUMENTS)


@pytest.mark.parametrize("name", OLD_DOCUMENTS)
def test_a_document_that_0_1_0_wrote_is_read_and_verifies(name: str) -> None:
    raw = (OLD_STORE.root / f"{name}.json").read_bytes()
    assert raw[76:].startswith(b',"arrays":')
    document = OLD_STORE.read(name)
    document.verify()
    assert json.loads(document.body)
    if "/checkpoints/" in name:
        assert json.loads(document.meta)["state_sha256"] == document.sha256


@pytest.mark.parametrize("name", OLD_DOCUMENTS)
def test_a_document_that_0_1_0_wrote_is_the_same_when_it_is_written_again(
    name: str, tmp_path: Path
) -> None:
    document = OLD_STORE.read(name)
    again = in_folder(document, tmp_path)
    assert (again.body, again.meta) == (document.body, document.meta)
    again.verify()


# in an artifact


def test_of_a_newer_state_in_an_artifact_the_number_is_read_whatever_else_it_has() -> None:
    packed = Packed.model_validate({"format": FORMAT + 1, "parts": [1, 2]})
    with pytest.raises(NewerDocument, match="an artifact's state was written by a newer version"):
        packed.unpack()


def test_a_packed_array_that_was_changed_is_damage() -> None:
    packed = Packed.of(DOCUMENT)
    other = Packed.of(CODEC.encode(Grid(values=np.ones((10, 20)))))
    with pytest.raises(DamagedDocument, match="sha256"):
        packed.model_copy(update={"arrays": other.arrays}).unpack()


@pytest.mark.parametrize("text", ["", "%", "AAAA", "k05VTVBZ"])
def test_what_is_no_array_in_a_packed_document_is_damage(text: str) -> None:
    packed = Packed.of(DOCUMENT)
    with pytest.raises(DamagedDocument, match="an artifact's state is damaged"):
        packed.model_copy(update={"arrays": {"a0": text}}).unpack()


# in one file


def test_the_same_document_gives_the_same_file(tmp_path: Path) -> None:
    contents: list[bytes] = []
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        in_one(CODEC.encode(Grid(values=np.arange(200.0))), tmp_path / name)
        contents.append((tmp_path / name / "one.npz").read_bytes())
    assert contents[0] == contents[1]


def test_the_one_file_is_what_numpy_reads(tmp_path: Path) -> None:
    in_one(DOCUMENT, tmp_path)
    with np.load(tmp_path / "one.npz", allow_pickle=False) as found:
        assert found["document"].tobytes() == DOCUMENT.body
        assert int(found["format"]) == FORMAT
        np.testing.assert_array_equal(found["a0"], np.arange(200.0).reshape(10, 20))


def test_an_array_of_objects_is_never_read(tmp_path: Path) -> None:
    body = np.frombuffer(b"1", np.uint8)
    np.savez(tmp_path / "one.npz", document=body, a0=np.array([print], dtype=object))
    with pytest.raises(ValueError, match="arrays of Python objects are never read"):
        read_in_one(tmp_path / "one.npz")

"""Any value of any type is kept to the bit, or refused in a sentence."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import ValidationError

from models.exact import same
from models.typed_values import Typed, states, typed, unions
from qcsc_loop.errors import EncodingError
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.values.codec import Codec
from qcsc_loop.values.document import Document
from qcsc_loop.values.encodings import Packed, read_in_one, write_in_one


@pytest.mark.guarantee("G5")
@given(st.data(), typed() | states() | unions())
def test_what_is_kept_is_kept_to_the_bit_and_what_is_not_is_refused_in_a_sentence(
    data: st.DataObject, kind: Typed
) -> None:
    codec, value = value_of(data, kind)
    try:
        document, read = codec.keep(value)
    except EncodingError as error:
        refused = str(error)
        assert "\n" not in refused and codec.name in refused
        return
    assert same(read, value)
    assert same(codec.decode(document), value)
    assert codec.keep(read)[0].body == document.body


@pytest.mark.guarantee("G5")
@given(st.data(), states())
def test_every_way_out_of_the_process_keeps_the_bits(data: st.DataObject, kind: Typed) -> None:
    codec, value = value_of(data, kind)
    try:
        document = codec.encode(value)
    except EncodingError:
        assume(False)
    for read in ways(document):
        assert read.body == document.body
        assert codec.keep(codec.decode(read))[0].body == document.body


def value_of(data: st.DataObject, kind: Typed) -> tuple[Codec[Any], Any]:
    """A codec of the type, and a value that it takes for one."""
    try:
        codec = Codec[Any](kind.declared)
        return codec, codec.check(data.draw(kind.values))
    except (EncodingError, ValidationError, TypeError):
        assume(False)
        raise


def ways(document: Document) -> list[Document]:
    """As a store's folder, an artifact and a file for ranks give it back."""
    with tempfile.TemporaryDirectory() as folder:
        store = DirectoryStore(Path(folder, "store"))
        store.write("run/checkpoints/one", document)
        file = io.BytesIO()
        write_in_one(file, document)
        one = Path(folder, "one.npz")
        one.write_bytes(file.getvalue())
        packed = Packed.model_validate_json(Packed.of(document).model_dump_json())
        return [store.read("run/checkpoints/one"), packed.unpack(), read_in_one(one)]

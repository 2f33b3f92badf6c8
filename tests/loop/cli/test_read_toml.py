"""TOML files as people's editors leave them."""

from __future__ import annotations

from pathlib import Path

import pytest

from qcsc_loop.cli.read_toml import read_toml
from qcsc_loop.errors import InvalidParameters


@pytest.mark.parametrize(
    "content",
    [b"name = 1\n", b"\xef\xbb\xbfname = 1\n", b"\xef\xbb\xbfname = 1\r\n"],
    ids=["plain", "with a mark of its encoding", "of another system"],
)
def test_it_is_read(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "file.toml"
    file.write_bytes(content)
    assert read_toml(file) == {"name": 1}


def test_text_is_utf_8_whatever_the_terminal_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file.toml"
    file.write_bytes("name = 'Grüße'".encode())
    monkeypatch.setattr("locale.getpreferredencoding", lambda *_: "latin-1")
    assert read_toml(file) == {"name": "Grüße"}


@pytest.mark.parametrize("content", ["name = 1".encode("utf-16"), b"a = " + b"[" * 100_000])
def test_what_cannot_be_read_is_a_sentence(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "file.toml"
    file.write_bytes(content)
    with pytest.raises(InvalidParameters, match="this is not TOML"):
        read_toml(file)


def test_a_folder_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(InvalidParameters, match="cannot be read: Is a directory"):
        read_toml(tmp_path)

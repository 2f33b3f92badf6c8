"""Files that appear whole, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from qcsc_loop.concurrency.whole_file import write_whole


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "input.bin"


def broken_off(target: Path, error: type[BaseException]) -> None:
    """Raises in the middle of a replacement."""
    with write_whole(target) as file:
        file.write(b"half of th")
        raise error


def test_a_file_has_what_was_written_once_the_block_ends(target: Path) -> None:
    with write_whole(target) as file:
        file.write(b"new")
    assert target.read_bytes() == b"new"


def test_a_file_is_not_there_before_the_block_ends(target: Path) -> None:
    with write_whole(target) as file:
        file.write(b"new")
        file.flush()
        assert not target.exists()


def test_an_existing_file_stays_until_the_block_ends(target: Path) -> None:
    target.write_bytes(b"old")
    with write_whole(target) as file:
        file.write(b"new")
        file.flush()
        assert target.read_bytes() == b"old"
    assert target.read_bytes() == b"new"


def test_whoever_has_the_old_file_open_reads_on_in_it(target: Path) -> None:
    target.write_bytes(b"old")
    with target.open("rb") as reader:
        with write_whole(target) as file:
            file.write(b"new")
        assert reader.read() == b"old"


def test_a_block_that_raises_leaves_the_file_as_it_was(target: Path) -> None:
    target.write_bytes(b"old")
    with pytest.raises(KeyError):
        broken_off(target, KeyError)
    assert target.read_bytes() == b"old"


@pytest.mark.parametrize("error", [KeyError, KeyboardInterrupt])
def test_a_block_that_raises_leaves_nothing_else_behind(
    target: Path, error: type[BaseException]
) -> None:
    with pytest.raises(error):
        broken_off(target, error)
    assert list(target.parent.iterdir()) == []


def test_a_block_that_ends_leaves_nothing_else_behind(target: Path) -> None:
    with write_whole(target) as file:
        file.write(b"new")
    assert list(target.parent.iterdir()) == [target]


def test_two_blocks_in_one_process_do_not_write_into_each_other(target: Path) -> None:
    with write_whole(target) as one, write_whole(target) as other:
        one.write(b"one and all")
        other.write(b"other")
    assert target.read_bytes() in (b"one and all", b"other")

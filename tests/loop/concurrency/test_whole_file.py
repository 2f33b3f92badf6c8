"""Files that appear whole, or not at all."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from qcsc_loop.concurrency.whole_file import (
    NameTaken,
    Sync,
    fill_room,
    is_folder,
    is_there,
    link_once,
    make_room,
    write_where_named,
    write_whole,
)


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


# the name


@pytest.mark.parametrize("name", ["x" * 255, "x.bin", "ü" * 127])
def test_the_longest_names_a_folder_takes_can_be_written(tmp_path: Path, name: str) -> None:
    with write_whole(tmp_path / name) as file:
        file.write(b"new")
    assert (tmp_path / name).read_bytes() == b"new"


def test_the_temporary_file_is_hidden_and_has_the_ending_that_is_swept_up(target: Path) -> None:
    with write_whole(target):
        (temporary,) = target.parent.iterdir()
    assert temporary.name.startswith(".input.bin.")
    assert temporary.suffix == ".tmp"


def test_what_can_only_write_to_a_name_writes_to_the_file_s(target: Path) -> None:
    with write_whole(target) as file:
        Path(file.name).write_bytes(b"by name")
    assert target.read_bytes() == b"by name"


@pytest.mark.parametrize("mode", [0o600, 0o640])
def test_a_file_has_the_mode_that_was_asked_for(target: Path, mode: int) -> None:
    with write_whole(target, mode=mode) as file:
        assert stat.S_IMODE(os.fstat(file.fileno()).st_mode) == mode
    assert stat.S_IMODE(target.stat().st_mode) == mode


# once


def test_of_two_that_write_once_the_first_one_s_file_stays(target: Path) -> None:
    with write_whole(target, once=True) as file:
        file.write(b"first")
    with pytest.raises(NameTaken), write_whole(target, once=True) as file:
        file.write(b"second")
    assert target.read_bytes() == b"first"


def test_neither_the_first_nor_the_second_of_two_leaves_anything_else(target: Path) -> None:
    with write_whole(target, once=True):
        pass
    with pytest.raises(NameTaken), write_whole(target, once=True):
        pass
    assert list(target.parent.iterdir()) == [target]


def test_a_file_in_the_way_of_the_folder_is_no_taken_name(target: Path) -> None:
    target.write_bytes(b"in the way")
    with pytest.raises(NotADirectoryError), write_whole(target / "below", once=True):
        pass


def test_a_link_is_made_once(target: Path, tmp_path: Path) -> None:
    source, other = tmp_path / "source", tmp_path / "other"
    source.write_bytes(b"one")
    other.write_bytes(b"other")
    assert link_once(source, target)
    assert not link_once(other, target)
    assert target.read_bytes() == b"one"


# where a person has named it


@pytest.mark.parametrize("before", [b"old", None])
def test_a_link_stays_and_what_it_leads_to_is_replaced_whole(
    target: Path, tmp_path: Path, before: bytes | None
) -> None:
    if before is not None:
        target.write_bytes(before)
    link = tmp_path / "link"
    link.symlink_to(target.name)
    with write_where_named(link) as file:
        file.write(b"new")
        file.flush()
        assert target.exists() is (before is not None)
    assert (link.readlink(), target.read_bytes()) == (Path(target.name), b"new")
    assert sorted(tmp_path.iterdir()) == [target, link]


@pytest.mark.parametrize("through", [False, True])
def test_a_pipe_stays_one_and_its_reader_has_what_is_written(tmp_path: Path, through: bool) -> None:
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with write_where_named(link if through else pipe) as file:
            file.write(b"new")
        assert os.read(reader, 10) == b"new"
    finally:
        os.close(reader)
    assert pipe.is_fifo() and sorted(tmp_path.iterdir()) == [link, pipe]


@pytest.mark.skipif(os.geteuid() != 0, reason="to make a device needs root")
def test_a_device_stays_one_and_says_itself_what_is_wrong(tmp_path: Path) -> None:
    full = tmp_path / "full"
    os.mknod(full, 0o600 | stat.S_IFCHR, os.makedev(1, 7))
    with pytest.raises(OSError, match="No space left"), write_where_named(full) as file:
        file.write(b"new")
    assert full.is_char_device() and list(tmp_path.iterdir()) == [full]


def test_neither_a_folder_nor_a_link_in_a_circle_is_written_to(tmp_path: Path) -> None:
    circle = tmp_path / "circle"
    circle.symlink_to(circle.name)
    for name, why in ((tmp_path, "directory"), (circle, "symbolic links")):
        with pytest.raises(OSError, match=why), write_where_named(name):
            pass
    assert list(tmp_path.iterdir()) == [circle]


# what survives a power cut


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What reaches the disk, in order."""
    made: list[str] = []
    fsync, replace, link = os.fsync, os.replace, os.link

    def synced(descriptor: int) -> None:
        made.append("sync folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "sync file")
        fsync(descriptor)

    def replaced(source: Path, target: Path) -> None:
        made.append("rename")
        replace(source, target)

    def linked(source: Path, target: Path) -> None:
        made.append("link")
        link(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", replaced)
    monkeypatch.setattr(os, "link", linked)
    return made


@pytest.mark.parametrize(
    ("sync", "once", "expected"),
    [
        ("nothing", False, ["rename"]),
        ("content", False, ["sync file", "rename"]),
        ("name", False, ["sync file", "rename", "sync folder"]),
        ("name", True, ["sync file", "link", "sync folder"]),
    ],
)
def test_what_a_name_stands_for_is_on_the_disk_before_the_name_is(
    target: Path, calls: list[str], sync: Sync, once: bool, expected: list[str]
) -> None:
    with write_whole(target, sync=sync, once=once) as file:
        file.write(b"new")
    assert calls == expected


# room


def test_a_room_is_filled_up_to_its_end(target: Path) -> None:
    make_room(target, 10)
    before = target.stat().st_ino
    fill_room(target, b"record")
    assert target.read_bytes() == b"record\n\n\n\n"
    assert target.stat().st_ino == before


def test_what_is_larger_than_its_room_is_refused_before_anything_is_written(target: Path) -> None:
    make_room(target, 5)
    with pytest.raises(ValueError, match="6 bytes have only 5 of room"):
        fill_room(target, b"record")
    assert target.read_bytes() == b"\n" * 5


@pytest.mark.parametrize("asks", [is_there, is_folder])
def test_a_disk_that_does_not_say_is_no_disk_without_the_name(
    tmp_path: Path, asks: Callable[[Path], bool]
) -> None:
    (tmp_path / "file").touch()
    assert asks(tmp_path) and not asks(tmp_path / "nothing") and not asks(tmp_path / "file/below")
    with pytest.raises(OSError, match="too long"):
        asks(tmp_path / ("x" * 300))
    assert (is_there(tmp_path / "file"), is_folder(tmp_path / "file")) == (True, False)

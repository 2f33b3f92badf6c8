"""Files that appear whole: for hooks that hand data to programs, and for all that a run keeps.

Nothing else in these packages renames or links a file into its place. Only the standard library is
imported: a warm job's supervisor starts with this.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import IO, Literal

Sync = Literal["nothing", "content", "name"]
"""What survives a power cut once it is written: the name is in its folder, which is synced too."""

STEM_BYTES = 100  # of the target's name in a temporary one: a name has at most 255


class NameTaken(FileExistsError):
    """There is a file of this name, and it stays."""


@contextmanager
def write_whole(
    target: Path,
    *,
    once: bool = False,
    sync: Sync = "content",
    mode: int = 0o666,
    alone: bool = False,
) -> Iterator[IO[bytes]]:
    """A file that is at `target` when the block ends, whole; until then what was there before.

    Whoever has the old one open keeps it: a job may be reading what a resumed step writes again.
    What can only write to a name may write to the file's: `file.name`.

    Args:
        once: by a link, which fails if the name is taken: of several writers the first wins.
        sync: "content" for what another node reads at once; "name" for what is relied on after a
            power cut.
        mode: of the file, less the process's umask.
        alone: there is no other writer: its temporary name is always the same, so that writers that
            are killed leave one at most.

    Raises:
        NameTaken: `once`, and another one came first.
        OSError: it is not there, unless it is the folder's sync that failed: then the file stands,
            and its name may not survive a power cut.
    """
    temporary = _temporary(target, "alone" if alone else secrets.token_hex(8))
    try:
        with open(temporary, "wb" if alone else "xb", opener=partial(os.open, mode=mode)) as file:
            yield file
            if sync != "nothing":
                _flush(file)
        place = _link if once else os.replace
        place(temporary, target)
    except BaseException:
        _discard(temporary)
        raise
    if once:
        _discard(temporary)
    if sync == "name":
        sync_folder(target.parent)


@contextmanager
def write_where_named(
    name: Path, *, sync: Sync = "content", mode: int = 0o666
) -> Iterator[IO[bytes]]:
    """A file where a person has named it: whole, as `write_whole`'s, where it is a file or none yet.

    A link is followed: it stays, and what it leads to is replaced. Devices and pipes stay what they
    are, and are written to as it comes.

    Raises:
        OSError: it cannot be written there; a folder, for one.
    """
    kind = _kind(name)
    if stat.S_ISDIR(kind):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(name))
    if kind and not stat.S_ISREG(kind):
        with open(name, "wb") as file:
            yield file
        return
    with write_whole(Path(os.path.realpath(name)), sync=sync, mode=mode) as file:
        yield file


def link_once(source: Path, target: Path) -> bool:
    """Whether the file is now at `target`, too, durably; False if something was there."""
    try:
        _link(source, target)
    except NameTaken:
        return False
    sync_folder(target.parent)
    return True


def is_there(path: Path | str) -> bool:
    """Whether a name is taken. `Path.exists` takes a disk that fails for one without it (Python 3.14).

    Raises:
        OSError: the disk does not say.
    """
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def is_folder(path: Path) -> bool:
    """Whether a name is a folder's.

    Raises:
        OSError: the disk does not say.
    """
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def sync_folder(folder: Path) -> None:
    """Makes a folder's entries durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_room(path: Path, size: int) -> None:
    """Takes the disk space of a file that is to be written when the disk may be full."""
    with path.open("xb") as file:
        file.write(b"\n" * size)


def fill_room(path: Path, content: bytes) -> None:
    """Writes into the place that was taken, up to its end: newlines follow the content.

    Raises:
        ValueError: the content is larger than that.
    """
    with path.open("r+b") as file:
        size = os.fstat(file.fileno()).st_size
        if len(content) > size:
            raise ValueError(f"{len(content)} bytes have only {size} of room")
        file.write(content.ljust(size, b"\n"))
        _flush(file)


def _kind(name: Path) -> int:
    """The mode of what a name leads to; 0: there is nothing yet."""
    try:
        return os.stat(name).st_mode
    except FileNotFoundError:
        return 0


def _temporary(target: Path, writer: str) -> Path:
    """A hidden name beside the target that no other writer has, on any host."""
    stem = os.fsencode(target.name)[:STEM_BYTES].decode(errors="ignore")
    return target.with_name(f".{stem}.{writer}.tmp")


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)  # fails if the name is taken, which rename would not
    except FileExistsError as error:
        raise NameTaken(*error.args, str(target)) from error


def _discard(temporary: Path) -> None:
    with suppress(OSError):  # it must not hide what went wrong before
        temporary.unlink(missing_ok=True)


def _flush(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())

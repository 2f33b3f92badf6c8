"""A store in a folder, safe against kill -9, power loss and readers on other machines."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO

from qcsc_loop.concurrency.whole_file import NameTaken, is_folder, is_there, write_whole
from qcsc_loop.errors import InputError, StoreError
from qcsc_loop.parameters.environment import environment
from qcsc_loop.plain import is_utf8
from qcsc_loop.printing import store_option
from qcsc_loop.store.ownership import DOCUMENTS, Access, other_writer, refuse_foreign
from qcsc_loop.store.store import Store
from qcsc_loop.values.document import Document
from qcsc_loop.values.encodings import from_json, read_arrays, to_json, write_arrays

_SUFFIX = ".json"
TAIL_BYTES = 1 << 16
_MAY_NOT_WRITE = (errno.EACCES, errno.EPERM, errno.EROFS)


class DirectoryStore(Store):
    """One file per document, `name.json`, with its large arrays in an `.npz` beside it.

    What is in the two is written in values/encodings.py. The arrays' file has a name of its own,
    which the JSON gives; it is written, synced and renamed before the JSON that names it, so that
    neither a crash nor a lost race leaves a document with another one's arrays.

    Args:
        root: the folder that holds all runs, made on first write; `~` is expanded. On a cluster,
            one that the compute nodes see.

    Raises:
        InputError: its name is not UTF-8, and records could not say where a job's folder is.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root).expanduser().absolute()
        if not is_utf8(str(self.root)):
            raise InputError(
                f"no run can be kept in {self.root}: its name is not UTF-8, in which records are "
                "written. Name another store with --store DIR or QCSC_LOOP_STORE."
            )
        self._place = str(self.root)
        self._appending, self._access = threading.Lock(), Access()

    @property
    def place(self) -> str:
        return self._place

    def require_own(self, run_id: str) -> None:
        with _doing("look at", self.root):
            refuse_foreign(self.root, run_id, shared=self._access.shared)

    def written_by_other(self, name: str) -> str:
        return other_writer(self.root / (name + _SUFFIX))

    def write(self, name: str, document: Document) -> None:
        target = Path(self._file(name))
        with _doing("write", target):
            before = _arrays_files(target) if is_there(target) else []
            self._access.make_folder(target.parent)
            _put(target, document, once=False)
            for file in before:  # nothing names them any more
                file.unlink(missing_ok=True)

    def create(self, name: str, document: Document) -> bool:
        target = Path(self._file(name))
        with _doing("write", target):
            self._access.make_folder(target.parent)
            try:
                _put(target, document, once=True)
            except NameTaken:
                return False
        return True

    def read(self, name: str) -> Document:
        target = self._file(name)
        with _doing("read", target):
            try:
                with open(target, "rb") as file:
                    raw = file.read()
            except FileNotFoundError:
                raise KeyError(name) from None
            document, arrays = from_json(raw, name)
            if arrays:
                return replace(document, arrays=read_arrays(Path(target).with_name(arrays)))
            return document

    def sweep(self, folder: str) -> None:
        place = self.root / folder
        with _doing("clean up", place):
            if not is_folder(place):
                return
            for path in sorted(place.iterdir()):  # in one order, as all that a driver does
                stem = path.name.removesuffix(".npz")
                orphan = path.suffix == ".npz" and not _has_document(path.with_name(stem))
                if orphan or (path.name.startswith(".") and path.suffix == ".tmp"):
                    path.unlink(missing_ok=True)

    def names(self, folder: str) -> list[str]:
        place = f"{self.place}/{folder}"
        with _doing("list", place):
            try:
                found = os.listdir(place)
            except (FileNotFoundError, NotADirectoryError):
                return []
        shown = {n.removesuffix(_SUFFIX) for n in found if n.endswith(_SUFFIX) or "." not in n}
        return sorted(n for n in shown if not n.startswith("."))

    def has(self, name: str) -> bool:
        target = self._file(name)
        with _doing("look for", target):
            return is_there(target)

    def _file(self, name: str) -> str:
        """A document's, as text: what is asked most often of a store of thousands of runs."""
        return f"{self.place}/{name}{_SUFFIX}"

    def remove(self, name: str) -> None:
        file, folder = self._file(name), f"{self.place}/{name}"
        with _doing("remove", file):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(file)  # the record first: arrays without one are garbage
            for arrays in _arrays_files(Path(file)):
                arrays.unlink(missing_ok=True)
            if os.path.isdir(folder):  # few are one, and each iteration prunes several
                shutil.rmtree(folder, ignore_errors=True)

    def append(self, name: str, lines: Iterable[bytes]) -> None:
        path = self.root / name
        with _doing("append to", path):
            self._access.make_folder(path.parent)
            with self._appending, self._access.open_log(path) as log:
                whole = _whole(log)
                if whole < os.fstat(log.fileno()).st_size:
                    log.truncate(whole)  # what a crash cut off was never there
                rest = memoryview(b"".join(line + b"\n" for line in lines))
                while rest:
                    rest = rest[log.write(rest) :]
                os.fdatasync(log.fileno())

    def lines(self, name: str) -> list[bytes]:
        try:
            content = (self.root / name).read_bytes()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise StoreError("read", str(self.root / name), _why(error)) from error
        return [line for line in content.split(b"\n")[:-1] if line]

    def size(self, name: str) -> int:
        path = self.root / name
        with _doing("read", path):
            try:
                with path.open("rb") as log:
                    return _whole(log)
            except FileNotFoundError:
                return 0

    def lines_from_end(self, name: str) -> Iterator[bytes]:
        path = f"{self.place}/{name}"
        try:
            log = open(path, "rb")  # noqa: SIM115  # closed below: a reader's errors are its own
        except FileNotFoundError:
            return
        except OSError as error:
            raise StoreError("read", path, _why(error)) from error
        cut = b""  # the line whose beginning is in the block before
        with log:
            for block in _blocks_from_end(log, path):
                first, newline, rest = (block + cut).partition(b"\n")
                yield from (line for line in reversed(rest.split(b"\n")) if line)
                cut = first + newline
        if line := cut.removesuffix(b"\n"):
            yield line

    def touch(self, name: str) -> None:
        path = self.root / name
        with _doing("touch", path):
            self._access.make_folder(path.parent)
            path.touch(DOCUMENTS)

    def age(self, name: str) -> float | None:
        path = self.root / name
        probe = path.with_name(f".{path.name}.{secrets.token_hex(8)}.now")
        try:
            last = path.stat().st_mtime
            try:
                # both times by the file server's clock: hosts' clocks differ
                probe.touch()
            except OSError as error:
                if error.errno not in _MAY_NOT_WRITE:
                    raise
                return max(0.0, time.time() - last)  # one who only looks on, and claims nothing
            now = probe.stat().st_mtime
            probe.unlink()
            if now < last:
                return self._count_from_now(path)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreError("read", str(path), _why(error)) from error
        return now - last

    @staticmethod
    def _count_from_now(path: Path) -> float:
        """The server's clock has stepped back: what is dead would count as alive until then."""
        with contextlib.suppress(OSError):  # one who may only read
            os.utime(path)
        return 0.0

    def beat_file(self, name: str) -> Path | None:
        return self.root / name

    def leave(self, name: str, content: bytes) -> None:
        path = self.root / name
        with (
            _doing("write", path),
            write_whole(path, sync="nothing", mode=DOCUMENTS, alone=True) as file,
        ):
            file.write(content)

    def leave_more(self, name: str, content: bytes, older: str, limit: int) -> None:
        path = self.root / name
        with _doing("append to", path):
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_size > limit:
                    path.replace(self.root / older)
            with self._access.open_log(path) as log:
                log.write(content)

    def left(self, name: str) -> bytes | None:
        try:
            return (self.root / name).read_bytes()
        except OSError:
            return None

    def folder(self, name: str) -> Path:
        path = self.root / name
        with _doing("make", path):
            self._access.make_folder(path)
        return path


@contextmanager
def _doing(action: str, path: Path | str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(action, str(Path(path)), _why(error)) from error


def _put(target: Path, document: Document, *, once: bool) -> None:
    if not document.arrays:
        _write(target, document, "", once=once)
        return
    arrays = target.with_suffix(f".{secrets.token_hex(6)}.npz")
    try:
        with write_whole(arrays, sync="name", mode=DOCUMENTS) as file:
            write_arrays(file, document.arrays)
        _write(target, document, arrays.name, once=once)
    except BaseException:
        if not _may_name(target, arrays):
            with contextlib.suppress(OSError):
                arrays.unlink(missing_ok=True)
        raise


def _has_document(arrays: Path) -> bool:
    """Whether the document is there whose arrays these are: their name less the last part."""
    return is_there(arrays.with_suffix(_SUFFIX))


def _write(target: Path, document: Document, arrays: str, *, once: bool) -> None:
    with write_whole(target, once=once, sync="name", mode=DOCUMENTS) as file:
        file.write(to_json(document, arrays))


def _may_name(target: Path, arrays: Path) -> bool:
    """Whether the document that stands names these arrays, or that cannot be told.

    An error does not say that nothing was done: the folder's sync comes after the rename, and a
    file server's answer may be lost. Arrays that nothing names cost space alone.
    """
    try:
        return os.fsencode(arrays.name) in target.read_bytes()
    except FileNotFoundError:
        return False
    except OSError:
        return True


def _arrays_files(target: Path) -> list[Path]:
    """Those that a document of this name has had: `NAME.0123456789ab.npz`.

    Without a pattern, which would be compiled for each name.
    """
    stem, end = target.name.removesuffix(_SUFFIX) + ".", ".npz"
    length = len(stem) + 12 + len(end)
    try:
        names = os.listdir(target.parent)
    except (FileNotFoundError, NotADirectoryError):
        return []
    found = [name for name in names if len(name) == length and name.startswith(stem)]
    return [target.with_name(name) for name in found if name.endswith(end)]


def behind_commands(store: Store) -> str | None:
    """' --store DIR', where commands would not look for its runs there; None: they cannot at all."""
    if not isinstance(store, DirectoryStore):
        return None
    usual = DirectoryStore(environment().store).place
    return "" if store.place == usual else store_option(store.place)


def _blocks_from_end(log: IO[bytes], path: str) -> Iterator[bytes]:
    """The content up to the last whole line, in blocks, the last one first."""
    with _doing("read", path):
        end = _whole(log)
    while end:
        with _doing("read", path):
            start = max(0, end - TAIL_BYTES)
            log.seek(start)
            block = log.read(end - start)
        end = start
        yield block


def _why(error: OSError) -> str:
    return error.strerror or str(error)


def _whole(log: IO[bytes]) -> int:
    """Where a log's last whole line ends."""
    end = log.seek(0, os.SEEK_END)
    while end:
        start = max(0, end - TAIL_BYTES)
        log.seek(start)
        found = log.read(end - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0

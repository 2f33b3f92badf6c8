"""A store in a folder, safe against kill -9, power loss and readers on other machines."""

from __future__ import annotations

import contextlib
import glob
import hashlib
import io
import itertools
import json
import os
import re
import secrets
import shutil
import socket
import threading
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO

import numpy as np

from qcsc_loop.errors import DamagedDocument, StoreError
from qcsc_loop.store.store import Store
from qcsc_loop.values.arrays import Array, freeze
from qcsc_loop.values.document import Document

_HEAD = re.compile(rb'\{"sha256":"([0-9a-f]{64})",')
_SUFFIX = ".json"
TAIL_BYTES = 1 << 16
_temporary = itertools.count()


class DirectoryStore(Store):
    """One file per document, `name.json`, with its large arrays in an `.npz` beside it.

    A document's file is JSON that any tool reads: `{"sha256": …, "arrays": …, "meta": …,
    "value": …}`, the hash over all bytes after it. The arrays' file has a name of its own, which
    the JSON gives; it is written, synced and renamed before the JSON that names it, so that
    neither a crash nor a lost race leaves a document with another one's arrays.

    Args:
        root: the folder that holds all runs, made on first write; `~` is expanded. On a cluster,
            one that the compute nodes see.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root).expanduser().absolute()
        self._appending = threading.Lock()

    @property
    def place(self) -> str:
        return str(self.root)

    def write(self, name: str, document: Document) -> None:
        target = self.root / (name + _SUFFIX)
        with _doing("write", target):
            before = _arrays_files(target) if target.exists() else []
            self._put(target, document, os.replace)
            for file in before:  # nothing names them any more
                file.unlink(missing_ok=True)

    def create(self, name: str, document: Document) -> bool:
        target = self.root / (name + _SUFFIX)
        with _doing("write", target):
            try:
                self._put(target, document, _link)
            except _Taken:
                return False
        return True

    @staticmethod
    def _put(target: Path, document: Document, place: Callable[[Path, Path], None]) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        arrays: Path | None = None
        try:
            if document.arrays:
                arrays = target.with_suffix(f".{secrets.token_hex(6)}.npz")
                with _written(arrays, os.replace) as file:
                    _write_arrays(file, document.arrays)
            with _written(target, place) as file:
                file.write(_to_bytes(document, arrays.name if arrays else ""))
        except BaseException:
            if arrays is not None:
                with contextlib.suppress(OSError):
                    arrays.unlink(missing_ok=True)
            raise

    def read(self, name: str) -> Document:
        target = self.root / (name + _SUFFIX)
        with _doing("read", target):
            try:
                raw = target.read_bytes()
            except FileNotFoundError:
                raise KeyError(name) from None
            document, arrays = _from_bytes(raw, name)
            if arrays:
                return replace(document, arrays=_read_arrays(target.with_name(arrays)))
            return document

    def sweep(self, folder: str) -> None:
        place = self.root / folder
        if not place.is_dir():
            return
        with _doing("clean up", place):
            for path in place.iterdir():
                stem = path.name.removesuffix(".npz")
                orphan = path.suffix == ".npz" and not self._has(path.with_name(stem))
                if orphan or (path.name.startswith(".") and path.suffix == ".tmp"):
                    path.unlink(missing_ok=True)

    @staticmethod
    def _has(arrays: Path) -> bool:
        """Whether the document is there whose arrays these are: their name less the last part."""
        return arrays.with_suffix(_SUFFIX).exists()

    def names(self, folder: str) -> list[str]:
        try:
            found = os.listdir(self.root / folder)
        except (FileNotFoundError, NotADirectoryError):
            return []
        shown = {n.removesuffix(_SUFFIX) for n in found if n.endswith(_SUFFIX) or "." not in n}
        return sorted(n for n in shown if not n.startswith("."))

    def remove(self, name: str) -> None:
        target = self.root / (name + _SUFFIX)
        with _doing("remove", target):
            target.unlink(missing_ok=True)  # the record first: arrays without one are garbage
            for file in _arrays_files(target):
                file.unlink(missing_ok=True)
            shutil.rmtree(self.root / name, ignore_errors=True)

    def append(self, name: str, lines: Iterable[bytes]) -> None:
        path = self.root / name
        with _doing("append to", path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with self._appending, path.open("ab+") as log:
                whole = _whole(log)
                if whole < log.seek(0, os.SEEK_END):
                    log.truncate(whole)  # what a crash cut off was never there
                log.write(b"".join(line + b"\n" for line in lines))
                log.flush()
                os.fdatasync(log.fileno())

    def lines(self, name: str) -> list[bytes]:
        try:
            content = (self.root / name).read_bytes()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise StoreError("read", str(self.root / name), _why(error)) from error
        return [line for line in content.split(b"\n")[:-1] if line]

    def touch(self, name: str) -> None:
        path = self.root / name
        with _doing("touch", path):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()

    def age(self, name: str) -> float | None:
        path = self.root / name
        probe = path.with_name(f".{path.name}.{_unique()}.now")
        try:
            last = path.stat().st_mtime
            # both times by the file server's clock: hosts' clocks differ
            probe.touch()
            now = probe.stat().st_mtime
            probe.unlink()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreError("read", str(path), _why(error)) from error
        return now - last

    def folder(self, name: str) -> Path:
        path = self.root / name
        with _doing("make", path):
            path.mkdir(parents=True, exist_ok=True)
        return path


class _Taken(Exception):
    """The name is taken."""


@contextmanager
def _doing(action: str, path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(action, str(path), _why(error)) from error


def _arrays_files(target: Path) -> list[Path]:
    stem = glob.escape(target.name.removesuffix(_SUFFIX))
    return list(target.parent.glob(f"{stem}.????????????.npz"))


def _why(error: OSError) -> str:
    return error.strerror or str(error)


def _unique() -> str:
    return f"{socket.gethostname()}.{os.getpid()}.{next(_temporary)}"


@contextmanager
def _written(target: Path, place: Callable[[Path, Path], None]) -> Iterator[IO[bytes]]:
    """A file that appears at `target` whole and durable, or not at all."""
    temporary = target.with_name(f".{target.name}.{_unique()}.tmp")
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        place(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    _sync_folder(target.parent)


def _link(temporary: Path, target: Path) -> None:
    try:
        os.link(temporary, target)  # fails if the name is taken, which rename would not
    except FileExistsError:
        raise _Taken from None
    temporary.unlink()


def _sync_folder(folder: Path) -> None:
    """Makes the names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


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


def _to_bytes(document: Document, arrays: str) -> bytes:
    name = json.dumps(arrays).encode()
    rest = b'"arrays":%b,"meta":%b,"value":%b}\n' % (name, document.meta, document.body)
    return b'{"sha256":"%b",%b' % (hashlib.sha256(rest).hexdigest().encode(), rest)


def _from_bytes(raw: bytes, name: str) -> tuple[Document, str]:
    """The document without its arrays, and the name of their file."""
    head = _HEAD.match(raw)
    if head is None:
        raise DamagedDocument(name, "it is empty" if not raw else "it is not one of our documents")
    if hashlib.sha256(raw[head.end() :]).hexdigest().encode() != head[1]:
        raise DamagedDocument(name, "its bytes do not match its sha256")
    try:
        return _parts(raw.decode(), head.end())
    except ValueError as error:
        raise DamagedDocument(name, "another version of qcsc-loop may have written it") from error


def _parts(text: str, start: int) -> tuple[Document, str]:
    decoder = json.JSONDecoder()
    arrays, end = decoder.raw_decode(text, start + len('"arrays":'))
    start = end + len(',"meta":')
    _, end = decoder.raw_decode(text, start)
    body = text[end + len(',"value":') : -len("}\n")]
    return Document(body.encode(), meta=text[start:end].encode()), arrays


def _write_arrays(file: IO[bytes], arrays: Mapping[str, Array]) -> None:
    # what np.savez does, but for its warning about version 3.0, which names beyond latin-1 need
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for key, array in arrays.items():
            latin = str(array.dtype).isascii()
            with archive.open(f"{key}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(
                    member, array, version=None if latin else (3, 0), allow_pickle=False
                )


def _read_arrays(path: Path) -> dict[str, Array]:
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise DamagedDocument(path.name, "it is missing") from None
    try:
        with file, zipfile.ZipFile(file) as archive:
            return {n.removesuffix(".npy"): _array(archive.read(n)) for n in archive.namelist()}
    except Exception as error:  # zipfile and numpy raise a dozen kinds on damaged bytes
        raise DamagedDocument(path.name, f"{type(error).__name__}: {error}") from error


def _array(content: bytes) -> Array:
    """An array over the bytes just read: no copy, and read-only for good."""
    file = io.BytesIO(content)
    version = np.lib.format.read_magic(file)
    if version > (2, 0):  # field names beyond latin-1: rare, and numpy reads it as a whole only
        return freeze(np.load(io.BytesIO(content), allow_pickle=False))
    read_header = getattr(np.lib.format, f"read_array_header_{version[0]}_0")
    shape, fortran, dtype = read_header(file)
    if fortran:
        return np.ndarray(shape, dtype, buffer=content, offset=file.tell(), order="F")
    return np.ndarray(shape, dtype, buffer=content, offset=file.tell())

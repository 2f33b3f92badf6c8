"""A run as one file, to be kept or to go on with on another machine.

A gzipped tar: first `manifest.json`, with the run's id, its uid and the sha256 of every file, and then
the files. Nothing of it is believed before all of it has been verified.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import re
import secrets
import shutil
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from pydantic import BaseModel, ConfigDict, ValidationError

from qcsc_loop.concurrency.whole_file import is_there, write_where_named
from qcsc_loop.errors import (
    BadArchive,
    FileNotRead,
    FileNotWritten,
    InputError,
    RunExists,
    StoreError,
)
from qcsc_loop.jobs.ledger import ELSEWHERE, job_records
from qcsc_loop.moving.holding import refuse_if_driven
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.journal import IMPORTED, Journal
from qcsc_loop.store.live import LIVE
from qcsc_loop.store.records import RUN_ID, require_run_id
from qcsc_loop.store.versions import this_version
from qcsc_loop.values.document import Document

FORMAT = 1
MANIFEST = "manifest.json"
MANIFEST_BYTES = 100_000_000
_WORK = "work"
_BLOCK = 1 << 20


class Manifest(BaseModel):
    """What an archive holds.

    Attributes:
        version: of the package that wrote it.
        files: sha256 by name, relative to the run's folder.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    format: int
    run_id: str
    uid: str
    version: str
    files: dict[str, str]


@dataclass(frozen=True)
class Exported:
    """What was written."""

    run_id: str
    file: Path
    files: int
    bytes: int


def export_run(
    journal: Journal, root: Path, target: Path, *, work: bool = True, snapshot: bool = False
) -> Exported:
    """Writes a run as one file, whole or not at all where that is a file.

    Args:
        root: the folder of its store.
        work: with the files of its steps.
        snapshot: even while a driver holds it: as it is at some instant of the writing.

    Raises:
        RunNotFound: there is no such run.
        RunIsDriven: a driver holds it.
        StoreError: it cannot be read.
        FileNotWritten: the file cannot be written there.
        InputError: a file of it was changed while it was copied.
    """
    folder = root / journal.run_id
    manifest = _manifest(journal, folder, work=work, snapshot=snapshot)
    try:
        with write_where_named(target, sync="name", mode=0o600) as file:
            _write(file, folder, manifest)
        size = target.stat().st_size
    except OSError as error:
        raise FileNotWritten(str(target), error.strerror or str(error)) from error
    return Exported(journal.run_id, target, len(manifest.files), size)


def stream_run(
    journal: Journal, root: Path, file: IO[bytes], *, work: bool = True, snapshot: bool = False
) -> int:
    """Writes the same to a stream that takes it as it comes; how many files it was.

    Raises:
        RunNotFound, RunIsDriven, StoreError, InputError: as `export_run`.
        OSError: the stream does not take it.
    """
    folder = root / journal.run_id
    manifest = _manifest(journal, folder, work=work, snapshot=snapshot)
    _write(file, folder, manifest)
    return len(manifest.files)


def _manifest(journal: Journal, folder: Path, *, work: bool, snapshot: bool) -> Manifest:
    record = journal.record()
    if not snapshot:
        refuse_if_driven(journal, "export it with --snapshot, as it is at some instant")
    with _store_errors("read", folder):
        files = sorted(_files(folder, work=work))
        return Manifest(
            format=FORMAT,
            run_id=journal.run_id,
            uid=record.uid,
            version=this_version(),
            files={name: _sha256_of(folder / name) for name in files},
        )


def _write(file: IO[bytes], folder: Path, manifest: Manifest) -> None:
    with tarfile.open(fileobj=file, mode="w:gz", format=tarfile.PAX_FORMAT) as archive:
        _add(archive, MANIFEST, manifest.model_dump_json().encode())
        for name, sha256 in manifest.files.items():
            _add_file(archive, folder, name, sha256)


def import_run(store: DirectoryStore, source: Path, *, run_id: str | None = None) -> Journal:
    """Puts a run into a store, once all of it has been verified.

    Args:
        run_id: its id here; None: the one that it has.

    Raises:
        InvalidRunId: no run may have that id.
        BadArchive: it is none, or a file of it is damaged or does not belong there.
        RunExists: the store has a run of that id.
        InputError: under another id its jobs could not be found again.
        FileNotRead: the file cannot be read.
        StoreError: the store cannot be written to.
    """
    new_id = None if run_id is None else require_run_id(run_id)
    with _opened(source) as archive, _store_errors("import into", store.root):
        store.root.mkdir(parents=True, exist_ok=True)
        place = store.root / f".import-{secrets.token_hex(8)}"
        place.mkdir(0o700)
        try:
            manifest = _unpack(source, archive, place)
            chosen = manifest.run_id if new_id is None else new_id
            if chosen != manifest.run_id:
                _rename(store, place.name, manifest.run_id, chosen)
            if Journal(store, chosen).exists() or is_there(store.root / chosen):
                raise RunExists(chosen, store.place)
            place.chmod(0o755)
            os.rename(place, store.root / chosen)
        finally:
            shutil.rmtree(place, ignore_errors=True)
    journal = Journal(store, chosen)
    store.create(f"{chosen}/{IMPORTED}", Document(b"{}"))
    # jobs that it may have somewhere are asked for by name, as of a run that worked elsewhere
    store.create(f"{chosen}/{ELSEWHERE}", Document(b"{}"))
    return journal


def _files(folder: Path, *, work: bool) -> Iterator[str]:
    """The files that say what a run is; not its signs of life, and nothing half written."""
    for path in folder.rglob("*"):
        name = path.relative_to(folder)
        if path.is_symlink() or not path.is_file():
            continue
        temporary = name.name.startswith(".")
        if temporary or name.suffix == ".beat" or str(name) == LIVE:
            continue
        if name.parts[0] == _WORK and not work:
            continue
        yield name.as_posix()


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), 0o600
    archive.addfile(entry, io.BytesIO(content))


def _add_file(archive: tarfile.TarFile, folder: Path, name: str, sha256: str) -> None:
    """Adds a file as the manifest has it: a log may have grown since."""
    with _store_errors("read", folder / name):
        content = (folder / name).read_bytes()
    if hashlib.sha256(content).hexdigest() != sha256:
        content = _beginning(content, sha256)
    _add(archive, f"run/{name}", content)


def _beginning(content: bytes, sha256: str) -> bytes:
    """The beginning of a log that has this hash.

    Raises:
        InputError: there is none: the file was replaced while the run was being copied.
    """
    digest = hashlib.sha256()
    for end, line in _lines(content):
        digest.update(line)
        if digest.hexdigest() == sha256:
            return content[:end]
    raise InputError(
        "a file of the run was changed while it was copied; end the driver first, or try again"
    )


def _lines(content: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    for line in content.splitlines(keepends=True):
        at += len(line)
        yield at, line


@contextmanager
def _opened(source: Path) -> Iterator[IO[bytes]]:
    """Raises FileNotRead where that is no file that can be read."""
    try:
        file = source.open("rb")
    except OSError as error:
        raise FileNotRead(str(source), error.strerror or str(error)) from error
    with file:
        yield file


def _unpack(source: Path, content: IO[bytes], place: Path) -> Manifest:
    try:
        with tarfile.open(fileobj=content, mode="r:gz") as archive:
            manifest = _read_manifest(source, archive)
            left = dict(manifest.files)
            while (entry := archive.next()) is not None:
                name = entry.name.removeprefix("run/")
                if not entry.isreg() or entry.name == name or not _is_safe(name):
                    raise BadArchive(str(source), f"{entry.name!r} does not belong there")
                if (sha256 := left.pop(name, None)) is None:
                    raise BadArchive(str(source), f"{name!r} is not in its manifest")
                _write_verified(source, archive.extractfile(entry), place / name, sha256)
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, ValueError) as error:
        raise BadArchive(
            str(source), f"it is no archive of a run, or it is cut off: {error}"
        ) from None
    if left:
        raise BadArchive(str(source), f"{min(left)!r} is missing")
    return manifest


def _read_manifest(source: Path, archive: tarfile.TarFile) -> Manifest:
    first = archive.next()
    if first is None or first.name != MANIFEST or not first.isreg():
        raise BadArchive(str(source), f"it does not begin with {MANIFEST}")
    if first.size > MANIFEST_BYTES:
        raise BadArchive(str(source), f"its {MANIFEST} is too large")
    content = archive.extractfile(first)
    try:
        manifest = Manifest.model_validate_json(content.read() if content is not None else b"")
    except ValidationError:
        raise BadArchive(str(source), f"its {MANIFEST} cannot be read") from None
    if manifest.format > FORMAT:
        newer = f"qcsc-loop {manifest.version}, which is newer than this one ({this_version()})"
        raise BadArchive(str(source), f"it was written by {newer}")
    if not re.fullmatch(RUN_ID, manifest.run_id):
        raise BadArchive(str(source), f"{manifest.run_id!r} is no id of a run")
    return manifest


def _is_safe(name: str) -> bool:
    """Whether a name stays in the run's folder."""
    path = PurePosixPath(name)
    parts = path.parts
    return bool(parts) and not path.is_absolute() and not {"..", "."} & set(name.split("/"))


def _write_verified(source: Path, content: IO[bytes] | None, target: Path, sha256: str) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    with target.open("xb") as file:
        while content is not None and (block := content.read(_BLOCK)):
            digest.update(block)
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
    if digest.hexdigest() != sha256:
        raise BadArchive(str(source), f"{target.name!r} is damaged")


def _rename(store: DirectoryStore, place: str, before: str, after: str) -> None:
    """Gives an unpacked run another id.

    Raises:
        InputError: it has jobs that are not over: their names have the id.
    """
    if any(not job.over for job in job_records(store, place)):
        raise InputError(
            f"run {before!r} has jobs that may still be alive, whose names have its id: import it as "
            f"{before}, into another store if need be"
        )
    record = Journal(store, place).record().model_copy(update={"run_id": after})
    store.write(f"{place}/run", Document(record.model_dump_json().encode()))


def _sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _store_errors(action: str, path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(action, str(path), error.strerror or str(error)) from error

"""Small records on a shared disk: written once, whole, and known to be whole when read.

A record is a line with the sha256 of the rest, and JSON. Only the standard library is imported
here: a supervisor and its ranks start with it.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from qcsc_loop.errors import DamagedDocument

ROOM_BYTES = 4096  # of a record whose place on the disk is taken beforehand

Facts = dict[str, Any]  # JSON


def encoded(facts: Mapping[str, Any]) -> bytes:
    """The record's bytes."""
    body = json.dumps(facts, separators=(",", ":")).encode()
    return hashlib.sha256(body).hexdigest().encode() + b"\n" + body + b"\n"


def read(path: Path) -> Facts:
    """A record's facts.

    Raises:
        FileNotFoundError: there is none.
        DamagedDocument: it is cut off, or other bytes than were written.
    """
    sha256, _, body = path.read_bytes().partition(b"\n")
    body = body.rstrip()
    if hashlib.sha256(body).hexdigest().encode() != sha256:
        raise DamagedDocument(str(path), "it does not match its sha256")
    facts: Facts = json.loads(body)
    return facts


def write_once(path: Path, facts: Mapping[str, Any]) -> bool:
    """Makes the record, unless there is one: by a link, so that of several writers the first wins.

    Returns:
        Whether it is this one. Durable when it returns.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(encoded(facts))
            file.flush()
            os.fsync(file.fileno())
        return linked(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def linked(source: Path, target: Path) -> bool:
    """Whether the file is now at `target`, too; False if something was there."""
    try:
        os.link(source, target)
    except FileExistsError:
        return False
    synced(target.parent)
    return True


def make_room(path: Path) -> None:
    """Takes the disk space of a record that is to be written when the disk may be full."""
    with path.open("xb") as file:
        file.write(b"\n" * ROOM_BYTES)


def fill_room(path: Path, facts: Mapping[str, Any]) -> None:
    """Writes a record in the place that was taken for it.

    Raises:
        ValueError: it is larger than that.
    """
    record = encoded(facts)
    if len(record) > ROOM_BYTES:
        raise ValueError(f"a record of {len(record)} bytes has only {ROOM_BYTES} of room")
    with path.open("r+b") as file:
        file.write(record.ljust(ROOM_BYTES, b"\n"))
        file.flush()
        os.fsync(file.fileno())


def replace(path: Path, facts: Mapping[str, Any], mode: int = 0o666) -> None:
    """Writes a record that changes often, and need not outlive its machine: no fsync."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        with open(os.open(temporary, flags, mode), "wb") as file:
            file.write(encoded(facts))
        temporary.replace(path)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def synced(folder: Path) -> None:
    """Makes the folder's entries durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

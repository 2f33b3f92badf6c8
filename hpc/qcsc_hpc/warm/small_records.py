"""Small records on a shared disk: written once, whole, and known to be whole when read.

A record is a line with the sha256 of the rest, and JSON. Only the standard library is imported
here: a supervisor and its ranks start with it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qcsc_loop.concurrency.listed import is_listed
from qcsc_loop.concurrency.whole_file import NameTaken, write_whole
from qcsc_loop.errors import DamagedDocument
from qcsc_loop.plain import Json

ROOM_BYTES = 4096  # of a record whose place on the disk is taken beforehand


def encoded(facts: Mapping[str, Any]) -> bytes:
    """The record's bytes."""
    body = json.dumps(facts, separators=(",", ":")).encode()
    return hashlib.sha256(body).hexdigest().encode() + b"\n" + body + b"\n"


def read(path: Path) -> Json:
    """A record's facts.

    Raises:
        FileNotFoundError: there is none, as the folder's listing says.
        DamagedDocument: it is cut off, or other bytes than were written.
    """
    if not is_listed(path):
        raise FileNotFoundError(path)
    sha256, _, body = path.read_bytes().partition(b"\n")
    body = body.rstrip()
    if hashlib.sha256(body).hexdigest().encode() != sha256:
        raise DamagedDocument(str(path), "it does not match its sha256")
    facts: Json = json.loads(body)
    return facts


def write_once(path: Path, facts: Mapping[str, Any]) -> bool:
    """Makes the record, unless there is one: of several writers the first wins.

    Returns:
        Whether it is this one. Durable when it returns.
    """
    try:
        with write_whole(path, once=True, sync="name") as file:
            file.write(encoded(facts))
    except NameTaken:
        return False
    return True


def replace(path: Path, facts: Mapping[str, Any], mode: int = 0o666) -> None:
    """Writes a record that changes often, and need not outlive its machine: no fsync."""
    with write_whole(path, sync="nothing", mode=mode) as file:
        file.write(encoded(facts))

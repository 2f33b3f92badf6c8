"""What a store keeps of a value."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from qcsc_loop.errors import DamagedDocument
from qcsc_loop.values.arrays import Array, array_sha256


@dataclass(frozen=True)
class Document:
    """What a store keeps: a line of JSON, the arrays it names, and notes about it."""

    body: bytes
    arrays: Mapping[str, Array] = field(default_factory=dict[str, Array])
    meta: bytes = b"{}"  # JSON too, and not part of the value

    @property
    def sha256(self) -> str:
        """Hash of the value, arrays included: the JSON carries theirs."""
        return hashlib.sha256(self.body).hexdigest()

    @property
    def nbytes(self) -> int:
        """Of its value."""
        return len(self.body) + sum(array.nbytes for array in self.arrays.values())

    def verify(self) -> None:
        """Checks every array against the hash that the JSON has for it.

        Raises:
            DamagedDocument: one is missing or another one.
        """
        for name, sha256 in array_hashes(json.loads(self.body)):
            if name not in self.arrays or array_sha256(self.arrays[name]) != sha256:
                raise DamagedDocument(f"array {name!r}", "it does not match its sha256")


def array_hashes(value: Any) -> Iterator[tuple[str, str]]:
    """Names and hashes of the arrays that a document's JSON refers to."""
    if isinstance(value, dict) and {"array", "sha256", "dtype", "shape"} <= value.keys():
        yield value["array"], value["sha256"]
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from array_hashes(part)

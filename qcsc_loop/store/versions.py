"""Which version of qcsc-loop wrote a record, and whether it knows more than this one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from typing import Any

_RELEASE = re.compile(r"\d+(?:\.\d+)*")


@cache
def this_version() -> str:
    """The installed version."""
    return version("qcsc-loop")


def newer_version(provenance: object) -> str | None:
    """The version that a record's provenance names, if it is newer than this one."""
    versions: Any = provenance.get("versions") if isinstance(provenance, Mapping) else None
    theirs = versions.get("qcsc-loop") if isinstance(versions, Mapping) else None
    if not isinstance(theirs, str) or _release(theirs) <= _release(this_version()):
        return None
    return theirs


def _release(text: str) -> tuple[int, ...]:
    found = _RELEASE.match(text)
    return tuple(int(part) for part in found[0].split(".")) if found else ()

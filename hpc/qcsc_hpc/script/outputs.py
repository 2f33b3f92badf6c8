"""Results that a program had to leave: whether they are there, told by whoever saw it end.

A job's script looks itself, where the files were written, and its record says what it saw. That is a
fact about the job; that a file cannot be read later, or elsewhere, is none.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

OUTPUT_EXIT = 79  # of a job whose program ended well without leaving what it had to
FAULT = "outputs: "  # at the head of an exit record's fault


def missing(folder: Path, outputs: Sequence[str]) -> str:
    """What is wrong with the results that were declared; empty if nothing is."""
    begun = _modified(folder / "started")
    for name in outputs:
        modified = _modified(folder / name)
        if modified is None:
            return _none(name)
        if begun is not None and modified < begun:
            return _old(name)
        if (folder / name).stat().st_size == 0:
            return _empty(name)
    return ""


def checks(outputs: Sequence[str]) -> Iterator[str]:
    """The same as lines of a script in the job's folder, whose `finish` takes a code and a fault."""
    if outputs:
        # what another node wrote: a network file system looks anew at a folder that is opened
        yield "ls -A > /dev/null"
    for name in outputs:
        # a name may begin with a dash, or be a word of `test`
        path = shlex.quote(f"./{name}" if not name.startswith("/") else name)
        yield f"[ -e {path} ] || finish {OUTPUT_EXIT} {_fault(_none(name))}"
        yield f"[ ! {path} -ot started ] || finish {OUTPUT_EXIT} {_fault(_old(name))}"
        yield f"[ -s {path} ] || finish {OUTPUT_EXIT} {_fault(_empty(name))}"


def _fault(sentence: str) -> str:
    """A word of the script that can stand in the record's JSON."""
    return shlex.quote(json.dumps(FAULT + sentence)[1:-1]).replace("\r", "'$'\\r''")


def _none(name: str) -> str:
    return f"it left no {name}"


def _old(name: str) -> str:
    return f"{name} is older than the job's start"


def _empty(name: str) -> str:
    return f"{name} is empty"


def _modified(path: Path) -> int | None:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return None

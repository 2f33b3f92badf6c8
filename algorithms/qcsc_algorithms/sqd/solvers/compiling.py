"""Functions compiled on first use, by numba; what was compiled is kept for the next process.

A sum is made in the order in which it is written: nothing is reordered or contracted, so that each
processor, of whatever vector width, gives the same bits.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numba
from llvmlite import binding

P = ParamSpec("P")
T = TypeVar("T")


def compiled(function: Callable[P, T]) -> Callable[P, T]:
    """The function as machine code that runs beside other threads.

    A change of another file's function that it calls does not compile it anew: all that call each
    other are in one module.
    """
    options: dict[str, Any] = {"nogil": True}
    try:
        kept: Callable[P, T] = numba.njit(cache=True, **options)(function)
    except RuntimeError:  # neither the package's folder nor the home can be written
        kept = numba.njit(**options)(function)
    return kept


def compile_in_turn(warm_up: Callable[[], object]) -> None:
    """Calls what compiles all functions, or loads them; while one process compiles, others wait.

    Workers begin together: each of them would compile the same, for as long as all of them.
    """
    lock = Path(tempfile.gettempdir(), f"qcsc-loop-compiled-{os.getuid()}")
    key = _what_is_compiled()
    try:
        file = lock.open("a+b")
    except OSError:  # no folder, or another user's file: nobody waits
        warm_up()
        return
    with file:
        if not _is_said(file, key):
            fcntl.flock(file, fcntl.LOCK_EX)
            if not _is_said(file, key):
                warm_up()
                file.write(key)
                return
    warm_up()


def _is_said(file: Any, key: bytes) -> bool:
    file.seek(0)
    return key in file.read()


def _what_is_compiled() -> bytes:
    """Names it: these files' functions, for this processor."""
    here = Path(__file__).parent
    facts = [numba.__version__, binding.get_host_cpu_name(), os.environ.get("NUMBA_CACHE_DIR", "")]
    for path in sorted(here.glob("*.py")):
        facts += [str(path), str(path.stat().st_mtime_ns)]
    return hashlib.sha256("\0".join(facts).encode()).hexdigest().encode() + b"\n"

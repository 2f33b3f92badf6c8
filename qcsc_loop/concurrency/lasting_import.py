"""Libraries of compiled code that must be imported in a thread that lasts as long as the process.

qiskit's allocator (2.6) crashes in new threads once the thread has ended that imported qiskit first,
and anyio's and asyncio's worker threads end when they are idle.
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
import threading
from collections.abc import Iterable
from functools import cache
from pathlib import Path

LIBRARIES = ("qiskit",)


def import_lastingly(name: str) -> None:
    """Imports a module unless it is: in the main thread here, elsewhere in a thread that never ends.

    Raises:
        ImportError: there is no such module.
    """
    if name in sys.modules:
        return
    if threading.current_thread() is threading.main_thread():
        importlib.import_module(name)
        return
    done, failures = threading.Event(), list[BaseException]()

    def stay() -> None:
        try:
            importlib.import_module(name)
        except BaseException as error:  # whatever importing it raises
            failures.append(error)
        done.set()
        threading.Event().wait()

    threading.Thread(target=stay, name=f"qcsc-loop-{name}", daemon=True).start()
    done.wait()
    if failures:
        raise failures[0]


def import_libraries_of(classes: Iterable[type]) -> None:
    """Imports those of LIBRARIES that the classes' own files, or those of their bases, import.

    One that is not installed is left to whoever needs it, who says what it is for.
    """
    files = {file for kind in classes for base in kind.__mro__ if (file := _file(base))}
    for name in LIBRARIES:
        if name not in sys.modules and any(_imports(file, name) for file in files):
            try:
                import_lastingly(name)
            except ImportError:
                continue


def _file(kind: type) -> str | None:
    try:
        return inspect.getfile(kind)
    except (TypeError, OSError):  # of C, or of a notebook
        return None


@cache
def _imports(file: str, name: str) -> bool:
    """Whether a file says so, at its top or in a function that a thread may call first."""
    try:
        text = Path(file).read_text(errors="replace")
    except OSError:
        return False
    return re.search(rf"^\s*(import|from) {re.escape(name)}\b", text, re.MULTILINE) is not None

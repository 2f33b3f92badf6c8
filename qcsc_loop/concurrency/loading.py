"""Modules of files: loaded under names of their own, and found again by them."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

_FROM_FILE = "qcsc_loop_file_"


def load_file(path: Path) -> ModuleType:
    """The module of a file, under a name of its own; the same one the next time.

    Raises:
        Exception: whatever its code raises.
    """
    # a name of its own: a user's random.py must not shadow the standard library's
    module_name = _FROM_FILE + hashlib.sha256(str(path).encode()).hexdigest()[:16]
    if (loaded := sys.modules.get(module_name)) is not None:
        return loaded
    spec = importlib.util.spec_from_file_location(module_name, path)
    assert spec is not None and spec.loader is not None  # a .py file always has both
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    sys.path.append(str(path.parent))  # its neighbours, after everything installed
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[module_name]
        raise
    return module


def load_module(name: str) -> ModuleType:
    """A module by its name: what is installed, then what is in the current folder.

    In this order, for a folder may have files that are called like modules of others.

    Raises:
        Exception: whatever its code raises.
    """
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    return importlib.import_module(name)


def class_reference(algorithm: type) -> str:
    """How `find_algorithm` gets the class again."""
    module = algorithm.__module__
    if module == "__main__" or module.startswith(_FROM_FILE):
        file = getattr(sys.modules.get(module), "__file__", None)
        if file is not None:
            return f"{Path(file).resolve()}:{algorithm.__qualname__}"
    return f"{module}:{algorithm.__qualname__}"


def loaded_from(module: str) -> str:
    """The file that `load_file` made a module of; empty for any other module."""
    if not module.startswith(_FROM_FILE):
        return ""
    return str(getattr(sys.modules.get(module), "__file__", None) or "")

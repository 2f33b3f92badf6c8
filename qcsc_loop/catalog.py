"""Finding an algorithm's class by name, and naming a class so that it is found again."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import os
import sys
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from qcsc_loop.algorithm import IterativeAlgorithm
from qcsc_loop.errors import UnknownAlgorithm

GROUP = "qcsc_loop.algorithms"
_FROM_FILE = "qcsc_loop_file_"

AlgorithmType = type[IterativeAlgorithm[Any, Any, Any]]


def known() -> dict[str, EntryPoint]:
    """The algorithms that installed distributions offer by name."""
    return {point.name: point for point in entry_points(group=GROUP)}


def find(name: str) -> AlgorithmType:
    """The class behind a known name, `path/to/file.py:Class` or `package.module:Class`.

    Raises:
        UnknownAlgorithm: there is none; says what was missing.
    """
    if (point := known().get(name)) is not None:
        return find(point.value)
    place, colon, class_name = name.rpartition(":")
    if not colon or not place:
        raise UnknownAlgorithm(name, "no installed package offers that name", known())
    module = _module(name, place)
    return _class(name, module, class_name)


def _module(name: str, place: str) -> ModuleType:
    path = Path(place).expanduser().resolve()
    if place.endswith(".py") and not path.is_file():
        raise UnknownAlgorithm(name, f"there is no file {place}", known())
    try:
        if place.endswith(".py"):
            return load_file(path)
        if os.getcwd() not in sys.path:
            sys.path.insert(0, os.getcwd())  # as `python -m` does
        return importlib.import_module(place)
    except (Exception, SystemExit) as error:  # whatever the user's module does when imported
        why = f"importing {place} raised {type(error).__name__}: {error}"
        raise UnknownAlgorithm(name, why, known()) from error


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


def _class(name: str, module: ModuleType, class_name: str) -> AlgorithmType:
    found: Any = module
    for part in class_name.split("."):
        found = getattr(found, part, None)
    if inspect.isclass(found) and issubclass(found, IterativeAlgorithm):
        return found
    offered = [n for n, value in vars(module).items() if _is_algorithm(value)]
    listed = f"it has {', '.join(offered)}" if offered else "it has no IterativeAlgorithm"
    what = "is no IterativeAlgorithm" if found is not None else "is not in it"
    raise UnknownAlgorithm(name, f"{class_name} {what} ({listed})", known())


def _is_algorithm(value: object) -> bool:
    return (
        inspect.isclass(value)
        and issubclass(value, IterativeAlgorithm)
        and not inspect.isabstract(value)
    )


def reference(algorithm: type) -> str:
    """How `find` gets the class again."""
    module = algorithm.__module__
    if module == "__main__" or module.startswith(_FROM_FILE):
        file = getattr(sys.modules.get(module), "__file__", None)
        if file is not None:
            return f"{Path(file).resolve()}:{algorithm.__qualname__}"
    return f"{module}:{algorithm.__qualname__}"


def file_of(module: str) -> str:
    """The file that `load_file` made a module of; empty for any other module."""
    if not module.startswith(_FROM_FILE):
        return ""
    return str(getattr(sys.modules.get(module), "__file__", None) or "")

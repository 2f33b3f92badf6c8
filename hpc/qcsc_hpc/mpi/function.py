"""Calls a function on every rank. Run as

    mpiexec -n RANKS python -m mpi4py -m qcsc_hpc.mpi.function MODULE NAME ARGUMENTS.npz RESULT.npz

MODULE is a module's name or the path of a .py file, NAME the function's in it; "-" and "-" for one
that is in the arguments' file, pickled. RESULT.npz gets what rank 0's call returned; it appears by
rename, whole or not at all. The function reaches its communicator by `qcsc_hpc.world()`.
"""

from __future__ import annotations

import importlib
import inspect
import sys
import typing
from collections.abc import Callable
from pathlib import Path
from types import GenericAlias
from typing import Any

from qcsc_hpc.mpi.world import world
from qcsc_loop.concurrency.loading import load_file
from qcsc_loop.concurrency.whole_file import write_whole
from qcsc_loop.values.codec import Codec
from qcsc_loop.values.document import Document
from qcsc_loop.values.encodings import read_in_one, write_in_one

PICKLED = "-"


def argument_codec(function: Callable[..., object]) -> Codec[tuple[Any, ...]]:
    """How a function's positional arguments are stored, by its annotations.

    Raises:
        TypeError: one has none, or the function takes other arguments than positional ones.
    """
    hints = typing.get_type_hints(function, include_extras=True)
    names = list(inspect.signature(function).parameters.values())
    if missing := [p.name for p in names if p.name not in hints]:
        raise TypeError(f"{', '.join(missing)}: an annotation is missing")
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    if other := [p.name for p in names if p.kind not in positional]:
        raise TypeError(f"{', '.join(other)}: only plain positional parameters can be sent")
    kinds = tuple(hints[p.name] for p in names)
    return Codec(GenericAlias(tuple, kinds))


def result_codec(function: Callable[..., object]) -> Codec[Any]:
    """How its result is stored.

    Raises:
        TypeError: it does not say what it returns.
    """
    hints = typing.get_type_hints(function, include_extras=True)
    if "return" not in hints:
        raise TypeError("return: an annotation is missing")
    return Codec(hints["return"])


def write_document(path: Path, document: Document) -> None:
    """Keeps a document in one file."""
    with write_whole(path) as file:
        write_in_one(file, document)


def write_pickled(path: Path, value: object) -> None:
    """Keeps anything, by cloudpickle."""
    import cloudpickle

    with write_whole(path) as file:
        file.write(cloudpickle.dumps(value))


def read_pickled(path: Path) -> Any:
    """What was kept. Runs code from the file."""
    import pickle

    return pickle.loads(path.read_bytes())


def found(module: str, name: str) -> Callable[..., Any]:
    """The function of that name."""
    of = load_file(Path(module)) if module.endswith(".py") else importlib.import_module(module)
    function: Any = of
    for part in name.split("."):
        function = getattr(function, part)
    return function  # type: ignore[no-any-return]


def main(arguments: list[str]) -> None:
    """Runs one rank; the first one writes the result."""
    module, name, source, target = *arguments[:2], Path(arguments[2]), Path(arguments[3])
    comm = world()
    if module == PICKLED:
        function, values = read_pickled(source)
        result = function(*values)
        if comm.rank == 0:
            write_pickled(target, result)
        return
    function = found(module, name)
    result = function(*argument_codec(function).decode(read_in_one(source)))
    if comm.rank == 0:
        codec = result_codec(function)
        write_document(target, codec.encode(codec.check(result)))


if __name__ == "__main__":
    main(sys.argv[1:])

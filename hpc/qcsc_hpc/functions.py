"""Python functions over MPI ranks: `run_function`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, TypeVarTuple, Unpack

from anyio import to_thread
from pydantic import ValidationError

from qcsc_hpc.machine import Machine, Program
from qcsc_hpc.mpi.function import (
    PICKLED,
    argument_codec,
    read_pickled,
    result_codec,
    write_document,
    write_pickled,
)
from qcsc_loop.concurrency.loading import loaded_from
from qcsc_loop.errors import BadFunction
from qcsc_loop.jobs.key import checked_name
from qcsc_loop.steps.step import current_step
from qcsc_loop.values.document import Document
from qcsc_loop.values.encodings import read_in_one

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

MODULE = "qcsc_hpc.mpi.function"
RESULT = "result.npz"


async def run_function(
    function: Callable[[Unpack[Ts]], T],
    *arguments: *Ts,
    on: Machine,
    ranks: int | None = None,
    unsafe_pickle: bool = False,
) -> T:
    """What a function returns on rank 0 of several that all call it, now or earlier.

    It is a job of the current step like any other, or a request to the machine's warm one. The
    ranks' communicator is `qcsc_hpc.world()`. Arguments and result go through files, as the
    function's annotations say: anything that a state may hold.

    Args:
        function: of a module that the machine's Python finds, or of a file that was loaded as an
            algorithm's.
        ranks: None: as many as the machine's profile says.
        unsafe_pickle: sends function, arguments and result by cloudpickle instead: any function,
            and any values. Whoever can write to the run's folder can then run code in this
            process; and a resumed driver may find its own arguments changed, as sets, for one,
            are not always pickled to the same bytes.

    Raises:
        BadFunction: it cannot be found there, or its annotations do not say enough.
        EncodingError: an argument cannot be stored.
        JobRefused, JobFailed: as of `Machine.run`.
    """
    name = function.__name__
    if unsafe_pickle:
        where, called = PICKLED, PICKLED
        source = current_step().work_dir / f"{_in_file(name)}.pickle"
        await to_thread.run_sync(write_pickled, source, (function, arguments))
        collect: Callable[[Path], T] = _pickled
    else:
        where, called = _place(function), function.__qualname__
        source = current_step().work_dir / f"{_in_file(name)}.arguments.npz"
        document, collect = _prepared(function, arguments)
        await to_thread.run_sync(write_document, source, document)
    return await on.run(
        Program(_in_file(name), MODULE, source="" if unsafe_pickle else where),
        [where, called, source, RESULT],
        ranks=ranks,
        outputs=[RESULT],
        collect=collect,
    )


def arguments_digest(function: Callable[..., object], arguments: tuple[Any, ...]) -> str:
    """A hash over what the function is called with.

    Raises:
        BadFunction: its annotations do not say enough.
    """
    return _prepared(function, arguments)[0].sha256


def _in_file(name: str) -> str:
    return checked_name("function" if name == "<lambda>" else name)


def _place(function: Callable[..., object]) -> str:
    """The module or file in which ranks find it."""
    module, name = function.__module__, function.__qualname__
    if "<" in name:
        raise BadFunction(name, "it is defined in another function, where no rank finds it")
    if module == "__main__":
        raise BadFunction(name, "it is of the script itself, which ranks do not import")
    loaded: Any = sys.modules.get(module)
    for part in name.split("."):
        loaded = getattr(loaded, part, None)
    if loaded is not function:
        raise BadFunction(name, f"another thing has this name in {module}")
    return loaded_from(module) or module


def _prepared(
    function: Callable[..., T], arguments: tuple[Any, ...]
) -> tuple[Document, Callable[[Path], T]]:
    """The arguments as they are sent, and the reader of the result."""
    name = function.__qualname__
    try:
        codec, result = argument_codec(function), result_codec(function)
        document = codec.encode(codec.check(arguments))
    except (TypeError, NameError) as error:
        raise BadFunction(name, str(error)) from error
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in problem["loc"])
        raise BadFunction(name, f"argument {place}: {problem['msg']}") from error
    return document, partial(_read, result.decode)


def _read(decode: Callable[[Document], T], folder: Path) -> T:
    return decode(read_in_one(folder / RESULT))


def _pickled(folder: Path) -> Any:
    return read_pickled(folder / RESULT)

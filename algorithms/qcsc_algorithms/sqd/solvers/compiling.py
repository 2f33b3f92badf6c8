"""Functions compiled on first use, by numba; what was compiled is kept for the next process.

A sum is made in the order in which it is written: nothing is reordered or contracted, so that each
processor, of whatever vector width, gives the same bits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import numba

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

"""A quantum job's result in its folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from qcsc_loop.concurrency.whole_file import write_whole
from qcsc_loop.sampling.packing import Packed, in_rows

RESULT = "result.npz"


def save_result(folder: Path, result: Any) -> None:
    """A PUB's result: packed bits of each register, or values and errors."""
    arrays: dict[str, Any] = {}
    for name, value in result.data.items():
        if hasattr(value, "num_bits"):
            arrays[f"bits:{name}"] = value.array
            arrays[f"width:{name}"] = np.array(value.num_bits)
        else:
            arrays[f"value:{name}"] = np.asarray(value)
    with write_whole(folder / RESULT) as file:
        np.savez(file, **arrays)


def load_bits(folder: Path) -> tuple[dict[str, Packed], dict[str, int]]:
    """Bits, as of `in_rows`, and widths by register, as `save_result` left them."""
    bits: dict[str, Packed] = {}
    widths: dict[str, int] = {}
    with _opened(folder) as found:
        for name in found.files:
            kind, _, register = name.partition(":")
            if kind == "bits":
                bits[register] = found[name]
            elif kind == "width":
                widths[register] = int(found[name])
    return in_rows(bits, widths), widths


def load_values(folder: Path) -> dict[str, Any]:
    """Arrays by name, as `save_result` left them."""
    with _opened(folder) as found:
        return {name.partition(":")[2]: found[name] for name in found.files if name[:6] == "value:"}


@contextmanager
def _opened(folder: Path) -> Iterator[Any]:
    # the file by itself: numpy leaves one that it cannot read open
    with (folder / RESULT).open("rb") as file, np.load(file, allow_pickle=False) as found:
        yield found

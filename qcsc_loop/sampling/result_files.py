"""A quantum job's result in its folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from qcsc_loop.concurrency.whole_file import write_whole
from qcsc_loop.sampling.packing import Packed, in_rows

RESULT = "result.npz"


def save_results(folder: Path, results: Sequence[Any]) -> None:
    """Each PUB's result: packed bits of each register, or values and errors."""
    arrays: dict[str, Any] = {}
    for number, result in enumerate(results):
        mark = f"{number}:" if number else ""  # of a job of one PUB as it ever was
        for name, value in result.data.items():
            if hasattr(value, "num_bits"):
                arrays[f"{mark}bits:{name}"] = value.array
                arrays[f"{mark}width:{name}"] = np.array(value.num_bits)
            else:
                arrays[f"{mark}value:{name}"] = np.asarray(value)
    with write_whole(folder / RESULT) as file:
        np.savez(file, **arrays)


def load_bits(folder: Path) -> tuple[dict[str, Packed], dict[str, int]]:
    """Bits, as of `in_rows`, and widths by register, of a job of one PUB."""
    ((bits, widths),) = load_all_bits(folder, 1)
    return in_rows(bits, widths), widths


def load_all_bits(folder: Path, pubs: int) -> list[tuple[dict[str, Packed], dict[str, int]]]:
    """Bits as they came, and widths by register, of each PUB.

    Raises:
        ValueError: there are not as many PUBs.
    """
    found: list[tuple[dict[str, Packed], dict[str, int]]] = []
    with _opened(folder) as file:
        for name in file.files:
            head, _, rest = name.partition(":")
            number, kind, register = (
                (int(head), *rest.split(":", 1)) if head.isdigit() else (0, head, rest)
            )
            while len(found) <= number:
                found.append(({}, {}))
            if kind == "bits":
                found[number][0][register] = file[name]
            elif kind == "width":
                found[number][1][register] = int(file[name])
    if len(found) != pubs:
        raise ValueError(f"the job had {pubs} circuits, and its result has {len(found)}")
    return found


def load_values(folder: Path) -> dict[str, Any]:
    """Arrays by name, as `save_results` left them."""
    with _opened(folder) as found:
        return {name.partition(":")[2]: found[name] for name in found.files if name[:6] == "value:"}


@contextmanager
def _opened(folder: Path) -> Iterator[Any]:
    # the file by itself: numpy leaves one that it cannot read open
    with (folder / RESULT).open("rb") as file, np.load(file, allow_pickle=False) as found:
        yield found

"""The files of the `sbd` program: determinants go in; energy, occupancies and carry-over come out.

Strings are here what they are everywhere: uint8 (strings, ceil(norb / 8)), big-endian and
right-aligned, bit p is orbital p. `AlphaDets.bin` holds just these bytes. `carryover.bin` holds as
many for each string, but left-aligned: its bit j, the most significant of the first byte being
bit 0, is orbital norb - 1 - j. Text files hold one number a line, with 16 digits. (Source: the
`main.cc` of qcsc-prefect's sbd and `LoadAlphaDets` of r-ccs-cms/sbd.)
"""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np

from qcsc_algorithms.sqd.determinants.configurations import Floats, Strings
from qcsc_loop.concurrency.whole_file import write_whole

_STEP = re.compile(r"Davidson iteration \d+\.\d+ \(tol=([^)\s]+)\)")
ROUNDING = 1e-6  # by which occupancies may leave [0, 1], and miss the number of electrons


def write_determinants(path: Path, strings: Strings, norb: int) -> None:
    """Writes strings as `sbd` reads them; the file appears whole.

    Args:
        strings: uint8 (strings, ceil(norb / 8)), at least one.

    Raises:
        ValueError: the shape does not fit, or a bit above `norb` is set.
    """
    if strings.shape != (len(strings), -(-norb // 8)) or not len(strings):
        raise ValueError(f"{path.name}: strings of {norb} orbitals have not shape {strings.shape}")
    _require_clear(path, np.unpackbits(strings, axis=1)[:, : -norb % 8], norb)
    with write_whole(path) as file:
        file.write(strings.tobytes())


def read_determinants(path: Path, norb: int) -> Strings:
    """What `write_determinants` wrote: uint8 (strings, ceil(norb / 8)).

    Raises:
        ValueError: it is cut off or empty, or a bit above `norb` is set.
        FileNotFoundError: there is none.
    """
    rows = _whole(path, path.read_bytes(), norb)
    _require_clear(path, np.unpackbits(rows, axis=1)[:, : -norb % 8], norb)
    return rows


def write_carryover(path: Path, strings: Strings, norb: int) -> None:
    """Writes strings as `sbd` leaves them, left-aligned.

    Args:
        strings: uint8 (strings, ceil(norb / 8)), the most important first.
    """
    bits = np.unpackbits(strings, axis=1)[:, -norb:]
    path.write_bytes(np.packbits(bits, axis=1).tobytes())


def read_carryover(path: Path, norb: int) -> Strings:
    """The strings that `sbd` left: uint8 (strings, ceil(norb / 8)), right-aligned, in its order.

    Raises:
        ValueError: it is cut off or empty, or a bit beyond `norb` is set.
        FileNotFoundError: there is none.
    """
    bits = np.unpackbits(_whole(path, path.read_bytes(), norb), axis=1)
    _require_clear(path, bits[:, norb:], norb)
    return np.packbits(np.pad(bits[:, :norb], ((0, 0), (-norb % 8, 0))), axis=1)


def write_numbers(path: Path, numbers: Floats) -> None:
    """Writes numbers (n,) as `sbd` does, one a line, with 16 digits."""
    path.write_text("".join(f"{number:.16g}\n" for number in numbers))


def read_energy(path: Path) -> float:
    """The energy that `sbd` left, in hartree.

    Raises:
        ValueError: it is cut off, or not one finite number.
        FileNotFoundError: there is none.
    """
    (energy,) = _numbers(path, 1)
    return energy


def read_occupancies(path: Path, norb: int, electrons: int) -> Floats:
    """Average occupancies of one spin's orbitals that `sbd` left: float64 (norb,).

    Raises:
        ValueError: it is cut off, has not a number from 0 to 1 for each orbital, or they do not
            sum to the electrons of that spin.
        FileNotFoundError: there is none.
    """
    found = np.array(_numbers(path, norb))
    if found.min() < -ROUNDING or found.max() > 1 + ROUNDING:
        raise ValueError(
            f"{path.name}: occupancies are from 0 to 1, not {found.min()} to {found.max()}"
        )
    if abs(found.sum() - electrons) > ROUNDING * norb:
        raise ValueError(f"{path.name}: occupancies sum to {found.sum():.6f}, not to {electrons}")
    return found


def last_residual(log: str) -> float:
    """The residual norm of the last Davidson step that a log tells of; NaN if it tells of none."""
    told = _STEP.findall(log)
    try:
        return float(told[-1]) if told else math.nan
    except ValueError:
        return math.nan


def _whole(path: Path, data: bytes, norb: int) -> Strings:
    width = -(-norb // 8)
    if not data:
        raise ValueError(f"{path.name} holds no string")
    if len(data) % width:
        raise ValueError(
            f"{path.name}: {len(data)} bytes are no whole number of strings of {norb} orbitals, "
            f"{width} bytes each"
        )
    return np.frombuffer(data, np.uint8).reshape(-1, width)


def _require_clear(path: Path, spare: Strings, norb: int) -> None:
    if spare.any():
        which = int(np.flatnonzero(spare.any(axis=1))[0])
        raise ValueError(f"{path.name}: string {which} has a bit set beyond its {norb} orbitals")


def _numbers(path: Path, count: int) -> list[float]:
    text = path.read_text(errors="replace")
    lines = text.splitlines()
    if not text.endswith("\n"):
        raise ValueError(f"{path.name} is cut off: its last line has no end")
    if len(lines) != count:
        raise ValueError(f"{path.name} has {len(lines)} lines, not {count}")
    return [_number(path, line) for line in lines]


def _number(path: Path, line: str) -> float:
    try:
        number = float(line)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{path.name}: {line[:40]!r} is no finite number")
    return number

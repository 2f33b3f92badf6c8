"""The files of DICE: strings and settings go in; energy, density and amplitudes come out.

Strings are here what they are everywhere: uint8 (strings, ceil(norb / 8)), big-endian and
right-aligned, bit p is orbital p. A file of determinants has the same number in 16 bytes for each.
`shci.e` is one double of 8 bytes. `spin1RDM.0.0.txt` has the number of spin orbitals on its first line,
then lines `i j value`, where i = 2p is orbital p of alpha and 2p + 1 of beta; what is below 1e-6 is
left out. `dets.bin` has two int32, the number of records and that of orbitals, then records of a
double and a letter for each orbital, from the first: 2, a, b, or 0 where neither spin is in it.
Numbers in files of bytes are little-endian, but for the strings. (Source: qiskit-addon-dice-solver
at 7ebea2d, `dice_solver.py` and `lib.rs`; the DICE that it builds, `SHCI.cpp` and `SHCIrdm.cpp`.)
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import numpy.typing as npt

from qcsc_algorithms.sqd.determinants.configurations import (
    Floats,
    Strings,
    pack,
    unique_rows,
    unpack,
)
from qcsc_loop.concurrency.whole_file import write_whole

WIDTH = 16  # bytes of a string
MAX_ORBITALS = 8 * WIDTH
MAX_DETERMINANTS = 2**31 - 1  # as an int32 counts them
HEAD = 8  # bytes before the records of amplitudes
ROUNDING = 1e-6  # of a density's elements: smaller ones are left out
CHUNK = 1 << 20  # records that are read at once
_HEAD = np.dtype("<i4")
_LETTERS = np.frombuffer(b"0ab2", np.uint8)  # 1 for alpha, 2 for beta
_NO_LETTER = 255
_CODES = np.full(256, _NO_LETTER, np.uint8)
_CODES[_LETTERS] = np.arange(4)


def write_strings(path: Path, strings: Strings) -> None:
    """Writes strings of up to 128 orbitals as DICE reads them; the file appears whole."""
    wide = np.zeros((len(strings), WIDTH), np.uint8)
    wide[:, WIDTH - strings.shape[1] :] = strings
    with write_whole(path) as file:
        file.write(wide.tobytes())


def read_strings(path: Path, norb: int) -> Strings:
    """What `write_strings` wrote: uint8 (strings, ceil(norb / 8)).

    Raises:
        ValueError: it is cut off or empty.
        FileNotFoundError: there is none.
    """
    data = path.read_bytes()
    if not data or len(data) % WIDTH:
        raise ValueError(f"{path.name}: {len(data)} bytes are no strings of {WIDTH} bytes each")
    wide = np.frombuffer(data, np.uint8).reshape(-1, WIDTH)
    return np.ascontiguousarray(wide[:, WIDTH - -(-norb // 8) :])


def settings_text(electrons: int, determinants: int, tolerance: float) -> str:
    """The `input.dat` of one diagonalisation of just the determinants that are given.

    Args:
        tolerance: of the residual's norm, in hartree.
    """
    lines = [
        "nroots 1",
        "orbitals fcidump.txt",
        "schedule",
        f"0 {MAX_DETERMINANTS}",  # a threshold that no further determinant is above
        "end",
        f"davidsonTol {tolerance!r}",
        "dE 1e-10",
        "maxiter 1",
        "noio",
        "seed 1",  # it starts at random; by the clock where it is not told
        f"writeBestDeterminants {determinants}",
        "nPTiter 0",
        "DoSpinRDM",
        "DoRDM",
        "DoSpinOneRDM",
        "DoOneRDM",
        f"nocc {electrons}",
        " ".join(str(orbital) for orbital in range(electrons)),  # has to be there, and is not used
        "end",
    ]
    return "\n".join(lines) + "\n"


def write_energy(path: Path, energy: float) -> None:
    """Writes an energy as DICE does."""
    path.write_bytes(np.array(energy, "<f8").tobytes())


def read_energy(path: Path) -> float:
    """The energy that DICE left, in hartree.

    Raises:
        ValueError: it is not one finite number.
        FileNotFoundError: there is none.
    """
    data = path.read_bytes()
    if len(data) != 8:
        raise ValueError(f"{path.name}: {len(data)} bytes are not one energy, which has 8")
    energy = float(np.frombuffer(data, "<f8")[0])
    if not math.isfinite(energy):
        raise ValueError(f"{path.name}: {energy} is no finite energy")
    return energy


def write_density(path: Path, density: Floats) -> None:
    """Writes <a+(p) a(q)> of each spin, float64 (2, norb, norb), as DICE does: 8 digits."""
    spins, norb, _ = density.shape
    lines = [f"{spins * norb}"]
    for i in range(spins * norb):
        for j in range(i % 2, spins * norb, 2):
            value = density[i % 2, i // 2, j // 2]
            if abs(value) > ROUNDING:
                lines.append(f"{i:3d}   {j:3d}   {value:10.8g}")
    path.write_text("\n".join(lines) + "\n")


def read_density(path: Path, norb: int, electrons: tuple[int, int]) -> Floats:
    """<a+(p) a(q)> of each spin that DICE left: float64 (2, norb, norb).

    Raises:
        ValueError: it is cut off, or of another number of orbitals or electrons.
        FileNotFoundError: there is none.
    """
    text = path.read_text(errors="replace")
    lines = text.splitlines()
    if not text.endswith("\n"):
        raise ValueError(f"{path.name} is cut off: its last line has no end")
    if lines[0].strip() != str(2 * norb):
        raise ValueError(f"{path.name} is of {lines[0][:40]!r} spin orbitals, not of {2 * norb}")
    density = np.zeros((2, norb, norb))
    for line in lines[1:]:
        i, j, value = _element(path, line, 2 * norb)
        if i % 2 == j % 2:
            density[i % 2, i // 2, j // 2] = value
    for spin, occupancies, count in zip(
        ("alpha", "beta"), np.diagonal(density, axis1=1, axis2=2), electrons, strict=True
    ):
        if occupancies.min() < -ROUNDING or occupancies.max() > 1 + ROUNDING:
            worst = max(occupancies, key=lambda value: abs(value - 0.5))
            raise ValueError(f"{path.name}: an occupancy is from 0 to 1, not {worst}")
        if abs(occupancies.sum() - count) > 2 * ROUNDING * norb:
            found = f"{occupancies.sum():.6f}"
            raise ValueError(f"{path.name}: {spin} occupancies sum to {found}, not to {count}")
    return density


def amplitudes_size(determinants: int, norb: int) -> int:
    """Bytes of a file of so many amplitudes."""
    return HEAD + determinants * _record(norb).itemsize


def write_amplitudes(
    path: Path, amplitudes: Floats, strings: tuple[Strings, Strings], norb: int
) -> None:
    """Writes amplitudes as DICE does, the largest first.

    Args:
        amplitudes: float64 (beta strings, alpha strings).
        strings: alpha and beta.
    """
    alpha, beta = (unpack(rows, norb).astype(np.intp) for rows in strings)
    records = np.empty(amplitudes.shape, _record(norb))
    records["amplitude"] = amplitudes
    records["letters"] = _LETTERS[alpha[None, :] + 2 * beta[:, None]]
    order = np.argsort(-np.abs(amplitudes).ravel(), kind="stable")
    head = np.array([amplitudes.size, norb], _HEAD)
    path.write_bytes(head.tobytes() + records.ravel()[order].tobytes())


def read_amplitudes(path: Path, strings: tuple[Strings, Strings], norb: int) -> Floats:
    """The amplitudes that DICE left, normalised: float64 (beta strings, alpha strings).

    Args:
        strings: alpha and beta, in whose order the amplitudes are.

    Raises:
        ValueError: it is cut off, or of another subspace.
        FileNotFoundError: there is none.
    """
    shape = len(strings[1]), len(strings[0])
    found, seen = np.zeros(shape), np.zeros(shape, bool)
    with path.open("rb") as file:
        _require_whole(path, file.read(HEAD), found.size, norb)
        for _ in range(0, found.size, CHUNK):
            records = np.frombuffer(file.read(CHUNK * _record(norb).itemsize), _record(norb))
            alpha, beta = _spins(path, records["letters"])
            where = _places(path, strings[1], beta), _places(path, strings[0], alpha)
            found[where], seen[where] = records["amplitude"], True
    if not seen.all():
        raise ValueError(f"{path.name} lacks {np.sum(~seen)} determinants, and has others twice")
    norm = np.linalg.norm(found)
    if not 0 < norm < np.inf:
        raise ValueError(f"{path.name}: its amplitudes have the norm {norm}")
    return np.asarray(found / norm)


def _record(norb: int) -> np.dtype[np.void]:
    return np.dtype([("amplitude", "<f8"), ("letters", "u1", (norb,))])


def _require_whole(path: Path, head: bytes, count: int, norb: int) -> None:
    size = path.stat().st_size
    if len(head) < HEAD:
        raise ValueError(f"{path.name} is cut off: {size} bytes are less than its head of {HEAD}")
    said = tuple(int(number) for number in np.frombuffer(head, _HEAD))
    if said != (count, norb):
        raise ValueError(
            f"{path.name} is of {said[0]} determinants of {said[1]} orbitals, not of {count} of {norb}"
        )
    if size != amplitudes_size(count, norb):
        raise ValueError(
            f"{path.name} has {size} bytes, and {count} determinants of {norb} orbitals have "
            f"{amplitudes_size(count, norb)}"
        )


def _spins(path: Path, letters: Strings) -> tuple[Strings, Strings]:
    """The alpha and beta strings of determinants in letters (determinants, norb)."""
    codes = _CODES[letters]
    if (strange := letters[codes == _NO_LETTER]).size:
        letter = chr(strange[0])
        raise ValueError(f"{path.name}: an orbital has the letter {letter!r}, not 0, a, b or 2")
    return pack(codes % 2 == 1), pack(codes >= 2)


def _places(path: Path, known: Strings, rows: Strings) -> npt.NDArray[np.intp]:
    """Where each of the rows stands among known strings."""
    distinct, _, which = unique_rows(np.concatenate([known, rows]))
    if len(distinct) > len(known):
        raise ValueError(f"{path.name} has strings that are not in the subspace")
    position = np.empty(len(known), np.intp)
    position[which[: len(known)]] = np.arange(len(known))
    return position[which[len(known) :]]


def _element(path: Path, line: str, spin_orbitals: int) -> tuple[int, int, float]:
    try:
        first, second, value = line.split()
        i, j, number = int(first), int(second), float(value)
    except ValueError:
        i, j, number = 0, 0, math.nan
    if not (math.isfinite(number) and 0 <= i < spin_orbitals and 0 <= j < spin_orbitals):
        why = "no two spin orbitals and a number"
        raise ValueError(f"{path.name}: the line {line[:40]!r} is {why}")
    return i, j, number

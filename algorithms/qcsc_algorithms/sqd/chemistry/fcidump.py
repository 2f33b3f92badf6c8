"""FCIDUMP files of any program: read whole and sure, or refused in a sentence.

The format is Knowles and Handy's (Comput. Phys. Commun. 54, 75, 1989): a Fortran namelist, then
lines of an integral and four indices. What programs make of it differs in what may be left out, in
the order of lines, and in lines that are no integrals of the Hamiltonian.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

SAME = 1e-7  # hartree: two values of one integral that differ by rounding
FALSE = {"", "0", ".FALSE.", "F", ".F.", "FALSE"}
_HEADER = re.compile(r"[&$]\s*FCI\b(.*?)(?:[&$]\s*END\b|^\s*/|/\s*$)(.*)", re.S | re.I | re.M)
_NAME = re.compile(r"([A-Za-z]\w*)\s*(?:\(\s*\d+\s*\))?\s*=")
_NO_LETTER = re.compile(
    r"(?<=[\d.])([+-]\d+)$"
)  # Fortran leaves the E out of three-digit exponents


class Integrals(NamedTuple):
    """What a file says.

    Attributes:
        electrons: of each spin.
        constant: the energy of the line without indices, 0 if there is none.
        one_body: float64 (norb, norb).
        two_body: each of eight equal ones once.
        symmetry: int64 (norb,), the ORBSYM; empty if there is none.
    """

    electrons: tuple[int, int]
    constant: float
    one_body: Floats
    two_body: Floats
    symmetry: npt.NDArray[np.int64]


def read_integrals(path: Path) -> Integrals:
    """The integrals of a file over real orbitals common to both spins.

    Raises:
        ValueError: it cannot be read, or something else may be meant than what it says.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no FCIDUMP: it is no text") from error
    try:
        return _integrals(text)
    except ValueError as error:
        raise ValueError(f"{path} {error}") from error


def _integrals(text: str) -> Integrals:
    lines = [line.partition("!")[0] for line in text.splitlines()]
    plain = "\n".join("" if line.lstrip().startswith("#") else line for line in lines)
    found = _HEADER.search(plain)
    if found is None:
        raise ValueError("is no FCIDUMP: it has no &FCI ... &END at its head")
    header, body = _names(found.group(1)), found.group(2)
    norb = _number(header, "NORB")
    electrons = _electrons(header, norb)
    values, indices = _table(body, norb, plain[: found.start(2)].count("\n") + 1)
    _require_whole(indices, norb, text.endswith(("\n", "\r")))
    symmetry = _repeated(header.get("ORBSYM", ""))
    if len(symmetry) not in (0, norb):
        raise ValueError(f"says the ORBSYM of {len(symmetry)} orbitals, and has {norb}")
    return Integrals(
        electrons,
        _core(values, indices),
        _one_body(values, indices, norb),
        _two_body(values, indices, norb),
        np.array(symmetry, np.int64),
    )


# the head


def _names(text: str) -> dict[str, str]:
    """Values by upper-case names."""
    parts = _NAME.split(text)
    return {
        name.upper(): value.strip().strip(",").strip()
        for name, value in zip(parts[1::2], parts[2::2], strict=True)
    }


def _number(header: dict[str, str], name: str, default: int | None = None) -> int:
    said = header.get(name, "")
    if not said and default is not None:
        return default
    try:
        return int(said.split(",")[0])
    except ValueError as error:
        raise ValueError(f"is no FCIDUMP: its {name} is {said!r}, no number") from error


def _electrons(header: dict[str, str], norb: int) -> tuple[int, int]:
    for name in ("UHF", "IUHF", "TREL", "COMPLEX"):
        if header.get(name, "").upper() not in FALSE:
            raise ValueError(
                f"says {name}={header[name]}: UHF integrals cannot be read, nor complex ones; write "
                "integrals over real orbitals common to both spins"
            )
    total = _number(header, "NELEC")
    twice_spin = _number(header, "MS2", total % 2)
    if norb < 1 or (total + twice_spin) % 2 or abs(twice_spin) > min(total, 2 * norb - total):
        raise ValueError(
            f"says {total} electrons with MS2={twice_spin} in {norb} orbitals, which do not go there"
        )
    return (total + twice_spin) // 2, (total - twice_spin) // 2


def _repeated(said: str) -> list[int]:
    """Fortran's list, in which 3*1 is 1, 1, 1."""
    labels: list[int] = []
    for word in re.split(r"[,\s]+", said):
        count, star, label = word.rpartition("*")
        if word:
            labels += [_label(label)] * (_label(count) if star else 1)
    return labels


def _label(word: str) -> int:
    if not word.isdecimal():
        raise ValueError(f"has {word!r} in its ORBSYM, no number")
    return int(word)


# the lines


def _table(body: str, norb: int, before: int) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Values, and indices (lines, 4), in the order of the file."""
    rows = list(_rows(body, before))
    if not rows:
        raise ValueError("is no FCIDUMP: no integrals follow its head")
    values = np.array([_value(row[0], row[5]) for row in rows])
    try:
        indices = np.array([row[1:5] for row in rows]).astype(np.int64)
    except ValueError as error:
        raise ValueError("is no FCIDUMP: indices of its integrals are no numbers") from error
    if not np.all(np.isfinite(values)):
        raise ValueError("has integrals that are not finite")
    wrong = np.flatnonzero(((indices < 0) | (indices > norb)).any(axis=1))
    if len(wrong):
        raise ValueError(f"has the orbitals {indices[wrong[0]].tolist()}, and NORB={norb}")
    return values, indices


def _rows(body: str, before: int) -> Iterator[list[str]]:
    """Five words, and the line's number."""
    for number, line in enumerate(body.split("\n"), before):
        words = line.split()
        if not words:
            continue
        if words[0].startswith("("):
            raise ValueError(f"has complex integrals, as in line {number}: they cannot be read")
        if len(words) != 5:
            raise ValueError(
                f"is no whole FCIDUMP: line {number} is no integral and four indices: "
                f"{line.strip()[:60]!r}"
            )
        yield [*words, str(number)]


def _value(word: str, number: str) -> float:
    plain = word.upper().replace("D", "E")
    try:
        return float(plain if "E" in plain else _NO_LETTER.sub(r"E\1", plain))
    except ValueError as error:
        raise ValueError(f"is no FCIDUMP: in line {number}, {word!r} is no number") from error


def _core(values: Floats, indices: npt.NDArray[np.int64]) -> float:
    """Of the one line without indices; those with one are orbital energies, for people."""
    (where,) = np.nonzero(~indices.any(axis=1))
    if len(where) > 1 and np.ptp(values[where]) > SAME:
        said = ", ".join(f"{value:.9g}" for value in values[where])
        raise ValueError(
            f"has {len(where)} lines without indices, of {said}: which is the core energy? "
            "UHF files have several, and cannot be read"
        )
    return float(values[where[0]]) if len(where) else 0.0


def _one_body(values: Floats, indices: npt.NDArray[np.int64], norb: int) -> Floats:
    chosen = (indices[:, :2] > 0).all(axis=1) & (indices[:, 2:] == 0).all(axis=1)
    p, q = (indices[chosen, :2] - 1).T
    matrix = np.full((norb, norb), np.nan)
    _set_once(matrix, (np.maximum(p, q), np.minimum(p, q)), values[chosen], "one-electron")
    lower: Floats = np.nan_to_num(matrix)
    whole: Floats = lower + np.tril(lower, -1).T
    return whole


def _require_whole(indices: npt.NDArray[np.int64], norb: int, whole_line: bool) -> None:
    """Refuses a file that was cut off, as far as that can be seen.

    Zeros may be left out. But a line without indices at the end says that nothing is missing; and
    without it, blocks of integrals end with the last orbital's.
    """
    one, two = indices[(indices[:, 1] > 0) & (indices[:, 2] == 0), :2], indices[indices[:, 3] > 0]
    used = np.unique(two)
    lost = used[~np.isin(used, one)]
    integrals = indices[(indices[:, 1] > 0) | ~indices.any(axis=1)]
    ended = len(integrals) > 0 and not integrals[-1].any()
    cut = not ended and (not whole_line or _lacks_its_last(one, norb) or _lacks_its_last(two, norb))
    if len(lost) or cut:
        which = (
            f"orbital {lost[0]} has no one-electron integrals"
            if len(lost)
            else "the last are missing"
        )
        raise ValueError(f"is no whole FCIDUMP: {which}; was it cut off?")


def _lacks_its_last(block: npt.NDArray[np.int64], norb: int) -> bool:
    """Whether all orbitals but the last one have an integral with themselves, more than one."""
    alone = np.unique(block[(block == block[:, :1]).all(axis=1)]) if len(block) else block
    return norb > 2 and np.array_equal(alone, np.arange(1, norb))  # 1: an impurity's repulsion


def _two_body(values: Floats, indices: npt.NDArray[np.int64], norb: int) -> Floats:
    some = (indices > 0).sum(axis=1)
    wrong = (some == 3) | ((some == 2) & ~(indices[:, :2] > 0).all(axis=1))
    wrong |= (some == 1) & (indices[:, 0] == 0)
    if wrong.any():
        raise ValueError(f"has a line with the indices {indices[wrong][0].tolist()}")
    chosen = some == 4
    p, q, r, s = (indices[chosen] - 1).T
    bra, ket = _pair(p, q), _pair(r, s)
    count = norb * (norb + 1) // 2
    packed = np.full(count * (count + 1) // 2, np.nan)
    _set_once(packed, (_pair(bra, ket),), values[chosen], "two-electron")
    whole: Floats = np.nan_to_num(packed)
    return whole


def _pair(p: npt.NDArray[np.int64], q: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    high, low = np.maximum(p, q), np.minimum(p, q)
    pair: npt.NDArray[np.int64] = high * (high + 1) // 2 + low
    return pair


def _set_once(
    target: Floats, where: tuple[npt.NDArray[np.int64], ...], values: Floats, kind: str
) -> None:
    """Writes values; equal ones may come twice, as files without the symmetry have them."""
    target[where] = values
    off = np.abs(target[where] - values)
    if (off > SAME).any():
        first = int(np.flatnonzero(off > SAME)[0])
        raise ValueError(
            f"says a {kind} integral twice, as {values[first]:.9g} and as "
            f"{target[where][first]:.9g}: it is not of real orbitals common to both spins"
        )

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

from qcsc_algorithms.sqd.chemistry.fcidump_lines import (
    SAME,
    Floats,
    one_body,
    require_known_lines,
    two_body,
)
from qcsc_algorithms.sqd.chemistry.fcidump_spins import spin_integrals
from qcsc_algorithms.sqd.chemistry.fcidump_whole import require_whole
from qcsc_algorithms.sqd.chemistry.unrestricted import BetaIntegrals

_CONTROL = bytes({*range(32)} - set(b"\t\n\v\f\r\x1a"))  # no text has them
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
        symmetry: int64 (norb,), the ORBSYM; empty if there is none, or the spins' orbitals differ.
        beta: of beta orbitals, where these differ from alpha's, whose the others are then.
        remarks: what may be missing.
    """

    electrons: tuple[int, int]
    constant: float
    one_body: Floats
    two_body: Floats
    symmetry: npt.NDArray[np.int64]
    beta: BetaIntegrals | None = None
    remarks: tuple[str, ...] = ()


def read_integrals(path: Path) -> Integrals:
    """The integrals of a file over real orbitals, common to both spins or of each.

    Raises:
        ValueError: it cannot be read, or something else may be meant than what it says.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from error
    try:
        found = _integrals(_text(content))
    except ValueError as error:
        raise ValueError(f"{path} {error}") from error
    return found._replace(remarks=tuple(f"{path}: {remark}" for remark in found.remarks))


def _text(content: bytes) -> str:
    """Comments may be in any encoding that has ASCII in it; what is read is ASCII."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if content.translate(None, _CONTROL) != content:
            raise ValueError("is no FCIDUMP: it is no text") from error
        return content.decode("ascii", "replace")


def _integrals(text: str) -> Integrals:
    lines = [line.partition("!")[0] for line in text.splitlines()]
    plain = "\n".join("" if line.lstrip().startswith("#") else line for line in lines)
    found = _HEADER.search(plain)
    if found is None:
        raise ValueError("is no FCIDUMP: it has no &FCI ... &END at its head")
    header, body = _names(found.group(1)), found.group(2)
    _require_real(header)
    norb = _number(header, "NORB")
    unrestricted = any(header.get(name, "").upper() not in FALSE for name in ("UHF", "IUHF"))
    most = 2 * norb if unrestricted else norb
    values, indices = _table(body, most, plain[: found.start(2)].count("\n") + 1)
    require_known_lines(indices)
    ended = text.endswith(("\n", "\r"))
    if unrestricted:
        said = spin_integrals(values, indices, norb, ended)
        electrons = _electrons(header, len(said.one_body))
        core = said.constant if said.constant is not None else _core(values, indices)
        none = np.empty(0, np.int64)
        return Integrals(
            electrons, core, said.one_body, said.two_body, none, said.beta, said.remarks
        )
    electrons = _electrons(header, norb)
    remarks = require_whole(values, indices, norb, ended)
    symmetry = _repeated(header.get("ORBSYM", ""))
    if len(symmetry) not in (0, norb):
        raise ValueError(f"says the ORBSYM of {len(symmetry)} orbitals, and has {norb}")
    return Integrals(
        electrons,
        _core(values, indices),
        one_body(values, indices, norb),
        two_body(values, indices, norb),
        np.array(symmetry, np.int64),
        remarks=remarks,
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


def _require_real(header: dict[str, str]) -> None:
    for name in ("TREL", "COMPLEX"):
        if header.get(name, "").upper() not in FALSE:
            raise ValueError(
                f"says {name}={header[name]}: complex integrals cannot be read; write integrals over "
                "real orbitals"
            )


def _electrons(header: dict[str, str], norb: int) -> tuple[int, int]:
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
            "Files with orbitals of each spin have several, and say UHF=.TRUE. or IUHF=1"
        )
    return float(values[where[0]]) if len(where) else 0.0

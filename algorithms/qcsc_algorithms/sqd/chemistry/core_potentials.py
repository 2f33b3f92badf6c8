"""Effective core potentials: those that a basis is made for, and whether it can do without."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from typing import Any

import numpy as np

FAMILIES = {  # potentials that pyscf has under another name than the bases made for them
    r"ccecp(he|reg|28|36)?(aug)?ccpv.z": r"ccecp\1",
    r"bfdv.z": "bfd",
    r"(?:aug)?ccp(?:wc)?v(.)zpp": r"cc-pv\1z-pp",
    r"(?:ma)?def2.*": "def2-svp",
    r"qavgvszps?": "ecp-q-vszp",
}
OFFERED = ("bfd", "ccecp", "cc-pvdz-pp", "def2-svp", "lanl2dz", "sbkjc", "stuttgart", "crenbl")
CORE = 2  # electrons: lighter elements have valence only
HELD = 0.93  # of 1s in pyscf's bases for all electrons, relativistic ones too: 0.946 to 1
SCREENED = 0.3  # of the nucleus, by the other 1s electron (Slater)
FITTED_FOR = 1.24  # STO-6G's exponent for hydrogen


def basis_potentials(basis: str, elements: set[str]) -> dict[str, str]:
    """By element, what pyscf calls the potentials that the basis is made for."""
    names = [*_family(basis), basis]  # its own, which is last, wins
    return {element: name for element in sorted(elements) for name in names if _has(name, element)}


def text_potentials(text: str, elements: set[str]) -> dict[str, str]:
    """By element, the potentials of a text. pyscf gives those of one to all others, too."""
    return {element: text for element in sorted(elements) if _has(text, element)}


def require_core(molecule: Any, basis: str, ecp: str | None) -> None:
    """Refuses atoms whose core electrons have neither functions nor a potential.

    Raises:
        ValueError: it says which potentials there are.
    """
    for atom in range(molecule.natm):
        symbol = str(molecule.atom_symbol(atom))
        element = str(molecule.atom_pure_symbol(atom))
        bare = symbol not in molecule._ecp and molecule.atom_charge(atom) > CORE
        if bare and _held(molecule._basis[symbol], int(molecule.atom_charge(atom))) < HELD:
            missing = (
                "no core potential is known for it" if ecp is None else f"ecp={ecp!r} has none"
            )
            offered = ", ".join(name for name in OFFERED if _has(name, element))
            raise ValueError(
                f"the basis {basis} has no functions for the core electrons of {element}, and "
                f"{missing}; give the one that the basis is made for as ecp (pyscf has "
                f"{offered or 'none by name'} for {element}), or a basis for all electrons"
            )


def _family(basis: str) -> Iterator[str]:
    plain = re.sub(r"[-_ ]", "", basis.partition("@")[0].lower()).removeprefix("unc")
    for pattern, name in FAMILIES.items():
        if (match := re.fullmatch(pattern, plain)) is not None:
            yield match.expand(name)


@cache
def _has(name: str, element: str) -> bool:
    from pyscf import gto

    read = gto.basis.parse_ecp if "\n" in name else gto.basis.load_ecp
    with suppress(Exception):  # it raises many kinds where there is none
        return bool(read(name, element))
    return False


def _held(shells: Any, charge: int) -> float:
    """How much of a 1s orbital the basis describes, from 0 to 1."""
    from pyscf import gto

    own = [shell for shell in shells if shell[0] == 0]
    if not own:
        return 0.0
    scale = ((charge - SCREENED) / FITTED_FOR) ** 2
    core = [[0, *([exponent * scale, c] for exponent, c in gto.basis.load("sto-6g", "H")[0][1:])]]
    pair: Any = gto.M(
        atom="ghost-H1 0 0 0; ghost-H2 0 0 0",
        basis={"ghost-H1": own, "ghost-H2": core},
        verbose=0,
    )
    overlap = pair.intor("int1e_ovlp")
    inside, across = overlap[:-1, :-1], overlap[:-1, -1]
    weights = np.linalg.lstsq(inside, across, rcond=1e-9)[0]
    return float(across @ weights / overlap[-1, -1])

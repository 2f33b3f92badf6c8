"""How many strings a Hamiltonian leads to from one, and how many of them are held."""

from __future__ import annotations

import math

MAX_EXCITATIONS = 2**24  # of the strings of one spin: some 80 bytes each


def count_excitations(electrons: int, norb: int) -> int:
    """How many strings of one spin differ from one in the place of one electron, or of two."""
    holes = norb - electrons
    return electrons * holes + math.comb(electrons, 2) * math.comb(holes, 2)


def require_holdable(strings: int, electrons: int, norb: int) -> None:
    """Refuses so many strings of one spin that what the Hamiltonian leads to is too much.

    Raises:
        ValueError: it is; the message says how many strings would do.
    """
    each = count_excitations(electrons, norb)
    if strings * each > MAX_EXCITATIONS:
        raise ValueError(
            "a variance takes all single and double excitations of each string: of "
            f"{strings:,} strings of {electrons} electrons in {norb} orbitals these are "
            f"{strings * each:,}, and at most {MAX_EXCITATIONS:,} are held; take at most "
            f"{MAX_EXCITATIONS // each:,} strings"
        )

"""What has to hold of integrals, strings and a spin: no solver looks again.

Compiled loops read where strings and integrals say, and a state that there cannot be comes out of
them as any other.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from qcsc_algorithms.sqd.chemistry.hamiltonian import Hamiltonian
from qcsc_algorithms.sqd.determinants.configurations import Strings, unique_rows, unpack
from qcsc_algorithms.sqd.determinants.subspace import Subspace

SYMMETRIC = 1e-6  # hartree: by how much elements may differ that are the same
NO_SPIN = 1e-6  # values of S^2 that differ by less are the same
TOLD = 6  # values of S^2 that a sentence names


def require_hamiltonian(hamiltonian: Hamiltonian) -> None:
    """Refuses integrals and electrons that are no Hamiltonian's.

    Raises:
        ValueError: they are not; the message says what they are.
    """
    norb = hamiltonian.norb
    require_electrons(hamiltonian.electrons, norb)
    if not math.isfinite(hamiltonian.constant):
        raise ValueError(f"constant: it is a finite number of hartree, not {hamiltonian.constant}")
    pairs = max(norb, 0) * (norb + 1) // 2
    packed = pairs * (pairs + 1) // 2
    told = [("", hamiltonian.one_body, hamiltonian.two_body)]
    if hamiltonian.beta is not None:
        told.append(("beta.", hamiltonian.beta.one_body, hamiltonian.beta.two_body))
        require_real("beta.mixed", np.asarray(hamiltonian.beta.mixed), (pairs, pairs), norb)
    for spin, one_body, two_body in told:
        require_real(f"{spin}one_body", np.asarray(one_body), (norb, norb), norb)
        require_symmetric(f"{spin}one_body", np.asarray(one_body), (1, 0))
        require_real(
            f"{spin}two_body",
            np.asarray(two_body),
            (packed,),
            norb,
            "each of eight equal ones once, as pyscf's ao2mo.restore(8, two_body, norb) packs them",
        )


def require_electrons(electrons: tuple[int, int], norb: int) -> None:
    """Refuses numbers of electrons that the orbitals cannot have.

    Raises:
        ValueError: they cannot.
    """
    if norb < 1:
        raise ValueError(f"norb: there is at least one orbital, not {norb}")
    for spin, count in zip(("alpha", "beta"), electrons, strict=True):
        if not 0 <= count <= norb:
            raise ValueError(
                f"num_{spin}: {norb} orbitals have 0 to {norb} electrons of a spin, not {count}"
            )


def require_real(
    name: str, integrals: npt.NDArray[Any], shape: tuple[int, ...], norb: int, how: str = ""
) -> None:
    """Refuses integrals that are not real and finite, or of another shape.

    Raises:
        ValueError: they are not.
    """
    if integrals.shape != shape:
        more = f", {how}" if how else ""
        raise ValueError(
            f"{name}: the integrals of {norb} orbitals are of the shape {shape}{more}, and these are "
            f"{integrals.shape}"
        )
    if integrals.dtype.kind not in "fiu":
        raise ValueError(
            f"{name}: integrals over real orbitals are real numbers, and these are "
            f"{integrals.dtype}; give their real part, if the imaginary one is nothing"
        )
    if not np.all(np.isfinite(integrals)):
        raise ValueError(f"{name}: integrals are finite, and some of these are not")


def require_symmetric(name: str, integrals: npt.NDArray[Any], *orders: tuple[int, ...]) -> None:
    """Refuses integrals that are others once their orbitals are exchanged.

    Raises:
        ValueError: they are.
    """
    for order in orders:
        off = float(np.abs(integrals - integrals.transpose(order)).max(initial=0))
        if off > SYMMETRIC:
            raise ValueError(
                f"{name}: integrals over real orbitals are symmetric in their orbitals, and these are "
                f"off by {off:.2g} hartree; make them symmetric first"
            )


def require_subspace(hamiltonian: Hamiltonian, subspace: Subspace) -> None:
    """Refuses strings that are none of the Hamiltonian's electrons in its orbitals.

    Raises:
        ValueError: they are not.
    """
    for spin, strings, electrons in zip(
        ("alpha", "beta"), (subspace.alpha, subspace.beta), hamiltonian.electrons, strict=True
    ):
        require_strings(spin, np.asarray(strings), electrons, hamiltonian.norb)


def require_strings(spin: str, strings: Strings, electrons: int, norb: int) -> None:
    """Refuses what are no distinct strings of so many electrons.

    Raises:
        ValueError: they are not.
    """
    width = -(-norb // 8)
    if strings.ndim != 2 or strings.shape[1] != width or strings.dtype != np.uint8:
        raise ValueError(
            f"{spin} strings of {norb} orbitals are uint8 (strings, {width}), not {strings.dtype} "
            f"{strings.shape}"
        )
    if not len(strings):
        raise ValueError(f"there is no {spin} string, and a space has one at least")
    if len(unique_rows(strings)[0]) != len(strings):
        raise ValueError(
            f"{spin} strings are distinct, and some of these {len(strings)} are not: give each once"
        )
    bits = unpack(strings, width * 8)
    if np.any(bits.sum(axis=1) != electrons) or np.any(bits[:, norb:]):
        raise ValueError(
            f"each {spin} string has {electrons} electrons in {norb} orbitals, and some of these "
            "have not: leave those out"
        )


def require_spin_square(asked: float, electrons: tuple[int, int], norb: int) -> None:
    """Refuses an S^2 that no state of so many electrons has; NaN asks for none.

    Raises:
        ValueError: none has; the message says which there are.
    """
    if math.isnan(asked):
        return
    unpaired = min(sum(electrons), 2 * norb - sum(electrons))
    spins = [twice / 2 for twice in range(abs(electrons[0] - electrons[1]), unpaired + 1, 2)]
    squares = [spin * (spin + 1) for spin in spins]
    if any(abs(asked - square) <= NO_SPIN for square in squares):
        return
    few = ", ".join(f"{square:g}" for square in squares[:TOLD])
    many = f", ... up to {squares[-1]:g}" if len(squares) > TOLD else ""
    raise ValueError(
        f"no state of {electrons[0]} alpha and {electrons[1]} beta electrons in {norb} orbitals has "
        f"an S^2 of {asked:g}: it is S (S + 1), here {few}{many}; take {_one_of(squares)}"
    )


def _one_of(squares: list[float]) -> str:
    return "one of these" if len(squares) > 1 else "that"

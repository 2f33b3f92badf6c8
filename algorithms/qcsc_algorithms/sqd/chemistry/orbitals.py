"""Which orbitals a molecule is described in: Hartree-Fock's, and which of them are active."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

SAME = 1e-6  # hartree
FOLLOWED = 5  # instabilities
TOLERANCE = 1e-12  # hartree


class Field(NamedTuple):
    """A converged mean field of pyscf's, and what is to be known of it."""

    mean_field: Any
    remarks: tuple[str, ...] = ()


class Window(NamedTuple):
    """The active part of a molecule's orbitals.

    Attributes:
        coefficients: float64 (atomic orbitals, orbitals), in the order in which they are filled.
        electrons, orbitals: active ones.
    """

    coefficients: Floats
    electrons: int
    orbitals: int


def hartree_fock_field(molecule: Any, *, unrestricted: bool = False) -> Field:
    """Restricted Hartree-Fock, which for open shells is restricted open-shell; or unrestricted.

    What does not converge is tried by second order. An instability is followed where orbitals need
    keep no symmetry; else it is a remark.

    Raises:
        ValueError: it does not converge.
    """
    make = _unrestricted if unrestricted else _restricted
    field = _converged(make(molecule))
    better, stable = _internal_stability(field)
    if stable:
        return Field(field)
    lower = field
    for _ in range(FOLLOWED):
        lower = _converged(make(_without_symmetry(molecule)).newton(), better, field.mo_occ)
        better, stable = _internal_stability(lower)
        if stable:
            break
    gain = float(field.e_tot - lower.e_tot)
    if gain < SAME:
        return Field(field)
    if not molecule.symmetry:
        return Field(lower, () if stable else (_UNSTABLE,))
    return Field(
        field,
        (
            f"Hartree-Fock is not stable: without the molecule's symmetry a determinant is "
            f"{1000 * gain:.3g} mHa lower (system.symmetry=false takes its orbitals); the state is "
            "likely one that no single determinant describes",
        ),
    )


_UNSTABLE = "Hartree-Fock is not stable, and no stable determinant was found"


def _restricted(molecule: Any) -> Any:
    from pyscf import scf

    return scf.RHF(molecule) if molecule.spin == 0 else scf.ROHF(molecule)


def _unrestricted(molecule: Any) -> Any:
    from pyscf import scf

    return scf.UHF(molecule)


def _converged(field: Any, *start: Any) -> Any:
    field.conv_tol = TOLERANCE
    field.kernel(*start)
    if not field.converged:  # by second order, which is slower and surer
        field = field.newton()
        field.conv_tol = TOLERANCE
        field.kernel()
    if not field.converged:
        raise ValueError(
            "Hartree-Fock did not converge for this geometry; check it, or compute the "
            "integrals yourself and give an FCIDUMP file"
        )
    return field


def _internal_stability(field: Any) -> tuple[Any, bool]:
    """Orbitals that are turned where the energy falls, and whether it falls nowhere.

    By rotations of orbitals of any symmetry; those of one symmetry alone cannot see that it breaks.
    """
    from pyscf.scf import stability

    check: Any = stability.rhf_internal if field.mol.spin == 0 else stability.rohf_internal
    if np.ndim(field.mo_occ) == 2:
        check = stability.uhf_internal
    if not np.any(field.mo_occ == 0):  # nothing to turn into
        return field.mo_coeff, True
    orbitals, stable = check(field, with_symmetry=False, return_status=True)
    return orbitals, bool(stable)


def _without_symmetry(molecule: Any) -> Any:
    plain = molecule.copy()
    plain.symmetry = False
    return plain.build(dump_input=False, parse_arg=False)


def natural_orbitals(field: Any) -> Floats:
    """Orbitals of second-order perturbation theory, within those that are filled, half filled, empty.

    Filled ones in order of falling occupation, so empty ones: those that correlation changes most
    are next to the Fermi level. The determinant stays Hartree-Fock's.

    Raises:
        ValueError: perturbation theory has no answer in these orbitals.
    """
    from pyscf import mp

    method: Any = mp.MP2(field)
    method.verbose = 0
    with np.errstate(all="ignore"):
        method.kernel()
        density = np.asarray(method.make_rdm1())
    density = density.sum(axis=0) if density.ndim == 3 else density
    if not np.all(np.isfinite(density)):
        raise ValueError(
            "MP2 gives no natural orbitals here, since orbitals are degenerate at the Fermi level; "
            'take active_space.choice = "fermi"'
        )
    coefficients, occupations = np.asarray(field.mo_coeff), np.asarray(field.mo_occ)
    kinds = np.asarray(getattr(field.mo_coeff, "orbsym", np.zeros(len(occupations), int)))
    parts: list[Floats] = []
    for filling in (2, 1, 0):
        inside = occupations == filling
        turned = [
            _turned(coefficients, density, inside & (kinds == kind)) for kind in np.unique(kinds)
        ]
        levels = np.concatenate([occupation for occupation, _ in turned])
        every = np.concatenate([orbitals for _, orbitals in turned], axis=1)
        parts.append(every[:, np.argsort(-levels, kind="stable")])
    return np.concatenate(parts, axis=1)


def _turned(
    coefficients: Floats, density: Floats, chosen: npt.NDArray[np.bool_]
) -> tuple[Floats, Floats]:
    occupation, vectors = np.linalg.eigh(density[np.ix_(chosen, chosen)])
    return occupation, coefficients[:, chosen] @ vectors


def valence_window(field: Any, labels: Sequence[str], threshold: float) -> Window:
    """The orbitals that overlap with atomic ones (AVAS: Sayfutyarova et al., JCTC 13, 4063, 2017).

    Args:
        labels: of atomic orbitals, as pyscf finds them: "Fe 3d", "N 2p".
        threshold: the least overlap.

    Raises:
        ValueError: none of the molecule's atomic orbitals are called so.
    """
    from pyscf.mcscf import avas

    method: Any = avas.AVAS(field, list(labels), threshold=threshold, verbose=0)
    known = field.mol.ao_labels()
    missing = [label for label in labels if not len(field.mol.search_ao_label(label))]
    if missing:
        first = ", ".join(dict.fromkeys(" ".join(name.split()[1:])[:5].strip() for name in known))
        raise ValueError(
            f"no atomic orbital is called {missing[0]!r}; this molecule's are {first}, as in "
            f"'{known[0].split()[1]} 2p'"
        )
    orbitals, electrons, coefficients = method.kernel()
    return Window(np.asarray(coefficients), int(electrons), int(orbitals))

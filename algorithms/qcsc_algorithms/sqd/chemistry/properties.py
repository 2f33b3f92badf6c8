"""What a state's one-body density says of the molecule, for people to read."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from qcsc_algorithms.sqd.chemistry.hamiltonian import Hamiltonian

Floats = npt.NDArray[np.float64]

DEBYE = 2.541746473  # of an atomic unit of dipole; CODATA 2018: e a0 in C m, over 1e-21 / c


def natural_occupations(density: Floats) -> Floats:
    """Eigenvalues of the density summed over spins, the largest first.

    Args:
        density: float64 (2, norb, norb), <a+(p) a(q)> of alpha and of beta electrons.
    """
    found = np.linalg.eigvalsh(density.sum(axis=0))[::-1]
    return np.asarray(found, np.float64)


def unpaired_electrons(occupations: Floats) -> float:
    """How many electrons are unpaired: the sum of n (2 - n) over natural orbitals.

    Takatsuka, Fueno and Yamaguchi, Theor. Chim. Acta 48, 175 (1978). 0 for one determinant of pairs.
    """
    return float((occupations * (2 - occupations)).sum())


def dipole_moment(hamiltonian: Hamiltonian, density: Floats) -> Floats | None:
    """In debye, float64 (3,); None where the integrals do not tell, as those of a file.

    Of an ion it depends on the origin, which is that of the geometry.
    """
    integrals = np.asarray(hamiltonian.dipole_integrals)
    if not integrals.size:
        return None
    electrons = np.einsum("xpq,pq->x", integrals, density.sum(axis=0))
    moment: Floats = DEBYE * (np.asarray(hamiltonian.fixed_dipole) - electrons)
    return moment

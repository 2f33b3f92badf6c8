"""From energies of states that are not exact to what the energy of an eigenstate would be.

An eigenstate's energy has no variance, and near to it the energy falls in proportion to the variance:
Kashima and Imada, J. Phys. Soc. Jpn. 70, 2287 (2001); of a quantum computer's samples Robledo-Moreno
et al., arXiv:2405.05068. The former divide the variance by the squared energy; here it is not
divided, so that a constant in the Hamiltonian changes nothing.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from qcsc_algorithms.sqd.determinants.subspace import Subspace
from qcsc_algorithms.sqd.solvers.solver import Solution
from qcsc_loop.values.arrays import NDArray
from qcsc_loop.values.record import Record

FEWEST = 3  # points: through two a line has no error
SHARES = (0.25, 0.25 * math.sqrt(2), 0.5, math.sqrt(0.5), 1.0)  # of a subspace's strings
NEARLY_EXACT = 1e-6  # of the largest variance: nothing weighs more than a point that is so near
SAME = 1e-9  # of the largest variance: points that differ by less tell no slope


class Extrapolation(Record):
    """A line through energies, and where it is at variance 0. It is no upper bound.

    Attributes:
        energy: at variance 0, in hartree.
        error: its standard error, in hartree, from how the points scatter about the line. What bends
            the line is not in it: where points are far from variance 0, more is to be expected.
        slope: per hartree.
        energies, variances: float64 (points,), in hartree and hartree^2.
        dimensions: int64 (points,), determinants; empty if not told.
    """

    energy: float
    error: float
    slope: float
    energies: NDArray
    variances: NDArray
    dimensions: NDArray = np.empty(0, np.int64)


def extrapolate(
    energies: npt.ArrayLike, variances: npt.ArrayLike, weights: npt.ArrayLike | None = None
) -> Extrapolation:
    """The line through the points, by weighted least squares.

    >>> from qcsc_algorithms.sqd import extrapolate
    >>> found = extrapolate([-0.9, -0.8, -0.6], [0.1, 0.2, 0.4])
    >>> print(f"{found.energy:.6f} +- {found.error:.6f}")
    -1.000000 +- 0.000000

    Args:
        energies: in hartree, of approximations to one state; three or more.
        variances: in hartree^2, as of `energy_variance`.
        weights: positive ones; None: one over the squared variance, since the farther a point is from
            an eigenstate, the farther it may be from the line.

    Raises:
        ValueError: no line can be drawn through them that has an error.
    """
    y, x = np.array(energies, float), np.array(variances, float)
    _require_points(y, x)
    if weights is None:
        w = np.maximum(x, NEARLY_EXACT * x.max()) ** -2.0
    else:
        w = np.array(weights, float)
        if w.shape != x.shape or not np.all(np.isfinite(w) & (w > 0)):
            raise ValueError(f"weights are {len(x)} positive numbers, one for each point")
    w = w / w.sum()
    middle, mean = float((w * x).sum()), float((w * y).sum())
    spread = float((w * (x - middle) ** 2).sum())
    slope = float((w * (x - middle) * (y - mean)).sum()) / spread
    off = y - mean - slope * (x - middle)
    scatter = float((w * off**2).sum()) / (len(x) - 2)
    return Extrapolation(
        energy=mean - slope * middle,
        error=math.sqrt(scatter * (1 + middle**2 / spread)),
        slope=slope,
        energies=y,
        variances=x,
    )


def _require_points(energies: NDArray, variances: NDArray) -> None:
    if energies.ndim != 1 or energies.shape != variances.shape:
        raise ValueError(
            f"each energy has one variance, and these are {energies.shape} and {variances.shape}"
        )
    if len(energies) < FEWEST:
        raise ValueError(
            f"an extrapolation with an error takes at least {FEWEST} points, not {len(energies)}: take "
            "subspaces of more sizes"
        )
    if not np.all(np.isfinite(energies)) or not np.all(np.isfinite(variances) & (variances >= 0)):
        raise ValueError("energies are finite, and variances not negative; some of these are not")
    if np.ptp(variances) <= SAME * variances.max():
        raise ValueError(
            "an extrapolation takes points of different variance, and these are all the same: take "
            "subspaces of different sizes"
        )


def nested_subspaces(solution: Solution, *, closed_shell: bool) -> list[Subspace]:
    """Subspaces of a solution's heaviest strings, the smallest first; the last has all of them.

    Args:
        closed_shell: both spins' strings are the same ones, and are to stay so.
    """
    alpha, beta = np.asarray(solution.alpha), np.asarray(solution.beta)
    if closed_shell:
        beta = alpha
    sizes = {(math.ceil(share * len(alpha)), math.ceil(share * len(beta))) for share in SHARES}
    return [Subspace(alpha=alpha[:one], beta=beta[:other]) for one, other in sorted(sizes)]

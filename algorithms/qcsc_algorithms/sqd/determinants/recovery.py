"""Configuration recovery: samples with a wrong number of electrons, brought back.

The step of sample-based quantum diagonalization by Robledo-Moreno et al., arXiv:2405.05068,
section "Self-consistent configuration recovery", for all samples at once.
"""

from __future__ import annotations

import numpy as np

from qcsc_algorithms.sqd.determinants.configurations import Bits, Configurations, Floats

SMALL = 0.01  # weight of a flip at the expected filling; the paper's delta
NOTHING = 1e-290  # a weight that counts as none: the time of a smaller one overflows


def recover(
    configurations: Configurations,
    occupancies: Floats,
    electrons: tuple[int, int],
    rng: np.random.Generator,
) -> Configurations:
    """Each configuration with as many bits flipped as it has electrons too many or too few.

    Which bits is drawn without replacement, with weights that grow with how much a bit disagrees
    with its orbital's average occupancy. The same distribution as qiskit-addon-sqd's
    `recover_configurations`; where that has no bit of positive weight left to flip (it raises or
    leaves the row as it is) the missing ones are drawn uniformly from the others.

    Args:
        occupancies: float64 (2, norb), the average occupancies of alpha and beta orbitals.
        electrons: of each spin.

    Raises:
        ValueError: more electrons than orbitals.
    """
    if not 0 <= min(electrons) <= max(electrons) <= configurations.norb:
        raise ValueError(f"{electrons} electrons do not go into {configurations.norb} orbitals")
    return Configurations(
        alpha=_filled(configurations.alpha, occupancies[0], electrons[0], rng),
        beta=_filled(configurations.beta, occupancies[1], electrons[1], rng),
        weights=configurations.weights,
    ).distinct()


def _filled(bits: Bits, occupancies: Floats, electrons: int, rng: np.random.Generator) -> Bits:
    """Rows with exactly so many bits set.

    Drawing k of n without replacement with weights w is taking the k smallest of independent
    exponential variates of rates w (Efraimidis and Spirakis, Inf. Process. Lett. 97, 181, 2006).
    """
    surplus = bits.sum(axis=1) - electrons
    wrong = np.flatnonzero(surplus)
    rows = bits[wrong]
    too_many = surplus[wrong] > 0
    norb = bits.shape[1]
    filling = electrons / norb
    weights = np.where(
        too_many[:, None],
        _weights(1 - occupancies, 1 - filling),  # of emptying an orbital
        _weights(occupancies, filling),  # of filling one
    )
    with np.errstate(divide="ignore", over="ignore"):
        times = rng.standard_exponential(rows.shape) / weights
    # never: those of no weight after all others, in an order of their own
    never = weights < NOTHING
    times[never] = np.finfo(float).max * (0.5 + 0.5 * rng.random(int(never.sum())))
    times[rows != too_many[:, None]] = np.inf  # not a bit that may flip
    flips = np.abs(surplus[wrong])
    last = np.sort(times, axis=1)[np.arange(len(rows)), flips - 1]
    result = bits.copy()
    result[wrong] = rows ^ (times <= last[:, None])
    return result


def _weights(occupancies: Floats, filling: float) -> Floats:
    """The weight of a flip towards occupied, for orbitals of these occupancies.

    From 0 at occupancy 0 to delta at the expected filling, from there to 1 at occupancy 1.
    """
    occupancies = np.clip(occupancies, 0.0, 1.0)
    below = occupancies * SMALL / filling if filling else np.zeros_like(occupancies)
    if filling == 1:
        return np.where(occupancies < 1, below, SMALL)
    above = SMALL + (1 - SMALL) * (occupancies - filling) / (1 - filling)
    return np.where(occupancies < filling, below, above)

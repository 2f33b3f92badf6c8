"""Small vectors without any symmetry but the space's, the same on every machine."""

from __future__ import annotations

import numpy as np

from qcsc_algorithms.sqd.solvers.compiling import compiled
from qcsc_algorithms.sqd.solvers.string_tables import Floats

ONE, OTHER = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
STEP = np.uint64(0x9E3779B97F4A7C15)


@compiled
def fill_noise(number: int, diagonal: Floats, mirrored: int, noise: Floats) -> None:
    """Writes numbers between -1 and 1, smaller where the determinant is high: it matters little.

    Args:
        number: another vector for each.
        diagonal: the determinants' energies, of the vector's shape; where mirrored, symmetric.
        mirrored: 1 or -1, if the vector's transpose is to be the vector times it; or 0.
    """
    height, width = diagonal.shape
    lowest = diagonal.min()
    for row in range(height):
        for k in range(row + 1 if mirrored else width):
            gap = diagonal[row, k] - lowest
            less = 1.0 + gap * gap
            value = _draw(number, row * width + k) / less
            if mirrored:
                turned = _draw(number, k * width + row) / less
                noise[k, row] = turned + mirrored * value
                value += mirrored * turned
            noise[row, k] = value


@compiled
def _draw(number: int, position: int) -> float:
    """By splitmix64: Steele, Lea and Flood, OOPSLA 2014."""
    word = (np.uint64(position) + (np.uint64(number + 1) << np.uint64(40))) * STEP
    word = (word ^ (word >> np.uint64(30))) * ONE
    word = (word ^ (word >> np.uint64(27))) * OTHER
    return np.float64(word >> np.uint64(11)) / 2.0**52 - 1.0

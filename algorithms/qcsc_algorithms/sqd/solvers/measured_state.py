"""What a state that somebody else has found is like, by our own operators."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from qcsc_algorithms.sqd.determinants.configurations import Strings
from qcsc_algorithms.sqd.solvers.product_space import Integrals, ProductSpace
from qcsc_algorithms.sqd.solvers.string_tables import Floats


def measured(
    integrals: Integrals,
    electrons: tuple[int, int],
    strings: tuple[Strings, Strings],
    energy: float,
    amplitudes: Floats,
    tolerance: float,
) -> dict[str, npt.NDArray[Any]]:
    """Weights, residual and S^2 of a state.

    Args:
        strings: alpha and beta, uint8 (strings, ceil(norb / 8)).
        energy: that is said to be the state's, in hartree, without a constant.
        amplitudes: float64 (beta strings, alpha strings), normalised.
        tolerance: of the residual, above which it is said not to be converged.
    """
    space = ProductSpace(integrals, electrons, *strings)
    image = np.empty_like(amplitudes)
    space.multiply(amplitudes, image)
    residual = float(np.linalg.norm(image - energy * amplitudes))
    probabilities = amplitudes**2
    return {
        "alpha_weights": probabilities.sum(axis=0),
        "beta_weights": probabilities.sum(axis=1),
        "residual": np.asarray(residual),
        "converged": np.asarray(residual <= tolerance),
        "spin_square": np.asarray(space.spin_square(amplitudes)),
    }

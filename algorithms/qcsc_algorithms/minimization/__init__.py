"""Any function's minimum, by any optimiser: what a script around `scipy.optimize.minimize` becomes."""

from qcsc_algorithms.minimization.minimization import Minimization, Minimum, Values

__all__ = ["Minimization", "Minimum", "Values"]

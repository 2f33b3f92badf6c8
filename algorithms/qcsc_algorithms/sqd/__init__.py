"""Sample-based quantum diagonalization: the closed loop, its controls, and the Krylov variant."""

from qcsc_algorithms.sqd.algorithm import SQD, Walkers
from qcsc_algorithms.sqd.krylov import SKQD, Krylov

__all__ = ["SKQD", "SQD", "Krylov", "Walkers"]

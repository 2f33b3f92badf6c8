"""Sample-based quantum diagonalization: the closed loop, its controls, and the Krylov variant."""

from qcsc_algorithms.sqd.algorithm import SQD, Walkers

__all__ = ["SQD", "Walkers"]

"""Variational quantum eigensolver on expectation values; with the QAOA ansatz, QAOA."""

from qcsc_algorithms.vqe.optimizers import SPSA, Adam
from qcsc_algorithms.vqe.vqe import VQE, Slope, Variational

__all__ = ["SPSA", "VQE", "Adam", "Slope", "Variational"]

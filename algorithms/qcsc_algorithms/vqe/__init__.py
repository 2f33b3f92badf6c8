"""Variational quantum eigensolver on expectation values; with the QAOA ansatz, QAOA."""

from qcsc_algorithms.vqe.algorithm import SPSA, VQE, Adam, Slope, Variational

__all__ = ["SPSA", "VQE", "Adam", "Slope", "Variational"]

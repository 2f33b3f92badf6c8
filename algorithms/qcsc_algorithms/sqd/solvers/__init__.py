"""Diagonalisation in a subspace, by pyscf or by sbd."""

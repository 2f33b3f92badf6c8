"""Quantum computers that a batch system hands out, through QRMI."""

"""Quantum sources: samplers and estimators, and how circuits are compiled for them."""

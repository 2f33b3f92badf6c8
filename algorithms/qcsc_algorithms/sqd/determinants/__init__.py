"""Electron configurations: counted, recovered, drawn into subspaces."""

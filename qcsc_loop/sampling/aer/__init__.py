"""The Aer simulator, on this machine."""

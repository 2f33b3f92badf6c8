"""BitCount, the minimal algorithm: sample a GHZ state, count, until the estimate stands still."""

from qcsc_algorithms.bitcount.bitcount import BitCount, Counts, Histogram

__all__ = ["BitCount", "Counts", "Histogram"]

"""IBM Quantum's REST service on loopback; the public names are in `qcsc_loop.testing`."""

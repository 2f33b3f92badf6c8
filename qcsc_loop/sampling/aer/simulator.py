"""The Aer simulator as our samplers and estimators set it up."""

from __future__ import annotations

from typing import Any

from qcsc_loop.sampling.fake_backends import fake_backend


def aer_backend(method: str, threads: int, noise_of: str, num_qubits: int) -> Any:
    """A simulator for so many qubits, or with the noise of a fake backend. Blocks.

    Raises:
        InvalidParameters: there is no such fake backend.
    """
    # importing Aer takes a second, and reading a run that sampled needs none of it
    from qiskit_aer import AerSimulator

    options: dict[str, Any] = {"method": method, "max_parallel_threads": threads}
    if noise_of:
        return AerSimulator.from_backend(fake_backend(noise_of), **options)
    # else the width that a statevector of this machine's memory would allow
    return AerSimulator(**options, n_qubits=num_qubits)

"""The Aer simulator as our samplers and estimators set it up."""

from __future__ import annotations

import os
from functools import partial
from typing import Any, TypeVar

from anyio import to_thread

from qcsc_loop.concurrency.worker import available_cores, call_in_worker
from qcsc_loop.sampling.fake_backends import fake_backend

T = TypeVar("T")

LARGE_QUBITS = 20
"""From here on a simulation takes longer than a process needs to start, a second or two."""


async def simulate(work: partial[T], *, num_qubits: int, threads: int) -> T:
    """What a call of Aer returns, from where it can be ended.

    Aer lets no other thread of its process run while it simulates: no signal would be handled, no
    beat sent, no line drawn. What takes long is done in a process of its own, which is killed with
    the call; the bits are the same.
    """
    if num_qubits < LARGE_QUBITS:
        # C++ that cannot be interrupted: do not make a Ctrl-C wait for it
        return await to_thread.run_sync(work, abandon_on_cancel=True)
    return await call_in_worker(work, threads=threads)


def most_threads() -> int:
    """How many OpenMP threads Aer can have in this process."""
    given = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return int(given) if given.isdigit() and int(given) else available_cores()


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

"""VQE as a Prefect flow, the form that is deployed."""

from __future__ import annotations

from typing import Any

from prefect import flow

from qcsc_algorithms.vqe.algorithm import VQE
from qcsc_loop.flows import run_in_flow


@flow(persist_result=False)
async def vqe(algorithm: VQE = VQE()) -> dict[str, Any]:
    """Measures a Hamiltonian around an ansatz's parameters, and moves them downhill."""
    return (await run_in_flow(algorithm)).summary()

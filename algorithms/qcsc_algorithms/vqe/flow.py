"""VQE as a Prefect flow, the form that is deployed."""

from __future__ import annotations

from prefect import flow

from qcsc_algorithms.vqe.algorithm import VQE
from qcsc_loop.deployed import Driven, driven
from qcsc_loop.driving import RunSettings


@flow(persist_result=False)
async def vqe(algorithm: VQE = VQE(), run: RunSettings = RunSettings()) -> Driven:
    """Measures a Hamiltonian around an ansatz's parameters, and moves them downhill."""
    return await driven(algorithm, run)

"""VQE as a Prefect flow, the form that is deployed."""

from __future__ import annotations

from prefect import flow

from qcsc_algorithms.vqe.vqe import VQE
from qcsc_loop.deployments.flow_body import Driven, drive
from qcsc_loop.deployments.run_settings import RunSettings


@flow(persist_result=False)
async def vqe(algorithm: VQE = VQE(), run: RunSettings = RunSettings()) -> Driven:
    """Measures a Hamiltonian around an ansatz's parameters, and moves them downhill."""
    return await drive(algorithm, run)

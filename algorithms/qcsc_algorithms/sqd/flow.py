"""Closed-loop SQD and SKQD as Prefect flows, the form that is deployed."""

from __future__ import annotations

from typing import Any

from prefect import flow

from qcsc_algorithms.sqd.algorithm import SQD
from qcsc_algorithms.sqd.krylov import SKQD
from qcsc_loop.flows import run_in_flow


@flow(persist_result=False)
async def sqd(algorithm: SQD = SQD()) -> dict[str, Any]:
    """Samples a population of circuits, diagonalises in the space of their samples, moves on."""
    return (await run_in_flow(algorithm)).summary()


@flow(persist_result=False)
async def skqd(algorithm: SKQD = SKQD()) -> dict[str, Any]:
    """Samples a state at one time step after the other, diagonalises in the space of all samples."""
    return (await run_in_flow(algorithm)).summary()

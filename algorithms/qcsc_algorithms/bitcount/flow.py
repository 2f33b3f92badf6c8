"""BitCount as a Prefect flow, the form that is deployed."""

from __future__ import annotations

from typing import Any

from prefect import flow

from qcsc_algorithms.bitcount.algorithm import BitCount
from qcsc_loop.flows import run_in_flow


@flow(persist_result=False)
async def bitcount(algorithm: BitCount = BitCount()) -> dict[str, Any]:
    """Samples a GHZ state until the estimate of its distribution stands still."""
    return (await run_in_flow(algorithm)).summary()

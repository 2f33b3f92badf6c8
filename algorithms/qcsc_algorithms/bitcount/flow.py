"""BitCount as a Prefect flow, the form that is deployed."""

from __future__ import annotations

from prefect import flow

from qcsc_algorithms.bitcount.bitcount import BitCount
from qcsc_loop.deployments.flow_body import Driven, drive
from qcsc_loop.deployments.run_settings import RunSettings


@flow(persist_result=False)
async def bitcount(algorithm: BitCount = BitCount(), run: RunSettings = RunSettings()) -> Driven:
    """Samples a GHZ state until the estimate of its distribution stands still."""
    return await drive(algorithm, run)

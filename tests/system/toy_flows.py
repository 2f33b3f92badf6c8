"""The toys as flows, the form that is deployed."""

from __future__ import annotations

from prefect import flow

from qcsc_loop.deployments.flow_body import Driven, drive
from qcsc_loop.deployments.run_settings import RunSettings
from system.job_toys import Chain
from system.toys import Dies, Raises, Wander


@flow(persist_result=False)
async def wander(algorithm: Wander = Wander(), run: RunSettings = RunSettings()) -> Driven:  # noqa: B008
    """Wanders."""
    return await drive(algorithm, run)


@flow(persist_result=False)
async def raises(algorithm: Raises = Raises(), run: RunSettings = RunSettings()) -> Driven:  # noqa: B008
    """Wanders, and raises."""
    return await drive(algorithm, run)


@flow(persist_result=False)
async def dies(algorithm: Dies = Dies(), run: RunSettings = RunSettings()) -> Driven:  # noqa: B008
    """Is killed."""
    return await drive(algorithm, run)


@flow(persist_result=False)
async def chain(algorithm: Chain = Chain(), run: RunSettings = RunSettings()) -> Driven:  # noqa: B008
    """A job an iteration."""
    return await drive(algorithm, run)


@flow
async def untyped(parameters: dict[str, int]) -> None:
    """Cannot be deployed."""

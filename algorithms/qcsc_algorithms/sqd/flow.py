"""Closed-loop SQD, plain SQD, and SKQD of electrons and qubits, as Prefect flows: what is deployed."""

from __future__ import annotations

from prefect import flow

from qcsc_algorithms.sqd.pauli_skqd import PauliSKQD
from qcsc_algorithms.sqd.plain import PlainSQD
from qcsc_algorithms.sqd.skqd import SKQD
from qcsc_algorithms.sqd.sqd import SQD
from qcsc_loop.deployments.flow_body import Driven, drive
from qcsc_loop.deployments.run_settings import RunSettings


@flow(persist_result=False)
async def sqd(algorithm: SQD = SQD(), run: RunSettings = RunSettings()) -> Driven:
    """Samples a population of circuits, diagonalises in the space of their samples, moves on."""
    return await drive(algorithm, run)


@flow(persist_result=False)
async def plain_sqd(algorithm: PlainSQD = PlainSQD(), run: RunSettings = RunSettings()) -> Driven:
    """Samples one circuit once, recovers its shots until they agree with themselves."""
    return await drive(algorithm, run)


@flow(persist_result=False)
async def skqd(algorithm: SKQD = SKQD(), run: RunSettings = RunSettings()) -> Driven:
    """Samples a state at one time step after the other, diagonalises in the space of all samples."""
    return await drive(algorithm, run)


@flow(persist_result=False)
async def pauli_skqd(
    algorithm: PauliSKQD = PauliSKQD(), run: RunSettings = RunSettings()
) -> Driven:
    """The same of qubits, whose Hamiltonian is a sum of Pauli strings."""
    return await drive(algorithm, run)

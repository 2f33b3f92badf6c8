"""Simulations that take long, and threads that change the last bits."""

from __future__ import annotations

import os
from typing import Any

import anyio
import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.quantum_info import SparsePauliOp

from qcsc_loop import AerEstimator, AerSampler
from qcsc_loop.concurrency.worker import call_in_worker
from qcsc_loop.errors import InvalidParameters
from qcsc_loop.parameters.operational import is_operational
from qcsc_loop.sampling.aer import simulator
from qcsc_loop.sampling.aer.estimator import SERIAL_QUBITS


def circuit(num_qubits: int, *, measured: bool) -> QuantumCircuit:
    made = QuantumCircuit(num_qubits)
    for qubit in range(num_qubits):
        made.ry(0.3 + 0.1 * qubit, qubit)
    for qubit in range(num_qubits - 1):
        made.cx(qubit, qubit + 1)
    if measured:
        made.measure_all()
    return made


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The threads of each worker that was asked, where six qubits are many."""
    asked: list[int] = []

    async def spied(work: Any, *, threads: int) -> Any:
        asked.append(threads)
        return await call_in_worker(work, threads=threads)

    monkeypatch.setattr(simulator, "call_in_worker", spied)
    monkeypatch.setattr(simulator, "LARGE_QUBITS", 6)
    return asked


def test_a_large_simulation_has_a_process_of_its_own_and_the_same_bits(
    workers: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def sample(sampler: AerSampler) -> Any:
        return (await sampler.sample(circuit(6, measured=True), shots=300)).bits["meas"]

    alone = anyio.run(sample, AerSampler(threads=2))
    assert workers == [2]
    monkeypatch.setattr(simulator, "LARGE_QUBITS", 7)
    assert np.array_equal(alone, anyio.run(sample, AerSampler()))
    assert workers == [2]


def test_so_has_a_large_estimate(workers: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    observable = SparsePauliOp.from_list([("ZZZZZZ", 0.5), ("XXXXXX", 0.5)])

    async def estimate() -> Any:
        found = await AerEstimator().estimate(
            circuit(6, measured=False), [observable], precision=0.01
        )
        return found.values

    alone = anyio.run(estimate)
    assert workers == [1]
    monkeypatch.setattr(simulator, "LARGE_QUBITS", 7)
    assert np.array_equal(alone, anyio.run(estimate))
    assert workers == [1]


def test_an_estimators_threads_change_results_and_a_samplers_do_not() -> None:
    assert not is_operational(AerEstimator(), ["threads"])
    assert is_operational(AerSampler(), ["threads"])


@pytest.mark.parametrize("most", ["1", "2,1"])
def test_more_threads_than_there_are_are_refused_where_they_would_count(
    most: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", most)

    async def estimate(num_qubits: int, threads: int) -> None:
        observable = SparsePauliOp("Z" * num_qubits)
        await AerEstimator(threads=threads).estimate(
            circuit(num_qubits, measured=False), [observable], precision=0.0
        )

    with pytest.raises(InvalidParameters, match=rf"threads: 4 are more .*\({most[0]}: cores"):
        anyio.run(estimate, SERIAL_QUBITS + 1, 4)
    anyio.run(estimate, SERIAL_QUBITS, 4)


def test_one_number_of_threads_gives_one_result() -> None:
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("there is one core")
    observable = SparsePauliOp.from_list([("Z" * 15, 0.3), ("X" * 15, 0.7)])

    async def estimate() -> float:
        found = await AerEstimator(threads=2).estimate(
            circuit(15, measured=False), [observable], precision=0.0
        )
        return float(found.values[0])

    assert len({anyio.run(estimate) for _ in range(5)}) == 1

"""Several circuits at IBM Quantum: one job of several PUBs, once; and fractional gates."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter

from loop.sampling.ibm.ibm_driver import LONGEST_SECONDS, Driver, sampler
from loop.sampling.sampling_toys import rotated
from qcsc_loop.errors import JobFailed, SiteUnreachable
from qcsc_loop.jobs.outcome import JobState
from qcsc_loop.sampling.ibm.sampler import IBMRuntimeSampler
from qcsc_loop.sampling.result_files import RESULT
from qcsc_loop.sampling.sample_array import SampleArray
from qcsc_loop.steps.step import Step, stepping
from qcsc_loop.testing import FakeIBMQuantum, IBMFault
from waiting import until_async

pytestmark = pytest.mark.anyio
ANGLES = np.array([[0.0], [np.pi], [0.0]])


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qcsc_loop.exactly_once.patience.PAUSE_SECONDS", 0.05)
    monkeypatch.setattr("qcsc_loop.exactly_once.ending.LOOK_SECONDS", 0.05)
    monkeypatch.setattr("qcsc_loop.exactly_once.run_once.READ_PAUSES", (0.01, 0.01))
    monkeypatch.setattr("qcsc_loop.sampling.ibm.ibm_site.RETRY_SECONDS", 0.05)
    monkeypatch.setattr("qcsc_loop.exactly_once.measuring.ACCOUNTING_SECONDS", 0.3)


@pytest.fixture
def ibm(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeIBMQuantum]:
    with FakeIBMQuantum(backends=["fake_manila", "fake_fractional"]) as ibm:
        monkeypatch.setenv("IAM_URL", ibm.iam_url)
        monkeypatch.setenv("QISKIT_IBM_TOKEN", ibm.token)
        yield ibm


@pytest.fixture
def driver(tmp_path: Path) -> Driver:
    return Driver(tmp_path / "store")


async def swept(
    driver: Driver,
    by: IBMRuntimeSampler,
    circuits: Any = None,
    parameters: Any = None,
    *,
    step: Step | None = None,
) -> SampleArray:
    given = [rotated(3), rotated(3, 0.5)] if circuits is None else circuits
    with anyio.fail_after(LONGEST_SECONDS), stepping(step or driver.step()):
        return await by.sample_all(given, parameters, shots=30)


def turned(other: bool = False) -> QuantumCircuit:
    """A qubit that is turned by an angle, and by pi more."""
    circuit = QuantumCircuit(1, 1)
    circuit.rx(Parameter("angle"), 0)
    if other:
        circuit.x(0)
    circuit.measure(0, 0)
    return circuit


@pytest.mark.parametrize("client", ["executor", "sampler"])
async def test_circuits_and_their_points_are_one_job(
    ibm: FakeIBMQuantum, driver: Driver, client: Any
) -> None:
    step = driver.step()
    by = sampler(ibm, client=client, backend="ibm_manila")
    found = await swept(driver, by, [turned(), turned(other=True)], ANGLES, step=step)
    assert (found.shape, found.shots) == ((2, 3), 30)
    assert found.expectation({"Z": 1.0}).tolist() == [[1, -1, 1], [-1, 1, -1]]
    assert len(ibm.jobs()) == 1 and step.usage["shots"] == 180
    assert found.provenance["job_id"] == ibm.jobs()[0].id
    assert len(found.provenance["circuits"]) == 2


async def test_a_sweep_is_found_again_by_the_next_driver_and_paid_once(
    ibm: FakeIBMQuantum, driver: Driver
) -> None:
    by = sampler(ibm, backend="ibm_manila")
    ibm.inject(IBMFault.CONNECTION_LOST, request="results", times=99)
    with pytest.raises(SiteUnreachable):
        await swept(driver, sampler(ibm, backend="ibm_manila", patience_seconds=0))
    ibm.heal()
    driver.next()
    first = await swept(driver, by)
    (driver.records[0].folder / RESULT).write_bytes(b"damaged")
    driver.next()
    assert (await swept(driver, by)).bits["meas"].tobytes() == first.bits["meas"].tobytes()
    assert [job.state for job in ibm.jobs()] == ["Completed"]


async def test_a_submission_that_was_taken_twice_is_one_job_of_all_circuits(
    ibm: FakeIBMQuantum, driver: Driver
) -> None:
    ibm.inject(IBMFault.GATEWAY_TIMEOUT_THOUGH_ACCEPTED)
    ibm.hold()  # or the second may have run before it is known
    asking = asyncio.create_task(swept(driver, sampler(ibm, backend="ibm_manila")))
    await until_async(lambda: asking.done() or JobState.PENDING in driver.states, "it has an id")
    ibm.release()
    assert (await asking).shape == (2,)
    assert sorted(job.state for job in ibm.jobs()) == ["Cancelled", "Completed"]


async def test_shots_that_twirling_adds_are_in_every_entry(
    ibm: FakeIBMQuantum, driver: Driver
) -> None:
    twirled = {"twirling": {"enable_measure": True, "num_randomizations": 4}}
    by = sampler(ibm, backend="ibm_manila", options=twirled)
    step = driver.step()
    found = await swept(driver, by, turned(), ANGLES, step=step)
    assert (found.shape, found.shots, step.usage["shots"]) == ((3,), 32, 96)
    assert found.expectation({"Z": 1.0}).tolist() == [1, -1, 1]
    assert found.provenance["shots_asked"] == 30


def fractional() -> QuantumCircuit:
    circuit = QuantumCircuit(2)
    circuit.h([0, 1])
    circuit.rzz(0.4, 0, 1)
    circuit.rx(0.3, 0)
    circuit.measure_all()
    return circuit


async def test_fractional_gates_are_used_where_they_are_asked_for(
    ibm: FakeIBMQuantum, driver: Driver
) -> None:
    usual = await swept(driver, sampler(ibm, backend="ibm_fractional"), [fractional()])
    by = sampler(ibm, backend="ibm_fractional", fractional_gates=True)
    # the same step of the same run: other settings are another job, with circuits of their own
    short = await swept(driver, by, [fractional()], step=driver.step(iteration=2))
    ((few,), (many,)) = (found.provenance["circuits"] for found in (short, usual))
    assert few["two_qubit_gates"] == 1 < many["two_qubit_gates"]


async def test_a_backend_that_has_none_refuses_them_before_anything_is_paid(
    ibm: FakeIBMQuantum, driver: Driver
) -> None:
    by = sampler(ibm, backend="ibm_manila", fractional_gates=True)
    with pytest.raises(JobFailed, match="'ibm_manila' does not support") as caught:
        await swept(driver, by, [fractional()])
    assert "name a backend that has them" in str(caught.value)
    assert ibm.jobs() == []


def test_settings_without_them_are_what_they_were() -> None:
    assert "fractional_gates" not in IBMRuntimeSampler().chosen()
    assert "fractional_gates" not in IBMRuntimeSampler().model_dump()
    asked = IBMRuntimeSampler(fractional_gates=True)
    assert asked.chosen()["fractional_gates"] is True
    assert IBMRuntimeSampler.model_validate_json(asked.model_dump_json()) == asked

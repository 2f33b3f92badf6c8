"""Samples and expectation values from IBM Quantum: whatever goes wrong, each job is paid once."""

from __future__ import annotations

import asyncio
import json
import shutil
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, Unpack

import anyio
import numpy as np
import pytest
from pydantic import ValidationError
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit.classical import expr, types
from qiskit.primitives import BitArray
from qiskit.quantum_info import SparsePauliOp
from qiskit.transpiler import generate_preset_pass_manager

from loop.sampling.ibm.ibm_driver import SHOTS, Driver, sampler, settings
from loop.sampling.sampling_toys import Sampling, Seen, bits_sha256, digests, rotated
from loop.toys import environment
from other_process import printed_by
from qcsc_loop.errors import (
    CredentialsRefused,
    HookFailed,
    InvalidParameters,
    JobFailed,
    JobInputChanged,
    LeaseLost,
    NothingMeasured,
    SiteUnreachable,
)
from qcsc_loop.exactly_once.reap import reap
from qcsc_loop.jobs.entries import JobRecord
from qcsc_loop.jobs.ledger import Ledger
from qcsc_loop.jobs.outcome import JobState
from qcsc_loop.loop.options import RunOptions
from qcsc_loop.loop.outcome import Outcome
from qcsc_loop.rules.reason import Reason
from qcsc_loop.rules.stop import MaxIterations, QpuSeconds
from qcsc_loop.sampling.estimator import Estimates
from qcsc_loop.sampling.ibm.account import IBMAccount
from qcsc_loop.sampling.ibm.client import service_for
from qcsc_loop.sampling.ibm.estimator import IBMRuntimeEstimator
from qcsc_loop.sampling.ibm.sampler import IBMRuntimeSampler
from qcsc_loop.sampling.result_files import RESULT
from qcsc_loop.steps.step import stepping
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.journal import Journal
from qcsc_loop.testing import FakeIBMJob, FakeIBMQuantum, FakeIBMRequest, IBMFault, RequestKind
from qcsc_loop.values.codec import Codec
from waiting import until_async

pytestmark = pytest.mark.anyio

QUICK_SECONDS = 10.0  # the client's own repetitions take 15
OVER = ("Completed", "Failed", "Cancelled")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Takes the waiting out of the protocol, but not what it waits for."""
    monkeypatch.setattr("qcsc_loop.exactly_once.patience.PAUSE_SECONDS", 0.05)
    monkeypatch.setattr("qcsc_loop.exactly_once.ending.LOOK_SECONDS", 0.05)
    monkeypatch.setattr("qcsc_loop.exactly_once.run_once.READ_PAUSES", (0.01, 0.01))
    monkeypatch.setattr("qcsc_loop.sampling.ibm.ibm_site.RETRY_SECONDS", 0.05)
    monkeypatch.setattr("qcsc_loop.exactly_once.measuring.ACCOUNTING_SECONDS", 0.3)


@pytest.fixture
def ibm(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeIBMQuantum]:
    """The service, as a process finds it whose key is in its environment."""
    with FakeIBMQuantum(backends=["fake_manila"]) as ibm:
        monkeypatch.setenv("IAM_URL", ibm.iam_url)
        monkeypatch.setenv("QISKIT_IBM_TOKEN", ibm.token)
        yield ibm


@pytest.fixture
def driver(tmp_path: Path) -> Driver:
    return Driver(tmp_path / "store")


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The bits of the one circuit when nothing goes wrong: the service always gives the same."""
    with FakeIBMQuantum(backends=["fake_manila"]) as ibm, pytest.MonkeyPatch.context() as patch:
        patch.setenv("IAM_URL", ibm.iam_url)
        patch.setenv("QISKIT_IBM_TOKEN", ibm.token)
        undisturbed = Driver(tmp_path_factory.mktemp("undisturbed"))
        return bits_sha256(anyio.run(undisturbed.sampled, sampler(ibm)))


def states(ibm: FakeIBMQuantum) -> list[str]:
    """Of every job that was ever accepted."""
    return [job.state for job in ibm.jobs()]


def pending(ibm: FakeIBMQuantum) -> list[FakeIBMJob]:
    return [job for job in ibm.jobs() if job.state not in OVER]


def kinds(ibm: FakeIBMQuantum) -> list[RequestKind | None]:
    return [request.kind for request in ibm.requests()]


def struck(ibm: FakeIBMQuantum) -> list[IBMFault]:
    return [request.fault for request in ibm.requests() if request.fault is not None]


def tags(record: JobRecord, ibm: FakeIBMQuantum) -> list[str]:
    """Ids of the jobs with the record's tag."""
    return [job.id for job in ibm.jobs() if record.key.job_name in job.tags]


# what one gets


@pytest.mark.parametrize("client", ["executor", "sampler"])
async def test_samples_come_from_a_job_that_has_the_keys_tag(
    ibm: FakeIBMQuantum, driver: Driver, client: str
) -> None:
    samples = await driver.sampled(sampler(ibm, client=client, backend="ibm_manila"))

    (job,), (record,) = ibm.jobs(), driver.records
    assert (job.program, job.state, job.id) == (client, "Completed", record.job_id)
    assert record.key.job_name in job.tags
    array = BitArray(samples.bits["meas"], samples.num_bits["meas"])
    assert (array.num_shots, array.num_bits) == (SHOTS, 3)
    assert driver.states[0] is JobState.PENDING
    assert driver.states[-1] is JobState.COMPLETED


async def test_both_clients_give_the_same_bits_for_the_same_job(
    ibm: FakeIBMQuantum, driver: Driver
) -> None:
    circuit = QuantumCircuit(4)
    circuit.x([0, 3])
    circuit.measure_all()

    for iteration, client in enumerate(["executor", "sampler"]):
        samples = await driver.sampled(sampler(ibm, client=client), circuit, iteration=iteration)

        assert samples.bits["meas"].tolist() == [[0b1001]] * SHOTS


async def test_the_environment_alone_leads_to_the_service(
    ibm: FakeIBMQuantum, driver: Driver, monkeypatch: pytest.MonkeyPatch, expected: str
) -> None:
    for name, value in ibm.environment.items():
        monkeypatch.setenv(name, value)

    samples = await driver.sampled(IBMRuntimeSampler(poll_seconds=0.1))

    assert bits_sha256(samples) == expected
    assert states(ibm) == ["Completed"]


async def test_samples_say_where_they_are_from(ibm: FakeIBMQuantum, driver: Driver) -> None:
    by = sampler(ibm)

    told = (await driver.sampled(by)).provenance

    (job,) = ibm.jobs()
    assert (told["source"], told["backend"], told["job_id"]) == (
        "ibm-runtime",
        "ibm_manila",
        job.id,
    )
    assert IBMRuntimeSampler.model_validate(told["settings"]) == by
    assert told["times"]["qpu_seconds"] == job.qpu_seconds
    assert len(told["properties_sha256"]) == len(told["circuit_sha256"][0]) == 64
    assert ibm.secret not in str(told)


async def test_samples_come_back_from_a_document(ibm: FakeIBMQuantum, driver: Driver) -> None:
    codec: Codec[Any] = Codec(type(samples := await driver.sampled(sampler(ibm))))

    assert codec.decode(codec.encode(samples)) == samples


async def test_a_circuit_is_compiled_for_its_backend(ibm: FakeIBMQuantum, driver: Driver) -> None:
    circuit = QuantumCircuit(5)
    circuit.h(0)
    for qubit in range(1, 5):  # manila's qubits are in a line
        circuit.cx(0, qubit)
    circuit.measure_all()

    samples = await driver.sampled(sampler(ibm, optimization_level=2), circuit)

    assert set(np.unique(samples.bits["meas"])) == {0b00000, 0b11111}
    assert samples.provenance["circuits"][0]["two_qubit_gates"] >= 4


async def test_the_longest_time_of_a_job_is_told_to_the_service(
    ibm: FakeIBMQuantum, driver: Driver
) -> None:
    await driver.sampled(sampler(ibm, max_execution_time=77))

    assert [job.cost for job in ibm.jobs()] == [77]


async def test_two_samplings_of_a_step_are_two_jobs(ibm: FakeIBMQuantum, driver: Driver) -> None:
    by = sampler(ibm)

    with stepping(driver.step()):
        await by.sample(rotated(3), shots=SHOTS)
        await by.sample(rotated(2), shots=SHOTS)

    assert [record.key.name for record in driver.records] == ["sampler", "sampler-2"]
    assert [tags(record, ibm) for record in driver.records] == [[job.id] for job in ibm.jobs()]


async def test_samplings_at_once_are_a_job_each(ibm: FakeIBMQuantum, driver: Driver) -> None:
    by = sampler(ibm)

    async with anyio.create_task_group() as group:
        for iteration in range(4):
            group.start_soon(lambda k=iteration: driver.sampled(by, iteration=k))  # type: ignore[misc]

    assert states(ibm) == ["Completed"] * 4
    assert sorted(str(record.job_id) for record in driver.records) == sorted(
        job.id for job in ibm.jobs()
    )


async def test_a_run_of_the_same_id_elsewhere_does_not_take_its_job(
    ibm: FakeIBMQuantum, tmp_path: Path
) -> None:
    for place in ("one", "other"):
        await Driver(tmp_path / place).sampled(sampler(ibm))

    assert states(ibm) == ["Completed"] * 2


# a submission whose answer is lost

ACCEPTED = {
    "504": (IBMFault.GATEWAY_TIMEOUT_THOUGH_ACCEPTED, 1),
    "502-twice": (IBMFault.BAD_GATEWAY_THOUGH_ACCEPTED, 2),
    "connection-lost": (IBMFault.CONNECTION_LOST_THOUGH_ACCEPTED, 1),
    "truncated": (IBMFault.TRUNCATED, 1),
    "html": (IBMFault.HTML_PAGE, 1),
}


@pytest.mark.parametrize("client", ["executor", "sampler"])
@pytest.mark.parametrize("fault", ACCEPTED)
async def test_a_job_that_was_accepted_in_silence_is_adopted(
    ibm: FakeIBMQuantum, driver: Driver, expected: str, fault: str, client: str
) -> None:
    kind, times = ACCEPTED[fault]
    ibm.inject(kind, request="submit", times=times)
    ibm.hold()

    async with driver.asking(sampler(ibm, client=client)) as task:
        await until_async(lambda: task.done() or JobState.PENDING in driver.states, "it has an id")
        first, *superfluous = ibm.jobs()
        ibm.release()
        samples = await task

    assert [job.state for job in superfluous] == ["Cancelled"] * len(superfluous)
    assert ibm.jobs()[0].id == first.id
    assert ibm.jobs()[0].state == "Completed"
    assert [record.job_id for record in driver.records] == [first.id]
    if client == "executor":
        assert bits_sha256(samples) == expected


async def test_a_job_that_is_listed_late_is_waited_for(
    ibm: FakeIBMQuantum, driver: Driver, expected: str
) -> None:
    ibm.inject(IBMFault.CONNECTION_LOST_THOUGH_ACCEPTED)
    ibm.inject(IBMFault.JOB_LISTED_LATE, seconds=1.0)

    samples = await driver.sampled(sampler(ibm, settle_seconds=20))

    assert bits_sha256(samples) == expected
    assert states(ibm) == ["Completed"]


async def test_a_job_that_lists_do_not_show_yet_is_followed_by_its_id(
    ibm: FakeIBMQuantum, driver: Driver, expected: str
) -> None:
    ibm.inject(IBMFault.JOB_LISTED_LATE, seconds=600)

    assert bits_sha256(await driver.sampled(sampler(ibm))) == expected
    assert states(ibm) == ["Completed"]


@pytest.mark.parametrize(
    "fault", [IBMFault.HTML_PAGE, IBMFault.TRUNCATED, IBMFault.TOO_MANY_REQUESTS]
)
async def test_a_submission_that_cannot_be_looked_for_is_not_made_again(
    ibm: FakeIBMQuantum, driver: Driver, expected: str, fault: IBMFault
) -> None:
    ibm.inject(fault, request="list")
    ibm.queue_seconds = 1.0

    samples = await driver.sampled(sampler(ibm))

    assert bits_sha256(samples) == expected
    assert states(ibm) == ["Completed"]


@pytest.mark.parametrize("fault", [IBMFault.FORBIDDEN, IBMFault.NOT_FOUND, IBMFault.UNAUTHORIZED])
async def test_a_job_is_not_lost_because_the_clients_repetition_was_refused(
    ibm: FakeIBMQuantum, driver: Driver, expected: str, fault: IBMFault
) -> None:
    ibm.inject(IBMFault.GATEWAY_TIMEOUT_THOUGH_ACCEPTED)
    ibm.inject(fault, request="submit")

    samples = await driver.sampled(sampler(ibm))

    assert bits_sha256(samples) == expected
    assert states(ibm) == ["Completed"]


@pytest.mark.guarantee("G14")
async def test_a_submission_that_hangs_and_is_accepted_is_one_job(
    ibm: FakeIBMQuantum, driver: Driver, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qcsc_loop.sampling.ibm.submission.SUBMIT_SECONDS", 4.0)
    ibm.inject(IBMFault.HANGS, request="submit", seconds=8)

    samples = await driver.sampled(sampler(ibm))

    assert bits_sha256(samples) == expected
    assert states(ibm) == ["Completed"]


# a submission that was not taken


@pytest.mark.parametrize(
    ("fault", "request_kind"),
    [
        (IBMFault.SERVER_ERROR, "submit"),
        (IBMFault.CONNECTION_LOST, "submit"),
        (IBMFault.TOO_MANY_REQUESTS, "submit"),
        (IBMFault.TOO_MANY_REQUESTS, "usage"),
        (IBMFault.HTML_PAGE, "usage"),
        (IBMFault.HTML_PAGE, "backend"),
        (IBMFault.HTML_PAGE, "backends"),
        (IBMFault.SERVER_ERROR, "backends"),
        (IBMFault.SERVER_ERROR, "token"),
        (IBMFault.CONNECTION_LOST, "token"),
        (IBMFault.HTML_PAGE, "catalogue"),
    ],
)
async def test_a_submission_is_made_again_that_was_not_taken(
    ibm: FakeIBMQuantum,
    driver: Driver,
    expected: str,
    fault: IBMFault,
    request_kind: RequestKind,
) -> None:
    ibm.inject(fault, request=request_kind)

    samples = await driver.sampled(sampler(ibm))

    assert struck(ibm) == [fault]
    assert bits_sha256(samples) == expected
    assert states(ibm) == ["Completed"]


async def test_a_service_that_asks_for_time_gets_it(
    ibm: FakeIBMQuantum, driver: Driver, expected: str
) -> None:
    ibm.inject(IBMFault.TOO_MANY_REQUESTS, request="submit", seconds=1)

    assert bits_sha256(await driver.sampled(sampler(ibm))) == expected
    assert states(ibm) == ["Completed"]


@pytest.mark.parametrize("fault", [IBMFault.FORBIDDEN, IBMFault.NOT_FOUND])
async def test_a_job_that_is_refused_is_rejected_at_once(
    ibm: FakeIBMQuantum, driver: Driver, fault: IBMFault
) -> None:
    ibm.inject(fault, request="submit", times=9)

    failed = await driver.failure(sampler(ibm))

    assert failed.state == "REJECTED"
    assert f"Injected: {fault}" in str(failed)
    assert ibm.jobs() == []
    assert kinds(ibm).count("submit") == 1


async def test_a_service_that_never_answers_fails_the_step_and_nothing_is_lost(
    ibm: FakeIBMQuantum, driver: Driver, expected: str
) -> None:
    ibm.inject(IBMFault.CONNECTION_LOST, request="token", times=9)
    with pytest.raises(SiteUnreachable, match="IBM Quantum does not answer"):
        await driver.sampled(sampler(ibm, patience_seconds=0))
    ibm.heal()
    driver.next()

    assert bits_sha256(await driver.sampled(sampler(ibm))) == expected
    assert states(ibm) == ["Completed"]


# results that cannot be read here, or are more than was asked for


def gone(result: Path) -> None:
    result.unlink()


def emptied(result: Path) -> None:
    result.write_bytes(b"")


def full_of_nuls(result: Path) -> None:
    result.write_bytes(bytes(result.stat().st_size))


def cut_off(result: Path) -> None:
    result.write_bytes(result.read_bytes()[:-30])


def folder_gone(result: Path) -> None:
    shutil.rmtree(result.parent)


@pytest.mark.guarantee("G13")
@pytest.mark.parametrize("spoil", [gone, emptied, full_of_nuls, cut_off, folder_gone])
async def test_a_paid_result_that_cannot_be_read_is_fetched_again(
    ibm: FakeIBMQuantum, driver: Driver, expected: str, spoil: Callable[[Path], None]
) -> None:
    await driver.sampled(sampler(ibm))
    spoil(driver.records[0].folder / RESULT)
    driver.next()

    assert bits_sha256(await driver.sampled(sampler(ibm))) == expected
    assert states(ibm) == ["Completed"]


async def test_a_result_that_the_service_does_not_give_is_fetched_by_a_resume(
    ibm: FakeIBMQuantum, driver: Driver, expected: str
) -> None:
    ibm.inject(IBMFault.CONNECTION_LOST, request="results", times=99)
    with pytest.raises(SiteUnreachable):
        await driver.sampled(sampler(ibm, patience_seconds=0))
    assert [record.state for record in driver.records] == ["COMPLETED"]
    ibm.heal()
    driver.next()

    assert bits_sha256(await driver.sampled(sampler(ibm))) == expected
    assert states(ibm) == ["Completed"]


async def test_shots_that_twirling_adds_are_used_and_said(
    ibm: FakeIBMQuantum, driver: Driver
) -> None:
    twirled = {"twirling": {"enable_measure": True, "num_randomizations": 3}}

    samples = await driver.sampled(sampler(ibm, options=twirled))

    assert samples.shots == len(samples.bits["meas"]) == 42  # 40, in three equal parts
    assert (samples.provenance["shots_asked"], samples.provenance["shots_given"]) == (SHOTS, 42)
    assert states(ibm) == ["Completed"]


async def test_a_circuit_of_which_nothing_would_be_read_is_refused_before_it_is_paid(
    ibm: FakeIBMQuantum, driver: Driver
) -> None:
    unmeasured = QuantumCircuit(2)
    unmeasured.h(0)

    with pytest.raises(NothingMeasured, match="no classical register"):
        await driver.sampled(sampler(ibm), unmeasured)

    assert (ibm.jobs(), driver.records) == ([], [])


def counting() -> QuantumCircuit:
    """Has a variable, and registers that nobody named: other ones each time it is made."""
    circuit = QuantumCircuit(QuantumRegister(2), ClassicalRegister(2))
    circuit.add_var("count", expr.lift(3, types.Uint(8)))
    circuit.x(0)
    circuit.measure([0, 1], [0, 1])
    return circuit


async def test_a_circuit_that_a_resume_makes_anew_finds_its_job(
    ibm: FakeIBMQuantum, driver: Driver
) -> None:
    by = sampler(ibm, client="sampler")
    await driver.sampled(by, counting())
    driver.next()
    again = counting()

    samples = await driver.sampled(by, again)

    assert list(samples.bits) == [again.cregs[0].name]
    assert len(ibm.jobs()) == 1


# who may


@pytest.mark.parametrize("credentials", ["a-wrong-key", ""])
async def test_a_wrong_key_is_told_at_once(
    ibm: FakeIBMQuantum, driver: Driver, monkeypatch: pytest.MonkeyPatch, credentials: str
) -> None:
    monkeypatch.setenv("QISKIT_IBM_TOKEN", credentials)
    began = time.monotonic()

    with pytest.raises((CredentialsRefused, JobFailed), match="does not let us in") as caught:
        await driver.sampled(sampler(ibm))

    assert time.monotonic() - began < QUICK_SECONDS
    assert not credentials or credentials not in str(caught.value)
    assert {*kinds(ibm)} <= {"token"}


async def test_a_run_with_a_corrected_key_goes_on(
    ibm: FakeIBMQuantum, driver: Driver, monkeypatch: pytest.MonkeyPatch, expected: str
) -> None:
    monkeypatch.setenv("QISKIT_IBM_TOKEN", "a-wrong-key")
    with pytest.raises((CredentialsRefused, JobFailed)):
        await driver.sampled(sampler(ibm))
    monkeypatch.setenv("QISKIT_IBM_TOKEN", ibm.token)
    driver.next()

    assert bits_sha256(await driver.sampled(sampler(ibm))) == expected


@pytest.mark.parametrize("request_kind", ["list", "poll", "results"])
async def test_a_key_that_is_refused_in_mid_wait_leaves_the_job_to_a_resume(
    ibm: FakeIBMQuantum, driver: Driver, expected: str, request_kind: RequestKind
) -> None:
    # the first list is the one after the submission
    skip = 1 if request_kind == "list" else 0
    ibm.inject(IBMFault.UNAUTHORIZED, request=request_kind, skip=skip)
    ibm.queue_seconds = 1.0

    with pytest.raises(CredentialsRefused, match="does not let us in"):
        await driver.sampled(sampler(ibm))
    driver.next()
    samples = await driver.sampled(sampler(ibm))

    assert bits_sha256(samples) == expected
    assert states(ibm) == ["Completed"]


# what cannot be


async def test_a_backend_that_is_not_there_is_answered_with_those_that_are(
    ibm: FakeIBMQuantum, driver: Driver
) -> None:
    failed = await driver.failure(sampler(ibm, backend="ibm_manlia"))

    assert failed.state == "REJECTED"
    assert "there is no backend 'ibm_manlia'; there are: ibm_manila" in str(failed)
    assert ibm.jobs() == []


async def test_a_circuit_that_no_backend_is_wide_enough_for_is_rejected(
    ibm: FakeIBMQuantum, driver: Driver
) -> None:
    failed = await driver.failure(sampler(ibm), circuit=rotated(6))

    assert failed.state == "REJECTED"
    assert "there is no backend of 6 qubits; there are: ibm_manila" in str(failed)


@pytest.mark.parametrize("client", ["executor", "sampler"])
@pytest.mark.parametrize(
    "options",
    [{"default_shotz": 5}, {"dynamical_decoupling": {"enabel": True}}, {"twirling": 3}],
    ids=["unknown", "nested", "type"],
)
async def test_an_option_that_the_client_does_not_know_is_refused_before_anything_is_asked(
    ibm: FakeIBMQuantum, driver: Driver, client: str, options: dict[str, Any]
) -> None:
    with pytest.raises(InvalidParameters, match=next(iter(options))):
        await driver.sampled(sampler(ibm, client=client, options=options))

    assert (ibm.requests(), driver.records) == ([], [])


@pytest.mark.parametrize("client", ["executor", "sampler"])
async def test_options_reach_the_job(ibm: FakeIBMQuantum, driver: Driver, client: str) -> None:
    for iteration, enabled in enumerate((False, True)):
        options = {"dynamical_decoupling": {"enable": enabled}}
        await driver.sampled(sampler(ibm, client=client, options=options), iteration=iteration)

    one, other = ibm.jobs()
    assert one.params_digest != other.params_digest


@pytest.mark.parametrize("taken", [{"job_tags": ["mine"]}, {"private": True}])
def test_options_that_finding_a_job_again_needs_are_refused(taken: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=f"options.environment.{next(iter(taken))} cannot"):
        IBMRuntimeSampler(options={"environment": taken})


@pytest.mark.parametrize("name", ["my-account", "ibm-credentials/", "other/block", "a key"])
def test_credentials_are_the_name_of_a_block(name: str) -> None:
    with pytest.raises(ValidationError, match="credentials"):
        IBMRuntimeSampler(credentials=name)


async def test_another_circuit_or_number_of_shots_is_another_input(
    ibm: FakeIBMQuantum, driver: Driver
) -> None:
    by = sampler(ibm)
    await driver.sampled(by)

    changes: list[dict[str, Any]] = [{"shots": SHOTS + 1}, {"circuit": rotated(3, 0.1)}]
    for changed in changes:
        with pytest.raises(JobInputChanged, match=ibm.jobs()[0].id):
            await driver.sampled(by, **changed)
    with pytest.raises(JobInputChanged):
        await driver.sampled(sampler(ibm, optimization_level=3))

    assert len(ibm.jobs()) == 1


async def test_the_account_and_the_way_to_it_are_no_input(
    ibm: FakeIBMQuantum, driver: Driver, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await driver.sampled(sampler(ibm))
    for name, value in ibm.environment.items():
        monkeypatch.setenv(name, value)

    again = await driver.sampled(IBMRuntimeSampler(poll_seconds=0.1))

    assert bits_sha256(again) == expected
    assert len(ibm.jobs()) == 1


# while it is waited for

POLLING = [
    IBMFault.HTML_PAGE,
    IBMFault.CONNECTION_LOST,
    IBMFault.SERVER_ERROR,
    IBMFault.TOO_MANY_REQUESTS,
    IBMFault.TRUNCATED,
]


@pytest.mark.parametrize("fault", POLLING)
@pytest.mark.parametrize("request_kind", ["list", "poll", "metrics"])
async def test_a_question_that_gets_no_answer_changes_no_jobs_state(
    ibm: FakeIBMQuantum,
    driver: Driver,
    expected: str,
    fault: IBMFault,
    request_kind: RequestKind,
) -> None:
    ibm.hold()
    async with driver.asking(sampler(ibm)) as task:
        await until_async(lambda: JobState.PENDING in driver.states, "it has an id")
        ibm.inject(fault, request=request_kind)
        if request_kind == "list":
            await until_async(lambda: struck(ibm) == [fault], "the fault strikes")
        ibm.release()
        samples = await task

    assert struck(ibm) == [fault]
    assert bits_sha256(samples) == expected
    assert states(ibm) == ["Completed"]
    assert [*dict.fromkeys(driver.states)] == [JobState.PENDING, JobState.COMPLETED]


async def test_a_service_that_does_not_answer_is_a_trouble_told_once(
    ibm: FakeIBMQuantum, driver: Driver
) -> None:
    ibm.hold()
    async with driver.asking(sampler(ibm)) as task:
        await until_async(lambda: JobState.PENDING in driver.states, "it has an id")
        ibm.inject(IBMFault.HTML_PAGE, request="list", times=4)
        await until_async(lambda: len(struck(ibm)) == 4, "all faults strike")
        ibm.release()
        await task

    (trouble,) = driver.troubles
    assert "its jobs go on, and it is asked again" in trouble


async def test_a_list_that_tells_of_more_jobs_than_it_has_is_no_end_of_the_world(
    ibm: FakeIBMQuantum, driver: Driver, expected: str
) -> None:
    ibm.inject(IBMFault.LIST_MISCOUNTED, times=3)

    assert bits_sha256(await driver.sampled(sampler(ibm))) == expected


@pytest.mark.parametrize(
    "fault",
    [*POLLING, IBMFault.NOT_FOUND],
)
async def test_results_are_asked_for_until_they_come(
    ibm: FakeIBMQuantum, driver: Driver, expected: str, fault: IBMFault
) -> None:
    ibm.inject(fault, request="results")

    assert bits_sha256(await driver.sampled(sampler(ibm))) == expected
    assert states(ibm) == ["Completed"]


async def test_results_that_do_not_come_fail_the_step_and_a_resume_gets_them(
    ibm: FakeIBMQuantum, driver: Driver, expected: str
) -> None:
    ibm.inject(IBMFault.TRUNCATED, times=99)
    with pytest.raises(SiteUnreachable):
        await driver.sampled(sampler(ibm, patience_seconds=0.3))
    ibm.heal()
    driver.next()

    assert bits_sha256(await driver.sampled(sampler(ibm))) == expected
    assert states(ibm) == ["Completed"]


async def test_all_jobs_of_a_run_are_asked_for_with_one_question(
    ibm: FakeIBMQuantum, driver: Driver
) -> None:
    ibm.hold()
    by = sampler(ibm)
    asked: list[FakeIBMRequest] = []
    async with anyio.create_task_group() as group:
        for iteration in range(3):
            group.start_soon(lambda k=iteration: driver.sampled(by, iteration=k))  # type: ignore[misc]
        await until_async(lambda: len(pending(ibm)) == 3, "all are submitted")
        await until_async(lambda: driver.states.count(JobState.PENDING) == 3, "all have ids")
        before = len(ibm.requests())
        await until_async(lambda: len(ibm.requests()) > before + 4, "it was asked again")
        asked += ibm.requests()[before:]
        ibm.release()

    assert {request.kind for request in asked} == {"list"}
    assert all("pending=true" in request.path for request in asked)
    assert len({request.path for request in asked}) == 1


# limits and bad ends


async def test_a_job_that_waits_too_long_is_cancelled(ibm: FakeIBMQuantum, driver: Driver) -> None:
    ibm.hold()

    failed = await driver.failure(sampler(ibm, queue_timeout=0.5))

    assert failed.state == "TIMEOUT"
    assert "it waited longer than 0.5 s and was cancelled" in str(failed)
    assert states(ibm) == ["Cancelled"]


async def test_a_job_that_runs_is_not_cancelled_for_having_waited(
    ibm: FakeIBMQuantum, driver: Driver, expected: str
) -> None:
    ibm.run_seconds = 1.5

    assert bits_sha256(await driver.sampled(sampler(ibm, queue_timeout=0.5))) == expected
    assert states(ibm) == ["Completed"]


@pytest.mark.parametrize("request_kind", ["poll", "cancel"])
async def test_a_question_that_gets_no_answer_at_the_limit_fails_nothing(
    ibm: FakeIBMQuantum, driver: Driver, request_kind: RequestKind
) -> None:
    ibm.hold()
    times = 12 if request_kind == "poll" else 1
    ibm.inject(IBMFault.TOO_MANY_REQUESTS, request=request_kind, times=times)

    failed = await driver.failure(sampler(ibm, queue_timeout=0.5))

    assert failed.state == "TIMEOUT"
    assert states(ibm) == ["Cancelled"]


@pytest.mark.parametrize(
    ("fault", "reason", "code", "state"),
    [
        (IBMFault.JOB_FAILS, "Circuit too deep", 1517, "FAILED"),
        (IBMFault.JOB_FAILS, "", None, "FAILED"),
        (IBMFault.JOB_CANCELLED, "", None, "CANCELLED"),
        (IBMFault.JOB_CANCELLED, "Ran too long", 1305, "TIMEOUT"),
    ],
    ids=["reason", "traceback", "cancelled", "too-long"],
)
async def test_a_job_that_ends_badly_is_told_as_what_it_is(
    ibm: FakeIBMQuantum,
    driver: Driver,
    fault: IBMFault,
    reason: str,
    code: int | None,
    state: str,
) -> None:
    ibm.inject(fault, reason=reason, code=code)

    failed = await driver.failure(sampler(ibm))

    (job,) = ibm.jobs()
    assert (failed.state, failed.job_id) == (state, job.id)
    assert reason in str(failed)
    assert driver.records[0].state == state


async def test_a_job_that_ended_badly_is_followed_by_another_attempt(
    ibm: FakeIBMQuantum, driver: Driver, expected: str
) -> None:
    ibm.inject(IBMFault.JOB_FAILS, reason="bad luck", code=1)
    await driver.failure(sampler(ibm))
    driver.next()

    assert bits_sha256(await driver.sampled(sampler(ibm))) == expected
    assert [record.key.attempt for record in driver.records] == [0, 1]
    assert states(ibm) == ["Failed", "Completed"]


# cancelled, left, and taken up again


async def test_a_cancelled_run_cancels_its_job(ibm: FakeIBMQuantum, driver: Driver) -> None:
    ibm.hold()
    async with driver.asking(sampler(ibm)):
        await until_async(lambda: JobState.PENDING in driver.states, "it has an id")

    assert states(ibm) == ["Cancelled"]
    assert [record.state for record in driver.records] == ["CANCELLED"]


async def test_a_run_that_is_cancelled_while_it_submits_leaves_no_job(
    ibm: FakeIBMQuantum, driver: Driver
) -> None:
    ibm.hold()
    ibm.inject(IBMFault.HANGS, request="submit", seconds=2)
    async with driver.asking(sampler(ibm, settle_seconds=3)):
        await until_async(lambda: ibm.jobs() != [], "it was accepted")

    assert states(ibm) == ["Cancelled"]
    assert driver.records[0].over


async def test_a_driver_that_leaves_its_jobs_leaves_them(
    ibm: FakeIBMQuantum, driver: Driver, expected: str
) -> None:
    driver.leave_jobs = True
    ibm.hold()
    async with driver.asking(sampler(ibm)):
        await until_async(lambda: JobState.PENDING in driver.states, "it has an id")
    left = states(ibm)
    ibm.release()
    driver.next()

    assert left == ["Queued"]
    assert bits_sha256(await driver.sampled(sampler(ibm))) == expected
    assert states(ibm) == ["Completed"]


async def test_a_job_that_was_collected_is_not_asked_for_again(
    ibm: FakeIBMQuantum, driver: Driver, expected: str
) -> None:
    await driver.sampled(sampler(ibm))
    before = len(ibm.requests())
    driver.next()

    again = await driver.sampled(sampler(ibm))

    assert bits_sha256(again) == expected
    assert len(ibm.requests()) == before


RESUMED = """
import sys
import anyio
from loop.sampling.sampling_toys import Sampling
from qcsc_loop.sampling.sampler import Sampler
from qcsc_loop.rules.stop import MaxIterations
from qcsc_loop.store.directory import DirectoryStore

store, settings = sys.argv[1:]
algorithm = Sampling(sampler=Sampler.model_validate_json(settings), shots=40)
options = {"store": DirectoryStore(store), "run_id": "resumed", "stop": MaxIterations(2)}
print(anyio.run(lambda: algorithm.run(**options)).state_sha256)
"""


async def test_a_fresh_process_takes_up_the_job_and_gets_the_same_bits(
    ibm: FakeIBMQuantum, tmp_path: Path
) -> None:
    algorithm = Sampling(sampler=sampler(ibm), shots=SHOTS)
    limit = MaxIterations(2)
    through = await algorithm.run(
        store=DirectoryStore(tmp_path / "through"), run_id="resumed", stop=limit
    )
    done = len(ibm.jobs())
    ibm.hold()
    store = DirectoryStore(tmp_path / "left")
    run = asyncio.create_task(
        algorithm.run(store=store, run_id="resumed", stop=limit, leave_jobs=lambda: True)
    )
    await until_async(lambda: "submitted" in lines(store), "it has an id")
    run.cancel()
    await asyncio.wait([run])
    left = states(ibm)[done:]
    ibm.release()

    settings = algorithm.sampler.model_dump_json()
    there = await anyio.to_thread.run_sync(
        lambda: printed_by(RESUMED, str(tmp_path / "left"), settings, **environment())
    )

    assert left == ["Queued"]
    assert there == through.state_sha256
    assert states(ibm)[done:] == ["Completed"] * 2


def lines(store: DirectoryStore) -> list[str]:
    """The kinds of the ledger's lines."""
    return [str(json.loads(line)["kind"]) for line in store.lines("resumed/jobs.jsonl")]


def test_reap_ends_a_job_that_was_left(ibm: FakeIBMQuantum, tmp_path: Path) -> None:
    ibm.hold()
    store = DirectoryStore(tmp_path)
    told: list[str] = []

    async def leave() -> None:
        algorithm = Sampling(sampler=sampler(ibm), shots=SHOTS)
        run = asyncio.create_task(
            algorithm.run(store=store, run_id="resumed", leave_jobs=lambda: True)
        )
        await until_async(lambda: "submitted" in lines(store), "it has an id")
        run.cancel()
        await asyncio.wait([run])

    anyio.run(leave)
    left = anyio.run(
        reap, Journal(store, "resumed"), lambda record, why: told.append(f"{record.state}{why}")
    )

    assert (left, told) == ([], ["CANCELLED"])
    assert states(ibm) == ["Cancelled"]


# a driver that stood still, and was overtaken

lost: list[str] = []  # in whose compilation another driver took the run over


def slow_pass_manager(backend: Any, seed: int) -> Any:
    """Another driver takes the run over while this one compiles."""
    lost.append(backend.name)
    return generate_preset_pass_manager(0, backend=backend, seed_transpiler=seed)


def refuse_when_lost() -> None:
    if lost:
        raise LeaseLost("quantum", 1, 2)


@pytest.mark.guarantee("G19")
@pytest.mark.parametrize("mode", ["job", "session"])
async def test_a_driver_that_lost_its_run_while_it_compiled_submits_nothing(
    ibm: FakeIBMQuantum, driver: Driver, mode: str
) -> None:
    lost.clear()
    driver.ledger.check = refuse_when_lost
    by = sampler(ibm, mode=mode, pass_manager=f"{__name__}:slow_pass_manager")

    with pytest.raises(LeaseLost):
        await driver.sampled(by)

    assert lost != []
    assert (ibm.jobs(), session_requests(ibm)) == ([], [])


@pytest.mark.parametrize("client", ["executor", "sampler"])
async def test_a_driver_that_lost_its_run_before_the_request_itself_submits_nothing(
    ibm: FakeIBMQuantum, driver: Driver, client: str
) -> None:
    """The client asks for usage and status first, which may take long."""

    def refuse_after_usage() -> None:
        if "usage" in kinds(ibm):
            raise LeaseLost("quantum", 1, 2)

    driver.ledger.check = refuse_after_usage

    with pytest.raises(LeaseLost):
        await driver.sampled(sampler(ibm, client=client))

    assert "usage" in kinds(ibm)
    assert ibm.jobs() == []


# batches and sessions


def ran(
    ibm: FakeIBMQuantum, folder: Path, mode: str, **options: Unpack[RunOptions]
) -> Outcome[Seen]:
    algorithm = Sampling(sampler=sampler(ibm, mode=mode), shots=SHOTS)
    options.setdefault("stop", MaxIterations(2))
    options |= {"store": DirectoryStore(folder), "run_id": "in-a-mode"}
    return anyio.run(lambda: algorithm.run(**options))


def session_requests(ibm: FakeIBMQuantum) -> list[str]:
    """What was asked about sessions, but for looks at them."""
    return [
        request.method
        for request in ibm.requests()
        if request.kind == "session" and request.method != "GET"
    ]


@pytest.mark.parametrize("mode", ["batch", "session"])
def test_all_jobs_of_a_run_share_its_session_which_its_end_closes(
    ibm: FakeIBMQuantum, tmp_path: Path, mode: str
) -> None:
    through = ran(ibm, tmp_path / "job", "job")
    outcome = ran(ibm, tmp_path / mode, mode)

    *alone, one, two = ibm.jobs()
    assert [job.session_id for job in alone] == [None, None]
    assert one.session_id == two.session_id is not None
    assert session_requests(ibm) == ["POST", "PATCH"]
    assert digests(outcome) == digests(through)


def test_a_run_that_fails_closes_its_session(ibm: FakeIBMQuantum, tmp_path: Path) -> None:
    ibm.inject(IBMFault.JOB_FAILS, reason="bad luck", code=1)

    with pytest.raises(HookFailed, match="bad luck"):
        ran(ibm, tmp_path, "session")

    assert session_requests(ibm) == ["POST", "PATCH"]


@pytest.mark.parametrize("how", ["task", "scope"])
def test_a_run_that_is_cancelled_closes_its_session(
    ibm: FakeIBMQuantum, tmp_path: Path, how: str
) -> None:
    ibm.hold()
    algorithm = Sampling(sampler=sampler(ibm, mode="session"), shots=SHOTS)

    async def run() -> None:
        await algorithm.run(store=DirectoryStore(tmp_path), run_id="in-a-mode")

    async def cancelled() -> None:
        if how == "task":
            task = asyncio.create_task(run())
            await until_async(lambda: ibm.jobs() != [], "there is a job")
            task.cancel()
            await asyncio.wait([task])
        else:
            async with anyio.create_task_group() as group:
                group.start_soon(run)
                await until_async(lambda: ibm.jobs() != [], "there is a job")
                group.cancel_scope.cancel()

    anyio.run(cancelled)

    assert session_requests(ibm) == ["POST", "PATCH"]
    assert states(ibm) == ["Cancelled"]


def left_by_a_driver_that_died(ibm: FakeIBMQuantum, store: DirectoryStore) -> None:
    """A run whose session is open and whose job waits, as after a kill: nothing ran at its end."""

    async def leave() -> None:
        algorithm = Sampling(sampler=sampler(ibm, mode="session"), shots=SHOTS)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("qcsc_loop.exactly_once.measuring.release_all", forgotten)
            run = asyncio.create_task(
                algorithm.run(store=store, run_id="in-a-mode", leave_jobs=lambda: True)
            )
            await until_async(lambda: JOB_IS_KNOWN in log(store), "it has an id")
            run.cancel()
            await asyncio.wait([run])

    async def forgotten(_ledger: Ledger) -> list[Any]:
        return []

    ibm.hold()
    anyio.run(leave)
    ibm.release()


JOB_IS_KNOWN = b'"submitted"'


def log(store: DirectoryStore) -> bytes:
    return b"".join(store.lines("in-a-mode/jobs.jsonl"))


def test_a_resume_goes_on_in_the_session_of_a_driver_that_was_killed_and_closes_it(
    ibm: FakeIBMQuantum, tmp_path: Path
) -> None:
    left_by_a_driver_that_died(ibm, DirectoryStore(tmp_path))
    open_then = session_requests(ibm)

    ran(ibm, tmp_path, "session")

    one, two = ibm.jobs()
    assert one.session_id == two.session_id is not None
    assert (open_then, session_requests(ibm)) == (["POST"], ["POST", "PATCH"])


def test_a_resume_in_another_mode_closes_the_session_that_was_left(
    ibm: FakeIBMQuantum, tmp_path: Path
) -> None:
    left_by_a_driver_that_died(ibm, DirectoryStore(tmp_path))

    ran(ibm, tmp_path, "job")

    assert session_requests(ibm) == ["POST", "PATCH"]


@pytest.mark.guarantee("G16")
def test_reap_closes_the_session_that_was_left(ibm: FakeIBMQuantum, tmp_path: Path) -> None:
    left_by_a_driver_that_died(ibm, DirectoryStore(tmp_path))

    for _ in range(2):
        journal = Journal(DirectoryStore(tmp_path), "in-a-mode")
        assert anyio.run(reap, journal, lambda _job, _why: None) == []

    assert session_requests(ibm) == ["POST", "PATCH"]


def test_a_session_that_somebody_closed_is_followed_by_another(
    ibm: FakeIBMQuantum, tmp_path: Path
) -> None:
    ran(ibm, tmp_path, "session", stop=MaxIterations(1))

    outcome = ran(ibm, tmp_path, "session", stop=MaxIterations(2))

    one, two = ibm.jobs()
    assert outcome.iteration == 2
    assert one.session_id != two.session_id
    assert session_requests(ibm) == ["POST", "PATCH"] * 2


# what it costs


# known at the first question, and only after it
@pytest.mark.parametrize("delay", [0.0, 0.1, 1.0])
def test_what_a_job_used_is_in_the_outcome_however_late_it_is_known(
    ibm: FakeIBMQuantum, tmp_path: Path, delay: float
) -> None:
    ibm.usage_delay = delay

    outcome = ran(ibm, tmp_path, "job", stop=MaxIterations(1))

    (job,) = ibm.jobs()
    assert outcome.usage == {"shots": SHOTS, "qpu_seconds": pytest.approx(job.qpu_seconds)}


def test_a_budget_of_qpu_seconds_ends_a_run(ibm: FakeIBMQuantum, tmp_path: Path) -> None:
    each = SHOTS * 2.5e-4

    outcome = ran(ibm, tmp_path, "job", stop=MaxIterations(9) | QpuSeconds(2.5 * each))

    assert (outcome.reason, outcome.iteration) == (Reason.BUDGET, 2)
    assert outcome.usage["qpu_seconds"] == pytest.approx(2 * each)


def test_a_budget_holds_though_usage_is_known_late(ibm: FakeIBMQuantum, tmp_path: Path) -> None:
    each = SHOTS * 2.5e-4
    ibm.usage_delay = 0.2

    first = ran(ibm, tmp_path, "job", stop=MaxIterations(1))
    resumed = ran(ibm, tmp_path, "job", stop=MaxIterations(9) | QpuSeconds(1.5 * each))

    assert (first.iteration, resumed.iteration) == (1, 1)
    assert resumed.reason is Reason.BUDGET


# the event loop, the network and the key


@pytest.mark.parametrize("request_kind", ["token", "usage", "submit", "list", "poll", "results"])
async def test_the_event_loop_goes_on_while_a_call_hangs(
    ibm: FakeIBMQuantum, driver: Driver, request_kind: RequestKind
) -> None:
    await driver.sampled(sampler(ibm), iteration=9)  # all modules are imported
    ibm.inject(IBMFault.HANGS, request=request_kind, seconds=5)
    ticks = [time.monotonic()]

    async def tick() -> None:
        while True:
            await anyio.sleep(0.01)
            ticks.append(time.monotonic())

    async with anyio.create_task_group() as group:
        group.start_soon(tick)
        # other settings: a client of its own
        await driver.sampled(sampler(ibm, patience_seconds=21, channel="ibm_cloud"))
        group.cancel_scope.cancel()

    # a loop the call holds stands still for as long as the call hangs
    assert max(b - a for a, b in pairwise(ticks)) < 5
    assert struck(ibm) == [IBMFault.HANGS]


def test_a_call_that_hangs_does_not_keep_the_process(ibm: FakeIBMQuantum, tmp_path: Path) -> None:
    ibm.inject(IBMFault.HANGS, request="submit", seconds=60)
    began = time.monotonic()

    printed = printed_by(LEAVING, str(tmp_path), sampler(ibm).model_dump_json(), **environment())

    assert printed == "left"
    assert time.monotonic() - began < 30


LEAVING = """
import sys
import anyio
from loop.sampling.sampling_toys import Sampling
from qcsc_loop.sampling.sampler import Sampler
from qcsc_loop.store.directory import DirectoryStore

store, settings = sys.argv[1:]
algorithm = Sampling(sampler=Sampler.model_validate_json(settings))

async def run():
    with anyio.move_on_after(5):
        await algorithm.run(store=DirectoryStore(store), leave_jobs=lambda: True)

anyio.run(run)
print("left")
"""

WITHOUT_A_NETWORK = """
import socket

def refuse(*_):
    raise AssertionError("a socket was asked to connect")

socket.socket.connect = socket.socket.connect_ex = refuse
socket.getaddrinfo = refuse

from prefect.blocks.core import Block
import qcsc_hpc.prefect.blocks
import qcsc_loop.prefect.blocks
from qcsc_loop.sampling.ibm.sampler import IBMRuntimeSampler
from qcsc_loop.sampling.sampler import Sampler

given = {
    "ReplaySamplerBlock": {"settings": {"run_id": "earlier"}},
    "IBMCredentialsBlock": {"api_key": "secret"},
    "IBMRuntimeSamplerBlock": {"settings": {"credentials": "ibm-credentials/mine", "mode": "session"}},
    "QRMISamplerBlock": {"settings": {"resource": "heron", "machine": "hpc-machine/slurm"}},
    "PrefectQiskitSamplerBlock": {"settings": {"block": "mine"}},
}
modules = [qcsc_loop.prefect.blocks, qcsc_hpc.prefect.blocks]
kinds = [
    kind for module in modules for kind in vars(module).values()
    if isinstance(kind, type) and issubclass(kind, Block) and kind.__module__ == module.__name__
]
for kind in kinds:
    if "settings" in kind.model_fields or kind.__name__ in given:
        block = kind.model_validate(given.get(kind.__name__, {}))
        print(kind.__name__)
"""


def test_no_block_needs_a_network_to_be_loaded(ibm: FakeIBMQuantum) -> None:
    loaded = printed_by(WITHOUT_A_NETWORK, **ibm.environment).split()

    assert {"IBMRuntimeSamplerBlock", "IBMRuntimeEstimatorBlock", "AerSamplerBlock"} <= {*loaded}
    assert ibm.requests() == []


async def test_a_warning_that_shows_the_key_is_shown_by_no_call(
    ibm: FakeIBMQuantum, recwarn: pytest.WarningsRecorder
) -> None:
    account = IBMAccount(url=ibm.url, proxies=ibm.proxies["urls"], instance=ibm.instance)
    service = service_for(account)
    both, first_is_over = threading.Barrier(2), threading.Event()

    def first(_: object) -> None:
        both.wait(10)

    def second(_: object) -> None:
        both.wait(10)
        first_is_over.wait(10)
        warnings.warn(f"going on with apikey {ibm.token}", UserWarning, stacklevel=1)

    warnings.simplefilter("always")
    await service.ask(lambda _: None)
    async with anyio.create_task_group() as group:
        group.start_soon(service.ask, second)
        await service.ask(first)
        first_is_over.set()

    assert [str(warning.message) for warning in recwarn if ibm.secret in str(warning.message)] == []


# expectation values


def estimator(ibm: FakeIBMQuantum, **more: Any) -> IBMRuntimeEstimator:
    return IBMRuntimeEstimator(**settings(ibm, **more))


def spread() -> QuantumCircuit:
    """Each qubit has an expectation value of its own."""
    circuit = QuantumCircuit(4)
    for qubit in range(4):
        circuit.ry(0.4 * qubit, qubit)
    circuit.cz(0, 3)
    return circuit


EACH_Z = [SparsePauliOp.from_sparse_list([("Z", [qubit], 1.0)], 4) for qubit in range(4)]


async def estimated(driver: Driver, by: IBMRuntimeEstimator, precision: float = 0.02) -> Estimates:
    with stepping(driver.step()):
        return await by.estimate(spread(), EACH_Z, precision=precision)


async def test_expectation_values_are_those_of_the_circuits_own_qubits(
    ibm: FakeIBMQuantum, driver: Driver
) -> None:
    found = await estimated(driver, estimator(ibm, optimization_level=3))

    # six times the precision that was asked for
    assert found.values == pytest.approx(np.cos(0.4 * np.arange(4)), abs=0.12)
    assert found.standard_errors.shape == (4,)
    (job,), (record,) = ibm.jobs(), driver.records
    assert record.key.job_name in job.tags
    assert found.provenance["job_id"] == job.id


async def test_expectation_values_are_taken_from_the_job_that_was_accepted_in_silence(
    ibm: FakeIBMQuantum, driver: Driver
) -> None:
    ibm.inject(IBMFault.CONNECTION_LOST_THOUGH_ACCEPTED)

    await estimated(driver, estimator(ibm))

    assert states(ibm) == ["Completed"]


async def test_a_resumed_estimate_has_the_same_values_from_the_same_job(
    ibm: FakeIBMQuantum, driver: Driver
) -> None:
    first = await estimated(driver, estimator(ibm))
    driver.next()
    again = await estimated(driver, estimator(ibm))

    assert (again.values == first.values).all()
    assert len(ibm.jobs()) == 1


async def test_another_precision_is_another_input(ibm: FakeIBMQuantum, driver: Driver) -> None:
    await estimated(driver, estimator(ibm))

    with pytest.raises(JobInputChanged):
        await estimated(driver, estimator(ibm), precision=0.1)


async def test_an_option_that_the_estimator_does_not_know_is_refused(
    ibm: FakeIBMQuantum, driver: Driver
) -> None:
    with pytest.raises(InvalidParameters, match="resilience_levle"):
        await estimated(driver, estimator(ibm, options={"resilience_levle": 1}))

    assert ibm.requests() == []

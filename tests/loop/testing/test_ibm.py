"""The fake IBM Quantum, seen by the real client."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from qiskit import QuantumCircuit, qasm3, transpile
from qiskit.circuit import Parameter
from qiskit.primitives.containers import PrimitiveResult
from qiskit.providers import BackendV2
from qiskit.quantum_info import SparsePauliOp
from qiskit_ibm_runtime import (
    Batch,
    EstimatorV2,
    QiskitRuntimeService,
    RuntimeJobV2,
    SamplerV2,
    Session,
)
from qiskit_ibm_runtime.api.exceptions import RequestsApiError
from qiskit_ibm_runtime.exceptions import (
    IBMNotAuthorizedError,
    IBMRuntimeError,
    RuntimeInvalidStateError,
    RuntimeJobFailureError,
    RuntimeJobMaxTimeoutError,
    RuntimeJobNotFound,
    RuntimeJobTimeoutError,
)
from qiskit_ibm_runtime.executor_estimator import Estimator as ExecutorEstimator
from qiskit_ibm_runtime.executor_sampler import Sampler as ExecutorSampler
from qiskit_ibm_runtime.json import RuntimeDecoder
from requests.exceptions import JSONDecodeError

from qcsc_loop.testing import FakeIBMJob, FakeIBMQuantum, IBMFault, RequestKind

pytestmark = pytest.mark.filterwarnings(
    "ignore:The (Sampler|Estimator)V2 class is deprecated:DeprecationWarning"
)

SHOTS = 200
SAMPLERS = [SamplerV2, ExecutorSampler]
ESTIMATORS = [EstimatorV2, ExecutorEstimator]
FINAL = ("Completed", "Failed", "Cancelled")
EVER = 1000


@pytest.fixture
def ibm(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeIBMQuantum]:
    with FakeIBMQuantum() as ibm:
        monkeypatch.setenv("IAM_URL", ibm.iam_url)
        yield ibm


def connect(ibm: FakeIBMQuantum) -> QiskitRuntimeService:
    return QiskitRuntimeService(
        url=ibm.url, proxies=ibm.proxies, token=ibm.token, instance=ibm.instance
    )


@pytest.fixture
def service(ibm: FakeIBMQuantum) -> QiskitRuntimeService:
    return connect(ibm)


@pytest.fixture
def manila(service: QiskitRuntimeService) -> BackendV2:
    return service.backend("ibm_manila")


def ghz(backend: BackendV2, qubits: int = 5) -> QuantumCircuit:
    circuit = QuantumCircuit(qubits)
    circuit.h(0)
    for qubit in range(1, qubits):
        circuit.cx(qubit - 1, qubit)
    circuit.measure_all()
    return transpile(circuit, backend, seed_transpiler=1)


def submit(
    mode: object, backend: BackendV2, *, tags: list[str] | None = None, sampler: Any = SamplerV2
) -> RuntimeJobV2:
    """A GHZ job."""
    made = sampler(mode=mode)
    made.options.environment.job_tags = tags or []
    job = made.run([ghz(backend)], shots=SHOTS)
    assert isinstance(job, RuntimeJobV2)
    return job


def counts(job: RuntimeJobV2) -> dict[str, int]:
    found: dict[str, int] = job.result(poll_interval=0.1)[0].data.meas.get_counts()
    return found


def is_ghz(found: dict[str, int]) -> bool:
    return set(found) == {"00000", "11111"} and sum(found.values()) == SHOTS


def until(found: Callable[[], bool], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < end
        time.sleep(0.01)


def state(ibm: FakeIBMQuantum) -> str:
    return ibm.jobs()[-1].state


def kinds(ibm: FakeIBMQuantum) -> list[str | None]:
    return [request.kind for request in ibm.requests()]


def token(ibm: FakeIBMQuantum, key: str) -> httpx.Response:
    url = f"{ibm.iam_url}/identity/token"
    return httpx.post(url, data={"apikey": key}, trust_env=False)


class Rest:
    """The API without a client that retries."""

    def __init__(self, ibm: FakeIBMQuantum) -> None:
        self.client = httpx.Client(base_url=ibm.runtime_url, trust_env=False, timeout=10.0)
        bearer = token(ibm, ibm.token).json()["access_token"]
        self.client.headers["Authorization"] = f"Bearer {bearer}"
        self.client.headers["Service-CRN"] = ibm.instance

    def submit(self, **params: object) -> str:
        body = {"program_id": "sampler", "backend": "ibm_manila", "params": params}
        answer = self.client.post("/jobs", json=body).raise_for_status()
        job_id: str = answer.json()["id"]
        return job_id


@pytest.fixture
def rest(ibm: FakeIBMQuantum) -> Iterator[Rest]:
    rest = Rest(ibm)
    with closing(rest.client):
        yield rest


# ways to it


def test_the_import_brings_neither_qiskit_nor_prefect() -> None:
    program = (
        "import sys\n"
        "from qcsc_loop.testing import FakeIBMQuantum\n"
        "FakeIBMQuantum()\n"
        "names = {name.partition('.')[0] for name in sys.modules}\n"
        "print(sorted({'prefect', 'qiskit', 'qiskit_ibm_runtime', 'numpy'} & names))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr


USERS_PROGRAM = """
from qiskit import QuantumCircuit, transpile
from qiskit_ibm_runtime import QiskitRuntimeService
from qiskit_ibm_runtime.executor_sampler import Sampler
backend = QiskitRuntimeService().backend("ibm_torino")
circuit = QuantumCircuit(2)
circuit.h(0)
circuit.cx(0, 1)
circuit.measure_all()
job = Sampler(mode=backend).run([transpile(circuit, backend)], shots=100)
print(sorted(job.result()[0].data.meas.get_counts()))
"""


def test_a_users_program_needs_nothing_but_the_environment(ibm: FakeIBMQuantum) -> None:
    done = subprocess.run(
        [sys.executable, "-c", USERS_PROGRAM],
        env={**os.environ, **ibm.environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "['00', '11']\n", done.stderr


def test_the_documented_arguments_lead_to_it(ibm: FakeIBMQuantum) -> None:
    service = connect(ibm)
    assert [backend.name for backend in service.backends()] == ["ibm_manila", "ibm_torino"]
    assert "catalogue" in kinds(ibm)


@pytest.fixture
def direct(ibm: FakeIBMQuantum, monkeypatch: pytest.MonkeyPatch) -> QiskitRuntimeService:
    monkeypatch.setenv("QISKIT_FUNCTIONS_EXPERIMENTAL", "1")
    return QiskitRuntimeService(
        token=ibm.token, instance=ibm.instance, url_resolver=lambda *_: ibm.runtime_url
    )


def test_a_url_resolver_leads_to_it(ibm: FakeIBMQuantum, direct: QiskitRuntimeService) -> None:
    backend = direct.backend("ibm_manila")
    assert is_ghz(counts(submit(backend, backend)))
    assert "catalogue" not in kinds(ibm)


def test_qrmi_finds_a_backend_by_its_environment(ibm: FakeIBMQuantum) -> None:
    assert ibm.qrmi_environment("ibm_torino") == {
        "QRMI_JOB_QPU_RESOURCES": "ibm_torino",
        "QRMI_JOB_QPU_TYPES": "ibm-quantum-compute-service",
        "ibm_torino_QRMI_IBM_QCS_ENDPOINT": ibm.runtime_url,
        "ibm_torino_QRMI_IBM_QCS_IAM_ENDPOINT": ibm.iam_url,
        "ibm_torino_QRMI_IBM_QCS_IAM_APIKEY": ibm.token,
        "ibm_torino_QRMI_IBM_QCS_SERVICE_CRN": ibm.instance,
    }


def test_it_has_no_address_before_it_is_started() -> None:
    with pytest.raises(RuntimeError, match="FakeIBMQuantum has not been started"):
        _ = FakeIBMQuantum().runtime_url


def test_an_unknown_backend_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"^fake_nope is none of .*fake_manila, .*fake_torino"):
        FakeIBMQuantum(backends=["fake_nope"])


# programs


@pytest.mark.parametrize("name", ["ibm_manila", "ibm_torino"])
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_sampler_gives_what_the_circuit_does(
    service: QiskitRuntimeService, sampler: Any, name: str
) -> None:
    backend = service.backend(name)
    assert is_ghz(counts(submit(backend, backend, sampler=sampler)))


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_same_program_with_the_same_seed_gives_the_same_bits(
    manila: BackendV2, sampler: Any
) -> None:
    def run(seed: int | None) -> list[str]:
        made = sampler(mode=manila)
        if seed is not None:
            made.options.simulator.seed_simulator = seed
        job = made.run([ghz(manila)], shots=SHOTS)
        bits: list[str] = job.result(poll_interval=0.1)[0].data.meas.get_bitstrings()
        return bits

    assert run(None) == run(None)
    assert run(5) == run(5) != run(None)


def turned(backend: BackendV2) -> QuantumCircuit:
    circuit = QuantumCircuit(2)
    circuit.ry(Parameter("a"), 0)
    circuit.cx(0, 1)
    circuit.measure_all()
    return transpile(circuit, backend)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_parameters_are_bound(manila: BackendV2, sampler: Any) -> None:
    job = sampler(mode=manila).run([(turned(manila), [[0.0], [3.14159265]])], shots=SHOTS)
    data = job.result(poll_interval=0.1)[0].data.meas
    assert [data[index].get_counts() for index in range(2)] == [{"00": SHOTS}, {"11": SHOTS}]


def test_a_twirled_circuit_runs_on_all_qubits(service: QiskitRuntimeService) -> None:
    torino = service.backend("ibm_torino")
    sampler = ExecutorSampler(mode=torino)
    sampler.options.twirling.enable_gates = True
    sampler.options.twirling.enable_measure = True
    sampler.options.twirling.num_randomizations = 4
    job = sampler.run([ghz(torino)], shots=SHOTS)
    assert isinstance(job, RuntimeJobV2)
    assert is_ghz(counts(job))


def test_a_circuit_too_wide_for_a_state_vector_runs(service: QiskitRuntimeService) -> None:
    torino = service.backend("ibm_torino")
    circuit = QuantumCircuit(40)
    for qubit in range(40):
        circuit.ry(0.1, qubit)
    circuit.measure_all()
    job = SamplerV2(mode=torino).run([transpile(circuit, torino)], shots=SHOTS)
    assert job.result(poll_interval=0.1)[0].data.meas.num_shots == SHOTS


@pytest.mark.parametrize("name", ["ibm_manila", "ibm_torino"])
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_an_estimator_gives_expectation_values(
    service: QiskitRuntimeService, estimator: Any, name: str
) -> None:
    backend = service.backend(name)
    circuit = turned(backend)
    circuit.remove_final_measurements()
    operator = SparsePauliOp.from_list([("ZZ", 1.0), ("ZI", 2.0)])
    observable = operator.apply_layout(circuit.layout)
    pub = (circuit, observable, [[0.0], [3.14159265]])
    result = estimator(mode=backend).run([pub], precision=0.1).result(poll_interval=0.1)
    assert result[0].data.evs == pytest.approx([3.0, -1.0], abs=0.3)


def decoded(rest: Rest, job_id: str) -> PrimitiveResult[Any]:
    until(lambda: rest.client.get(f"/jobs/{job_id}").json()["status"] in FINAL)
    answer = rest.client.get(f"/jobs/{job_id}/results")
    assert answer.headers["Content-Type"].startswith("text/plain")
    result = json.loads(answer.text, cls=RuntimeDecoder)
    assert isinstance(result, PrimitiveResult), answer.text
    return result


def bell() -> str:
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.measure_all()
    return f"// a comment\n{qasm3.dumps(circuit)}"


def test_openqasm_runs_with_the_default_shots(rest: Rest) -> None:
    job_id = rest.submit(pubs=[[bell()]], options={"default_shots": 50})
    found = decoded(rest, job_id)[0].data.meas.get_counts()
    assert set(found) <= {"00", "11"} and sum(found.values()) == 50


def test_openqasm_runs_with_parameters(rest: Rest) -> None:
    program = (
        'OPENQASM 3.0; include "stdgates.inc"; input float[64] a; '
        "bit[1] c; qubit[1] q; ry(a) q[0]; c[0] = measure q[0];"
    )
    job_id = rest.submit(pubs=[[program, [3.14159265], SHOTS]])
    assert decoded(rest, job_id)[0].data.c.get_counts() == {"1": SHOTS}


def test_openqasm_is_given_back_as_it_was_sent(rest: Rest) -> None:
    job_id = rest.submit(pubs=[[bell()]])
    assert rest.client.get(f"/jobs/{job_id}").json()["params"]["pubs"][0][0] == bell()


def test_a_program_that_cannot_be_run_fails_with_the_cause(ibm: FakeIBMQuantum, rest: Rest) -> None:
    job_id = rest.submit(pubs=[["OPENQASM 3.0; nonsense"]])
    until(lambda: state(ibm) == "Failed")
    told = rest.client.get(f"/jobs/{job_id}").json()["state"]
    assert told["reason_code"] == 9999 and "QASM3" in told["reason"]
    assert "Traceback" in rest.client.get(f"/jobs/{job_id}/results").text


# a job's life


def test_a_job_waits_runs_and_ends(ibm: FakeIBMQuantum, manila: BackendV2) -> None:
    ibm.queue_seconds, ibm.run_seconds = 0.1, 0.15
    job = submit(manila, manila)
    until(lambda: state(ibm) == "Completed")
    (seen,) = ibm.jobs()
    assert seen.started is not None and seen.ended is not None
    assert seen.started - seen.created >= 0.1
    assert seen.ended - seen.started >= 0.15
    assert job.status() == "DONE"


def test_a_held_queue_runs_nothing(ibm: FakeIBMQuantum, manila: Any) -> None:
    ibm.hold()
    jobs = [submit(manila, manila) for _ in range(2)]
    assert {job.status() for job in jobs} == {"QUEUED"}
    assert manila.status().pending_jobs == 2
    ibm.release()
    assert all(is_ghz(counts(job)) for job in jobs)
    assert manila.status().pending_jobs == 0


def test_what_was_submitted_can_be_seen(ibm: FakeIBMQuantum, manila: BackendV2) -> None:
    sampler: Any = SamplerV2(mode=manila, options={"max_execution_time": 77})
    sampler.options.environment.job_tags = ["run", "k=r1/3/sample/0"]
    job = sampler.run([ghz(manila)], shots=SHOTS)
    assert is_ghz(counts(job))
    (seen,) = ibm.jobs()
    assert isinstance(seen, FakeIBMJob)
    assert (seen.id, seen.program, seen.backend) == (job.job_id(), "sampler", "ibm_manila")
    assert (seen.tags, seen.cost) == (("run", "k=r1/3/sample/0"), 77)
    assert seen.session_id is None
    assert seen.qpu_seconds == pytest.approx(SHOTS * 2.5e-4)


def test_another_service_finds_the_job_by_its_id(ibm: FakeIBMQuantum, manila: BackendV2) -> None:
    jobs = [submit(manila, manila, sampler=sampler) for sampler in SAMPLERS]
    other = connect(ibm)
    assert all(is_ghz(counts(other.job(job.job_id()))) for job in jobs)
    with pytest.raises(RuntimeJobNotFound):
        other.job("nope")


def test_jobs_are_found_by_all_their_tags(service: QiskitRuntimeService, manila: BackendV2) -> None:
    first, second = (
        submit(manila, manila, tags=["run", f"key-{number}"], sampler=sampler)
        for number, sampler in enumerate(SAMPLERS)
    )

    def found(*tags: str) -> list[str]:
        jobs = service.jobs(job_tags=list(tags), limit=None, descending=False)
        return [job.job_id() for job in jobs]

    assert found("run") == [first.job_id(), second.job_id()]
    assert found("run", "key-1") == [second.job_id()]
    assert found("run", "key-2") == []
    first.update_tags(["key-2"])
    assert found("key-2") == [first.job_id()]


def test_jobs_that_are_over_are_not_pending(
    ibm: FakeIBMQuantum, service: QiskitRuntimeService, manila: BackendV2
) -> None:
    counts(submit(manila, manila))
    ibm.hold()
    waiting = submit(manila, manila)
    assert [job.job_id() for job in service.jobs(pending=True)] == [waiting.job_id()]


def test_a_list_has_pages(ibm: FakeIBMQuantum, service: QiskitRuntimeService, rest: Rest) -> None:
    ibm.hold()
    ids = [rest.submit(pubs=[[bell()]]) for _ in range(23)]
    assert [job.job_id() for job in service.jobs(limit=None)] == ids[::-1]
    page = rest.client.get("/jobs", params={"limit": 2, "offset": 20, "sort": "ASC"}).json()
    assert [job["id"] for job in page["jobs"]] == ids[20:22]
    assert page["count"] == 23


def test_jobs_are_found_by_where_what_and_when(service: QiskitRuntimeService, rest: Rest) -> None:
    job_id = rest.submit(pubs=[[bell()]])
    hour = timedelta(hours=1)

    def found(**filters: Any) -> list[str]:
        return [job.job_id() for job in service.jobs(**filters)]

    created = service.job(job_id).creation_date
    assert created is not None
    assert found(program_id="sampler", backend_name="ibm_manila") == [job_id]
    assert found(created_after=created, created_before=created) == [job_id]
    assert found(program_id="executor") == found(backend_name="ibm_torino") == []
    assert found(created_after=datetime.now() + hour) == found(created_before=created - hour) == []


def test_a_queued_job_is_cancelled(ibm: FakeIBMQuantum, manila: BackendV2) -> None:
    ibm.hold()
    job = submit(manila, manila)
    job.cancel()
    assert state(ibm) == "Cancelled"
    with pytest.raises(RuntimeInvalidStateError, match="Job was cancelled"):
        connect(ibm).job(job.job_id()).result()


def test_a_running_job_is_cancelled(ibm: FakeIBMQuantum, manila: BackendV2) -> None:
    ibm.run_seconds = 30.0
    job = submit(manila, manila)
    until(lambda: state(ibm) == "Running")
    job.cancel()
    assert state(ibm) == "Cancelled"


def test_a_job_that_is_over_cannot_be_cancelled(manila: BackendV2) -> None:
    job = submit(manila, manila)
    counts(job)
    with pytest.raises(RuntimeInvalidStateError, match="409"):
        job.cancel()


def test_usage_is_final_some_time_after_the_end(ibm: FakeIBMQuantum, manila: BackendV2) -> None:
    ibm.usage_delay = 60.0
    job = submit(manila, manila)
    counts(job)
    assert job.usage() == 0 and job.metrics()["usage"]["status"] == "pending"
    ibm.usage_delay = 0.0
    assert job.usage() == pytest.approx(SHOTS * 2.5e-4)
    assert set(job.metrics()["timestamps"]) == {"created", "running", "finished"}


def test_a_private_job_keeps_its_inputs(ibm: FakeIBMQuantum, manila: BackendV2) -> None:
    sampler: Any = SamplerV2(mode=manila)
    sampler.options.environment.private = True
    job = sampler.run([ghz(manila)], shots=SHOTS)
    assert job.inputs == {}
    assert submit(manila, manila).inputs["version"] == 2


def test_a_deleted_job_is_gone_but_not_forgotten(
    ibm: FakeIBMQuantum, service: QiskitRuntimeService, manila: BackendV2
) -> None:
    job = submit(manila, manila)
    counts(job)
    service.delete_job(job.job_id())
    assert service.jobs() == []
    assert [seen.deleted for seen in ibm.jobs()] == [True]


@pytest.mark.parametrize("mode", [Session, Batch])
def test_a_session_takes_jobs_until_it_is_closed(
    ibm: FakeIBMQuantum, service: QiskitRuntimeService, manila: BackendV2, mode: Any
) -> None:
    with mode(backend=manila, max_time=600) as session:
        job = submit(session, manila)
        assert is_ghz(counts(job))
        assert session.status() == "In progress, accepting new jobs"
        elsewhere = mode.from_id(session.session_id, service)
        assert [found.job_id() for found in service.jobs(session_id=session.session_id)] == [
            job.job_id()
        ]
        session.close()
        with pytest.raises(IBMRuntimeError, match="Session has been closed"):
            submit(elsewhere, manila)
    assert [seen.session_id for seen in ibm.jobs()] == [session.session_id]
    assert session.status() == "Closed"


def test_a_cancelled_session_cancels_its_queued_jobs(
    ibm: FakeIBMQuantum, manila: BackendV2
) -> None:
    ibm.hold()
    session = Session(backend=manila)
    submit(session, manila)
    session.cancel()
    assert state(ibm) == "Cancelled"


# who may ask


def test_a_wrong_key_gets_no_bearer(ibm: FakeIBMQuantum) -> None:
    answer = token(ibm, "wrong")
    assert (answer.status_code, answer.json()["errorCode"]) == (400, "BXNIM0415E")


@pytest.mark.parametrize("header", ["", "Bearer x", "apikey"])
def test_only_bearers_that_were_issued_are_let_in(
    ibm: FakeIBMQuantum, rest: Rest, header: str
) -> None:
    told = f"apikey {ibm.token}" if header == "apikey" else header
    assert rest.client.get("/jobs", headers={"Authorization": told}).status_code == 401


def test_a_bearer_becomes_too_old() -> None:
    with FakeIBMQuantum(token_seconds=0.0) as ibm:
        rest = Rest(ibm)
        with closing(rest.client):
            assert rest.client.get("/jobs").status_code == 401


def test_another_instance_is_refused(rest: Rest) -> None:
    assert rest.client.get("/jobs", headers={"Service-CRN": "crn:other"}).status_code == 403


def test_no_secret_is_among_what_is_noted(ibm: FakeIBMQuantum, manila: BackendV2) -> None:
    counts(submit(manila, manila))
    assert ibm.secret in ibm.token
    noted = f"{ibm.requests()}{ibm.jobs()}"
    assert ibm.secret not in noted
    bearers = {request.authorization for request in ibm.requests() if request.kind == "poll"}
    assert [len(digest) for digest in bearers] == [64]


def test_what_does_not_exist_is_not_found(ibm: FakeIBMQuantum, rest: Rest) -> None:
    missing = ["/nope", "/jobs/nope", "/backends/nope/status", "/sessions/nope"]
    assert {rest.client.get(path).status_code for path in missing} == {404}
    assert ibm.requests()[1].kind is None
    assert ibm.requests()[1].path == "/api/v1/nope"


@pytest.mark.parametrize("body", [b"nonsense", b"[]", b"{}"])
def test_nonsense_is_refused(rest: Rest, body: bytes) -> None:
    assert rest.client.post("/jobs", content=body).status_code == 400


# what goes wrong with a submission


@pytest.mark.parametrize(
    ("fault", "times"),
    [
        (IBMFault.GATEWAY_TIMEOUT_THOUGH_ACCEPTED, 1),
        (IBMFault.BAD_GATEWAY_THOUGH_ACCEPTED, 2),
    ],
)
def test_a_submission_that_a_gateway_loses_is_sent_again(
    ibm: FakeIBMQuantum, manila: BackendV2, fault: IBMFault, times: int
) -> None:
    ibm.inject(fault, times=times)
    job = submit(manila, manila, tags=["key"])
    assert len(ibm.jobs()) == times + 1
    assert job.job_id() == ibm.jobs()[-1].id
    assert {seen.tags for seen in ibm.jobs()} == {("key",)}


@pytest.mark.parametrize("fault", [IBMFault.CONNECTION_LOST_THOUGH_ACCEPTED, IBMFault.TRUNCATED])
def test_a_submission_whose_answer_is_lost_leaves_a_job(
    ibm: FakeIBMQuantum, manila: BackendV2, fault: IBMFault
) -> None:
    ibm.inject(fault, request="submit")
    with pytest.raises(IBMRuntimeError, match="Failed to run program"):
        submit(manila, manila)
    assert len(ibm.jobs()) == 1


def test_a_submission_whose_connection_is_lost_leaves_a_job_without_a_proxy_too(
    ibm: FakeIBMQuantum, direct: QiskitRuntimeService
) -> None:
    manila = direct.backend("ibm_manila")
    ibm.inject(IBMFault.CONNECTION_LOST_THOUGH_ACCEPTED)
    with pytest.raises(IBMRuntimeError, match="Failed to run program"):
        submit(manila, manila)
    assert len(ibm.jobs()) == 1


def test_a_submission_answered_by_a_page_leaves_a_job(
    ibm: FakeIBMQuantum, manila: BackendV2
) -> None:
    ibm.inject(IBMFault.HTML_PAGE, request="submit")
    with pytest.raises(JSONDecodeError):
        submit(manila, manila)
    assert len(ibm.jobs()) == 1


@pytest.mark.parametrize(
    ("fault", "seconds", "error"),
    [
        (IBMFault.FORBIDDEN, None, IBMRuntimeError),
        (IBMFault.TOO_MANY_REQUESTS, None, IBMRuntimeError),
        (IBMFault.TOO_MANY_REQUESTS, 1.0, IBMRuntimeError),
        (IBMFault.UNAUTHORIZED, None, IBMNotAuthorizedError),
    ],
)
def test_a_submission_is_refused(
    ibm: FakeIBMQuantum,
    manila: BackendV2,
    fault: IBMFault,
    seconds: float | None,
    error: type[Exception],
) -> None:
    ibm.inject(fault, request="submit", seconds=seconds)
    with pytest.raises(error):
        submit(manila, manila)
    assert ibm.jobs() == []


def test_a_server_error_before_a_job_is_made_is_retried(
    ibm: FakeIBMQuantum, manila: BackendV2
) -> None:
    ibm.inject(IBMFault.SERVER_ERROR, request="submit")
    submit(manila, manila)
    assert len(ibm.jobs()) == 1
    assert [r.status for r in ibm.requests() if r.kind == "submit"] == [500, 200]


def test_no_usage_no_submission(ibm: FakeIBMQuantum, manila: BackendV2) -> None:
    ibm.inject(IBMFault.NOT_FOUND, request="usage")
    with pytest.raises(RequestsApiError):
        submit(manila, manila)
    assert "submit" not in kinds(ibm)


def test_a_job_is_listed_late(
    ibm: FakeIBMQuantum, service: QiskitRuntimeService, manila: BackendV2
) -> None:
    ibm.inject(IBMFault.CONNECTION_LOST_THOUGH_ACCEPTED)
    ibm.inject(IBMFault.JOB_LISTED_LATE, seconds=2.0)
    with pytest.raises(IBMRuntimeError):
        submit(manila, manila, tags=["key"])
    assert service.jobs(job_tags=["key"]) == []
    assert service.job(ibm.jobs()[0].id).tags == ["key"]
    until(lambda: len(service.jobs(job_tags=["key"])) == 1)


# what goes wrong with a job


def test_a_slow_queue_outlasts_the_client(ibm: FakeIBMQuantum, manila: BackendV2) -> None:
    ibm.inject(IBMFault.JOB_WAITS, seconds=60.0)
    with pytest.raises(RuntimeJobTimeoutError):
        submit(manila, manila).result(timeout=0.3, poll_interval=0.1)
    assert state(ibm) == "Queued"
    assert is_ghz(counts(submit(manila, manila)))


def test_a_job_fails_with_a_reason(ibm: FakeIBMQuantum, manila: BackendV2) -> None:
    ibm.inject(IBMFault.JOB_FAILS, reason="Circuit too deep", code=1517)
    job = submit(manila, manila)
    with pytest.raises(RuntimeJobFailureError, match="Error code 1517; Circuit too deep"):
        job.result(poll_interval=0.1)
    assert (
        job.error_message() == f"Job {job.job_id()} has failed:\nError code 1517; Circuit too deep"
    )


def test_a_job_fails_without_a_reason(ibm: FakeIBMQuantum, manila: BackendV2) -> None:
    ibm.inject(IBMFault.JOB_FAILS)
    with pytest.raises(RuntimeJobFailureError, match="Traceback"):
        submit(manila, manila).result(poll_interval=0.1)


def test_a_job_that_took_too_long_is_a_failure(ibm: FakeIBMQuantum, manila: BackendV2) -> None:
    ibm.inject(IBMFault.JOB_CANCELLED, code=1305)
    job = submit(manila, manila)
    with pytest.raises(RuntimeJobMaxTimeoutError):
        job.result(poll_interval=0.1)
    assert job.status() == "ERROR" and state(ibm) == "Cancelled"


def test_a_job_is_ended_from_outside(ibm: FakeIBMQuantum, manila: BackendV2) -> None:
    ibm.hold()
    failed, cancelled, timed_out = (submit(manila, manila) for _ in range(3))
    ibm.fail_job(failed.job_id(), "broken", 1000)
    ibm.cancel_job(cancelled.job_id())
    ibm.cancel_job(timed_out.job_id(), code=1305)
    found = [job.status() for job in (failed, cancelled, timed_out)]
    assert found == ["ERROR", "CANCELLED", "ERROR"]
    with pytest.raises(ValueError, match="is over: Failed"):
        ibm.fail_job(failed.job_id())
    with pytest.raises(KeyError):
        ibm.cancel_job("nope")


# what goes wrong with other requests


@pytest.mark.parametrize("fault", [IBMFault.CONNECTION_LOST, IBMFault.SERVER_ERROR])
def test_a_poll_is_retried(ibm: FakeIBMQuantum, manila: BackendV2, fault: IBMFault) -> None:
    ibm.hold()
    job = submit(manila, manila)
    ibm.inject(fault, request="poll", skip=1)
    assert [job.status() for _ in range(3)] == ["QUEUED"] * 3
    polls = [request for request in ibm.requests() if request.kind == "poll"]
    assert [request.fault for request in polls] == [None, fault, None, None]


def test_a_poll_waits_as_long_as_it_is_told(ibm: FakeIBMQuantum, manila: BackendV2) -> None:
    job = submit(manila, manila)
    ibm.inject(IBMFault.TOO_MANY_REQUESTS, request="poll", seconds=1.0)
    began = time.monotonic()
    job.status()
    assert time.monotonic() - began >= 0.9


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (IBMFault.TOO_MANY_REQUESTS, RequestsApiError),
        (IBMFault.NOT_FOUND, RequestsApiError),
        (IBMFault.UNAUTHORIZED, IBMNotAuthorizedError),
        (IBMFault.HTML_PAGE, JSONDecodeError),
    ],
)
def test_a_poll_breaks(
    ibm: FakeIBMQuantum, manila: BackendV2, fault: IBMFault, error: type[Exception]
) -> None:
    job = submit(manila, manila)
    ibm.inject(fault, request="poll")
    with pytest.raises(error):
        job.status()
    assert is_ghz(counts(job))


def test_a_poll_hangs_beyond_its_timeout(ibm: FakeIBMQuantum, manila: BackendV2) -> None:
    job = submit(manila, manila)
    until(lambda: state(ibm) == "Completed")
    ibm.inject(IBMFault.HANGS, request="poll", seconds=1.0)
    began = time.monotonic()
    job.result(timeout=0.2)
    assert time.monotonic() - began >= 1.0


def test_results_come_whole_when_they_are_asked_again(
    ibm: FakeIBMQuantum, manila: BackendV2
) -> None:
    job = submit(manila, manila)
    ibm.inject(IBMFault.TRUNCATED)
    with pytest.raises(RequestsApiError):
        job.result(poll_interval=0.1)
    assert is_ghz(counts(job))


def test_a_wrong_count_makes_the_client_ask_again(
    ibm: FakeIBMQuantum, service: QiskitRuntimeService, manila: BackendV2
) -> None:
    submit(manila, manila)
    ibm.inject(IBMFault.LIST_MISCOUNTED, times=20)
    assert len(service.jobs(limit=10)) == 1
    assert kinds(ibm).count("list") > 20


def test_a_cancellation_is_retried(ibm: FakeIBMQuantum, manila: BackendV2) -> None:
    ibm.hold()
    job = submit(manila, manila)
    ibm.inject(IBMFault.SERVER_ERROR, request="cancel")
    job.cancel()
    assert state(ibm) == "Cancelled"


@pytest.mark.parametrize("request_kind", ["token", "list"])
def test_what_is_injected_for_ever_ends_when_healed(
    ibm: FakeIBMQuantum, rest: Rest, request_kind: RequestKind
) -> None:
    def ask() -> int:
        if request_kind == "token":
            return token(ibm, ibm.token).status_code
        return rest.client.get("/jobs").status_code

    ibm.inject(IBMFault.SERVER_ERROR, request=request_kind, times=EVER)
    assert [ask() for _ in range(5)] == [500] * 5
    ibm.heal()
    assert ask() == 200


def test_a_lost_connection_is_one(ibm: FakeIBMQuantum, rest: Rest) -> None:
    ibm.inject(IBMFault.CONNECTION_LOST, request="list")
    with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
        rest.client.get("/jobs")
    assert ibm.requests()[-1].status is None


@pytest.mark.parametrize(
    ("fault", "told", "message"),
    [
        (IBMFault.SERVER_ERROR, {}, "server-error needs the request it strikes"),
        (IBMFault.HANGS, {"request": "poll"}, "hangs needs seconds"),
        (IBMFault.JOB_FAILS, {"request": "poll"}, "job-fails is about a job"),
        (IBMFault.LIST_MISCOUNTED, {"request": "poll"}, "list-miscounted cannot strike 'poll'"),
        (IBMFault.HTML_PAGE, {"request": "nope"}, "not 'nope'"),
    ],
)
def test_a_fault_that_cannot_be_is_refused(
    fault: IBMFault, told: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        FakeIBMQuantum().inject(fault, **told)


# its end


def test_it_ends_though_a_request_hangs_and_a_job_waits(ibm: FakeIBMQuantum, rest: Rest) -> None:
    ibm.hold()
    rest.submit(pubs=[[bell()]])
    ibm.inject(IBMFault.HANGS, request="list", seconds=60.0)
    with pytest.raises(httpx.ReadTimeout):
        rest.client.get("/jobs", timeout=0.1)
    began = time.monotonic()
    ibm.stop()
    assert time.monotonic() - began < 30  # and not the minute that the request hangs
    with pytest.raises(httpx.TransportError):
        rest.client.get("/jobs")
    assert state(ibm) == "Queued"


def test_in_an_outage_every_connection_is_lost_and_jobs_go_on(
    ibm: FakeIBMQuantum, manila: BackendV2
) -> None:
    ibm.hold()
    job = SamplerV2(manila).run([ghz(manila)], shots=SHOTS)
    with ibm.outage():
        ibm.release()
        until(lambda: ibm.jobs()[0].state in FINAL)
        with pytest.raises(httpx.HTTPError):
            httpx.get(f"{ibm.runtime_url}/jobs/{job.job_id()}")
    assert job.status() == "DONE"
